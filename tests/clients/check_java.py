"""
A Java client is generated and compiled from the bundle alone.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.clients.expected import assert_went_well
from tests.clients.programs import EXAMPLES, LOCKS, Services, download, need, run, workshop
from tests.support.proto_recipes import RECIPES, run_recipe

COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
PLUGIN = "protoc-gen-grpc-java"


@dataclass(frozen=True, slots=True)
class Client:
    """
    A compiled client: the folders with its sources and classes, and the path of the libraries.
    """

    sources: Path
    classes: Path
    libraries: str


def hashes(folder: Path) -> str:
    """
    Return the hashes of all files of a folder, as sha256sum writes them.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return "".join(f"{hashlib.sha256(it.read_bytes()).hexdigest()}  {it.name}\n" for it in files)


@pytest.fixture(scope="module")
def client(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Client:
    """
    Generate and compile all messages and stubs, with the libraries that the instructions name.
    """
    tmp_path = tmp_path_factory.mktemp("java")
    need("mvn", "javac")
    programs = workshop("java")
    shutil.rmtree(programs / "lib", ignore_errors=True)
    download("mvn", "-q", "-B", COPY, "-DoutputDirectory=lib", folder=programs)
    assert hashes(programs / "lib") == (LOCKS / "java/sha256.txt").read_text()
    (plugin,) = (programs / "lib").glob(f"{PLUGIN}-*.exe")
    command = tmp_path / "bin" / PLUGIN
    command.parent.mkdir()
    command.write_bytes(plugin.read_bytes())
    command.chmod(0o700)
    out = run_recipe("Java", bundle, [command.parent])

    arguments = tmp_path / "sources.txt"
    arguments.write_text("\n".join(map(str, sorted(out.rglob("*.java")))))
    classes = tmp_path / "classes"
    libraries = f"{programs / 'lib'}/*"
    run("javac", "-d", classes, "-cp", libraries, f"@{arguments}", folder=bundle)

    return Client(out, classes, libraries)


def test_java_compiles(client: Client, bundle: Path) -> None:
    """
    Each proto makes its class, and the clients are among them.
    """
    protos = len(list(bundle.glob("shipedge/**/*.proto")))

    assert list(client.classes.rglob("PublisherServiceGrpc.class"))
    assert len(list(client.sources.rglob(RECIPES["Java"].one_of_each))) == protos


@pytest.mark.anyio
async def test_example_runs(client: Client, services: Services, tmp_path: Path) -> None:
    """
    The program of `clients/java` does what it says, against a running pair.
    """
    path = f"{client.classes}:{client.libraries}"
    run("javac", "-d", tmp_path, "-cp", path, EXAMPLES / "java/Example.java", folder=tmp_path)

    assert_went_well(
        await services.run("java", "-cp", f"{tmp_path}:{path}", "Example", folder=tmp_path)
    )
