"""
The distribution of the client: what its wheel holds and needs.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.support.project_files import ROOT

FOLDER = ROOT / "proto/python"
SERVED = {"feed", "payload_contracts"}
NEEDED = {"googleapis-common-protos", "grpcio", "protobuf"}

IMPORT_ALL = """
import importlib, pathlib, sys
import grpc.aio, google.rpc.error_details_pb2
needed = {name.partition(".")[0] for name in sys.modules}
root = pathlib.Path(sys.argv[1])
sys.path.insert(0, str(root))
for path in sorted(root.rglob("*.py")):
    if "outbox" in path.parts:
        continue
    importlib.import_module(".".join(path.relative_to(root).with_suffix("").parts))
import shipedge.webhooks.client as client
assert client.__file__.startswith(str(root)), client.__file__
imported = {name.partition(".")[0] for name, it in sys.modules.items()
            if "site-packages" in str(getattr(it, "__file__", ""))}
print(*sorted(imported - needed))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Build the wheel.
    """
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    subprocess.run(
        [*command, "--no-build-isolation", "--wheel-dir", str(target), str(FOLDER)],
        check=True,
        capture_output=True,
    )
    (built,) = target.glob("shipedge_webhooks_client-*.whl")
    return built


@pytest.mark.slow
def test_wheel_has_the_client_and_nothing_of_the_services(wheel: Path) -> None:
    """
    All stubs but those of the feed, which is not published, the client, and its types; no schemas.
    """
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())

    written = {
        path.relative_to(FOLDER).as_posix()
        for path in FOLDER.rglob("*.py*")
        if not SERVED & set(path.parts) and path.suffix in {".py", ".pyi"}
    }
    assert written <= names
    assert "shipedge/webhooks/py.typed" in names
    assert "shipedge/webhooks/service_config.json" in names
    assert not [it for it in names if SERVED & set(Path(it).parts)]


@pytest.mark.slow
def test_every_module_imports_without_other_packages(wheel: Path, tmp_path: Path) -> None:
    """
    gRPC, protobuf and the protos of Google are all that is imported, but by the extra `outbox`.
    """
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)

    imported = subprocess.run(
        [sys.executable, "-I", "-c", IMPORT_ALL, str(tmp_path)],
        check=False,
        capture_output=True,
        text=True,
    )

    assert imported.returncode == 0, imported.stderr
    assert not imported.stdout.split()


def test_oldest_versions_are_those_that_the_stubs_allow() -> None:
    """
    The distribution needs three packages, from the versions on that the stubs were made with.
    """
    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    needed = dict(it.split(">=") for it in project["dependencies"])
    stub = (FOLDER / "shipedge/webhooks/dispatch/v1/publisher_service_pb2_grpc.py").read_text()
    messages = (FOLDER / "shipedge/webhooks/dispatch/v1/publisher_service_pb2.py").read_text()
    grpc = re.search(r"GRPC_GENERATED_VERSION = '(.+)'", stub)
    protobuf = re.search(r"Protobuf Python Version: (.+)", messages)

    assert set(needed) == NEEDED
    assert grpc is not None
    assert protobuf is not None
    assert needed["grpcio"] == grpc.group(1)
    assert needed["protobuf"] == protobuf.group(1)


def test_both_distributions_have_one_version() -> None:
    """
    The services and the client are released together.
    """
    server, client = (
        tomllib.loads((folder / "pyproject.toml").read_text())["project"]["version"]
        for folder in (ROOT, FOLDER)
    )

    assert server == client
