"""
A Go client is generated and compiled from the bundle alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.clients.expected import assert_went_well
from tests.clients.programs import EXAMPLES, LOCKS, Services, download, need, run, workshop
from tests.support.proto_recipes import run_recipe

PLUGINS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
)


@pytest.fixture(scope="module")
def client(bundle: Path) -> Path:
    """
    Generate and compile all packages; return the folder of the module.
    """
    need("go")
    programs = workshop("go")
    download("go", "mod", "download", folder=programs)
    run("go", "build", "-o", "bin/", *PLUGINS, folder=programs)
    out = run_recipe("Go", bundle, [programs / "bin"])
    for name in ("go.mod", "go.sum"):
        shutil.copy(LOCKS / "go" / name, out / name)

    download("go", "mod", "download", folder=out)
    run("go", "build", "./...", folder=out)
    return out


def test_go_compiles(client: Path) -> None:
    """
    The packages have the module name of the protos.
    """
    packages = run("go", "list", "./...", folder=client).split()
    module = "github.com/shipedge/webhooks-go/shipedge/webhooks"
    rooms = ("config", "dispatch", "errors", "events")
    assert packages == [f"{module}/{room}/v1" for room in rooms]


@pytest.mark.anyio
async def test_example_runs(client: Path, services: Services, tmp_path: Path) -> None:
    """
    The program of `clients/go` does what it says, against a running pair.
    """
    folder = tmp_path / "example"
    shutil.copytree(EXAMPLES / "go", folder)
    (folder / "webhooks-go").symlink_to(client)
    download("go", "mod", "download", folder=folder)
    run("go", "vet", ".", folder=folder)
    run("go", "build", "-o", "example", ".", folder=folder)

    assert_went_well(await services.run(folder / "example", folder=folder))
