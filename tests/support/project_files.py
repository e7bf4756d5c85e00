"""
Where the project's own Python files lie, and the room of each.

A room is a folder directly under a package. Files directly in a package are in the room `app`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PACKAGES = (
    "dispatch_service",
    "config_service",
    "console",
    "service_runtime",
    "webhooksctl",
    "proto/python/shipedge",
)

ROOT_ROOM = "app"

_CONTRACT = "proto/python/shipedge/webhooks/"


def is_hand_written(path: str) -> bool:
    """
    Tell whether *path*, relative to the root, is a Python file of the packages that is neither
    generated nor a migration.
    """
    return (
        path.endswith(".py")
        and path.startswith(tuple(f"{package}/" for package in PACKAGES))
        and not path.endswith(("_pb2.py", "_pb2_grpc.py"))
        and "/migrations/" not in path
        and "__pycache__" not in path
    )


def hand_written(root: Path = ROOT) -> Iterator[str]:
    """
    Yield the paths of the hand-written files of the packages under *root*, sorted.
    """
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            relative = path.relative_to(root).as_posix()
            if is_hand_written(relative):
                yield relative


def room_of(path: str) -> str:
    """
    Return the room of a file: `intake` in the dispatch service, `service_runtime/rpc` and
    `config_service/store` elsewhere.
    """
    package, _, inside = _in_package(path)
    room = inside.partition("/")[0] if "/" in inside else ROOT_ROOM
    return room if package == "dispatch_service" else f"{package}/{room}"


def module_of(path: str) -> str:
    """
    Return what a reader calls a file: its path inside its room, without the ending.
    """
    inside = _in_package(path)[2].removesuffix(".py")
    return inside.partition("/")[2] or inside


def _in_package(path: str) -> tuple[str, str, str]:
    if path.startswith(_CONTRACT):
        return ("shipedge", "/", path.removeprefix(_CONTRACT))
    return path.partition("/")
