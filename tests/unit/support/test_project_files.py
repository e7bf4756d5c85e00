"""
Which files are the project's own, and in which room they lie.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.project_files import hand_written, is_hand_written, module_of, room_of


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("dispatch_service/app.py", True),
        ("proto/python/shipedge/webhooks/rpc/names.py", True),
        ("proto/python/shipedge/webhooks/events/v1/event_pb2.py", False),
        ("proto/python/shipedge/webhooks/events/v1/event_pb2_grpc.py", False),
        ("dispatch_service/migrations/versions/0001_first.py", False),
        ("dispatch_service/py.typed", False),
        ("tests/e2e/pair.py", False),
        ("/usr/lib/python3/asyncio/tasks.py", False),
    ],
)
def test_hand_written_files(path: str, expected: bool) -> None:
    """
    Generated code, migrations, tests and libraries are none.
    """
    assert is_hand_written(path) is expected


def test_hand_written_files_are_found(tmp_path: Path) -> None:
    """
    A package that does not exist has no files.
    """
    for name in ("dispatch_service/app.py", "dispatch_service/log/read.py", "tests/test_log.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    assert list(hand_written(tmp_path)) == [
        "dispatch_service/app.py",
        "dispatch_service/log/read.py",
    ]


@pytest.mark.parametrize(
    ("path", "room", "module"),
    [
        ("dispatch_service/app.py", "app", "app"),
        ("dispatch_service/intake/commit.py", "intake", "commit"),
        ("dispatch_service/queue/sqlite/claim_walk.py", "queue", "sqlite/claim_walk"),
        ("config_service/app.py", "config_service/app", "app"),
        ("config_service/store/feed.py", "config_service/store", "feed"),
        ("service_runtime/rpc/names.py", "service_runtime/rpc", "names"),
        ("proto/python/shipedge/webhooks/rpc/names.py", "shipedge/rpc", "names"),
    ],
)
def test_room_of_a_file(path: str, room: str, module: str) -> None:
    """
    Rooms of the dispatch service have short names; those of other packages name the package.
    """
    assert room_of(path) == room
    assert module_of(path) == module
