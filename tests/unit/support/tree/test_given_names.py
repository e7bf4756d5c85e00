"""
Which names a file gives, and which it only uses.
"""

from __future__ import annotations

import pytest

from tests.support.tree.given_names import GivenName, Kind, given_names
from tests.support.tree.sources import parse

MODULE = "dispatch_service/log/read.py"
ARGUMENTS = ("lane", "lots", "key", "more")


def names_in(text: str, path: str = MODULE) -> set[str]:
    """
    Return what a file names, and how; its own path is left out.
    """
    found = given_names(parse(path, text))
    return {f"{given.kind.value} {given.text}" for given in found if given.line}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class Lane(Base): ...", {"class Lane"}),
        ("async def fill(): ...", {"function fill"}),
        ("lambda lane, *lots, key, **more: 1", {f"argument {it}" for it in ARGUMENTS}),
        ("lane = other.lot", {"variable lane"}),
        ("LANES: int = 3", {"variable LANES"}),
        ("for lane in lanes: ...", {"variable lane"}),
        ("[lane for lane in lanes]", {"variable lane"}),
        ("with opened() as lane: ...", {"variable lane"}),
        ("if (lane := found): ...", {"variable lane"}),
        ("try: ...\nexcept Error as lane: ...", {"variable lane"}),
        ("match it:\n case [lane, *lots]: ...", {"variable lane", "variable lots"}),
        ("self.lane = cls.lot = 1", {"attribute lane", "attribute lot"}),
        ("import lanes as queues", {"alias queues"}),
        ("from lanes import lot", set()),
        ("message.lane = 1", set()),
        ("lane.end(lot=parcel)", set()),
    ],
)
def test_definitions(text: str, expected: set[str]) -> None:
    """
    A definition gives a name. A use of it does not, nor an assignment to another's attribute.
    """
    assert names_in(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('sa.Table("lanes", metadata)', {"name in SQL lanes"}),
        ('sa.Column("lane_number", sa.Text, comment="the lot")', {"name in SQL lane_number"}),
        ('sa.CheckConstraint("x", name="has_lane")', {"name in SQL x", "name in SQL has_lane"}),
        ('partial_index("ix_lanes", "owner")', {"name in SQL ix_lanes", "name in SQL owner"}),
        (
            "call(\"SELECT lane FROM lots WHERE state = 'parked' -- wish\")",
            {"name in SQL lane", "name in SQL lots", "name in SQL state"},
        ),
        ('call(f"SET lane = {value} + :lot")', {"name in SQL lane", "name in SQL lot"}),
        ('Counter("webhooks_lanes", "Lanes.")', {"metric webhooks_lanes"}),
        (
            'log.info("lane.ended", lot=1)',
            {"log event lane.ended", "keyword of a log line lot"},
        ),
        ("self._log.bind(lot=1)", {"keyword of a log line lot"}),
        ('Periodic("wish.failed")', {"log event wish.failed"}),
        ('call("the lane is FULL")', set()),
        ('"""\nSELECT a lane FROM many.\n"""', set()),
        ('call(comment="A row IN a lane")', set()),
    ],
)
def test_texts(text: str, expected: set[str]) -> None:
    """
    Texts give names to tables and columns, metrics and log events; prose does not.
    """
    assert names_in(text) == expected
    assert names_in(text, "tests/unit/test_read.py") == set()


def test_fields_of_payloads_are_left_out() -> None:
    """
    Customers know them, so they cannot be renamed; other names of the payloads can.
    """
    text = "class Item(Struct):\n    lot: str\n    def of(lane): ...\n"

    assert names_in(text, "dispatch_service/payloads/orders.py") == {
        "class Item",
        "function of",
        "argument lane",
    }
    assert "variable lot" in names_in(text)


def test_file_has_a_name() -> None:
    """
    It is given by the path, to the file as a whole.
    """
    [given] = given_names(parse("dispatch_service/lanes/lot.py", ""))

    assert given == GivenName(0, Kind.FILE, "lot.py")
