"""
A Go client is generated and compiled from the bundle alone.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.clients.programs import LOCKS, download, need, run, workshop
from tests.support.proto_recipes import run_recipe

PLUGINS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
)


def test_go_compiles(bundle: Path) -> None:
    """
    All packages compile with the module name of the protos.
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

    packages = run("go", "list", "./...", folder=out).split()
    module = "github.com/shipedge/webhooks-go/shipedge/webhooks"
    rooms = ("config", "dispatch", "errors", "events")
    assert packages == [f"{module}/{room}/v1" for room in rooms]
