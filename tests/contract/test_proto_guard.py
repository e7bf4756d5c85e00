"""
The guard of the published contract, and that nothing gets past it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROTO = Path(__file__).parent.parent.parent / "proto"

Edit = Callable[[str], str]


def replaced(old: str, new: str) -> Edit:
    """
    Return an edit of a file that must hold *old*.
    """

    def edit(text: str) -> str:
        assert old in text
        return text.replace(old, new)

    return edit


def without(pattern: str) -> Edit:
    """
    Return an edit that deletes what a pattern finds, which must be there.
    """

    def edit(text: str) -> str:
        left, count = re.subn(pattern, "", text, flags=re.DOTALL)
        assert count
        return left

    return edit


# What breaks clients: the file, the edit, and what the guard must say.
BREAKING: dict[str, tuple[str, Edit, str]] = {
    "deleted rpc": (
        "dispatch/v1/delivery_service.proto",
        without(r"  rpc CancelDelivery\(.*?\n  }\n"),
        'RPC "CancelDelivery"',
    ),
    "renamed rpc": (
        "dispatch/v1/delivery_service.proto",
        replaced("rpc GetDelivery(", "rpc FetchDelivery("),
        'RPC "GetDelivery"',
    ),
    "deleted service": (
        "dispatch/v1/dispatch_admin_service.proto",
        without(r"service DispatchAdminService \{.*?\n\}\n"),
        'service "DispatchAdminService"',
    ),
    "renamed service": (
        "dispatch/v1/publisher_service.proto",
        replaced("service PublisherService", "service EventService"),
        'service "PublisherService"',
    ),
    "deleted field": (
        "dispatch/v1/attempt.proto",
        without(r"  string requested_by = 19 [^;]*;\n"),
        '"19" with name "requested_by"',
    ),
    "renamed field": (
        "config/v1/subscription.proto",
        replaced("string payload_version = 3", "string version = 3"),
        '"payload_version" to "version"',
    ),
    "field of another type": (
        "dispatch/v1/attempt.proto",
        replaced("int32 number = 2", "int64 number = 2"),
        '"int32" to "int64"',
    ),
    "field with presence": (
        "config/v1/subscription.proto",
        replaced("  bool trace_context = 19", "  optional bool trace_context = 19"),
        "explicit presence",
    ),
    "renamed enum value": (
        "events/v1/event.proto",
        replaced("ACTOR_KIND_SYSTEM", "ACTOR_KIND_JOB"),
        '"ACTOR_KIND_SYSTEM" to "ACTOR_KIND_JOB"',
    ),
    "package option": (
        "events/v1/states.proto",
        replaced('java_package = "com.', 'java_package = "org.'),
        '"java_package"',
    ),
    "Go path": (
        "events/v1/states.proto",
        replaced('go_package = "github.com', 'go_package = "example.com'),
        '"go_package"',
    ),
    "idempotency": (
        "config/v1/config_service.proto",
        replaced("    option idempotency_level = NO_SIDE_EFFECTS;\n", ""),
        'changed option "idempotency_level"',
    ),
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """
    Return a copy of the folder of the protos, published as it is.
    """
    for path in (*PROTO.glob("*.py"), PROTO / "buf.yaml"):
        shutil.copy(path, tmp_path / path.name)
    shutil.copytree(PROTO / "shipedge", tmp_path / "shipedge")
    assert run(tmp_path, "publish", "--accept-breaking").returncode == 0
    return tmp_path


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """
    Run the tool of a copy.
    """
    command = [sys.executable, str(folder / "tool.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.slow
def test_nothing_that_breaks_clients_gets_past(copy: Path) -> None:
    """
    Everything that breaks sources or messages of a client is found and not published; what
    only the services use may change.
    """
    feed = copy / "shipedge/webhooks/feed/v1/feed_service.proto"
    feed.write_text(without(r"  rpc ReportEndpointEvents\(.*?;\n")(feed.read_text()))
    good = run(copy, "breaking")
    assert (good.returncode, good.stdout.strip()) == (0, "proto breaking: good")

    for name, edit, _ in BREAKING.values():
        path = copy / "shipedge/webhooks" / name
        path.write_text(edit(path.read_text()))
    broken = run(copy, "breaking")
    missed = [kind for kind, (_, _, said) in BREAKING.items() if said not in broken.stdout]
    assert (broken.returncode != 0, missed) == (True, []), broken.stdout + broken.stderr

    before = (copy / "published.binpb").read_bytes()
    assert "refused" in run(copy, "publish").stderr
    assert (copy / "published.binpb").read_bytes() == before
