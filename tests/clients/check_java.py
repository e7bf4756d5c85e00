"""
A Java client is generated and compiled from the bundle alone.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from tests.clients.programs import LOCKS, download, need, run, workshop
from tests.support.proto_recipes import RECIPES, run_recipe

COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
PLUGIN = "protoc-gen-grpc-java"


def hashes(folder: Path) -> str:
    """
    Return the hashes of all files of a folder, as sha256sum writes them.
    """
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return "".join(f"{hashlib.sha256(it.read_bytes()).hexdigest()}  {it.name}\n" for it in files)


def test_java_compiles(bundle: Path, tmp_path: Path) -> None:
    """
    All messages and stubs compile with the libraries that the instructions name.
    """
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

    assert list(classes.rglob("PublisherServiceGrpc.class"))
    protos = len(list(bundle.glob("shipedge/**/*.proto")))
    assert len(list(out.rglob(RECIPES["Java"].one_of_each))) == protos
