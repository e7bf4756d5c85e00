"""
What changes for a receiver that moves from one payload version to another,
shown on an event. Pure.
"""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

import msgspec

from dispatch_service.payloads.core.leaves import Leaf, leaves
from dispatch_service.payloads.moved_fields import places
from dispatch_service.payloads.rendering import render
from dispatch_service.payloads.schemas import schema
from shipedge.webhooks.events.v1.event_pb2 import Event


class Kind(Enum):
    """
    How a field differs.
    """

    ADDED = auto()
    REMOVED = auto()
    RENAMED = auto()
    RETYPED = auto()


class Side(NamedTuple):
    """
    A field in one of the versions; *value* is JSON, empty where there is none.
    """

    path: str = ""
    type: str = ""
    value: str = ""


class Difference(NamedTuple):
    """
    A field that is not the same in both versions.
    """

    kind: Kind
    before: Side
    after: Side


class Comparison(NamedTuple):
    """
    The bodies of an event in two versions and what differs.
    """

    before: bytes
    after: bytes
    differences: list[Difference]


_Sides = Mapping[str, Side]
_NOWHERE = Side()


def compare(event: Event, event_type: str, from_version: str, to_version: str) -> Comparison:
    """
    Compare two payload versions on *event*.

    Raises `LookupError` if there is no such payload version and `ValueError`
    if *event* is not of a kind that raises the event type.
    """
    bodies = [render(event, event_type, version) for version in (from_version, to_version)]
    before = _sides(event_type, from_version, bodies[0])
    after = _sides(event_type, to_version, bodies[1])
    moved = _moved(event_type, from_version, to_version, before, after)
    return Comparison(bodies[0], bodies[1], list(_differences(before, after, moved)))


def _differences(before: _Sides, after: _Sides, moved: Mapping[str, str]) -> Iterator[Difference]:
    for place, side in before.items():
        there = after.get(moved.get(place, place))
        if there is None:
            yield Difference(Kind.REMOVED, side, _NOWHERE)
        elif (side.type, side.value) != (there.type, there.value):
            yield Difference(Kind.RETYPED, side, there)
        elif side.path != there.path:
            yield Difference(Kind.RENAMED, side, there)
    known = {moved.get(place, place) for place in before}
    for place, side in after.items():
        if place not in known:
            yield Difference(Kind.ADDED, _NOWHERE, side)


def _moved(
    event_type: str, from_version: str, to_version: str, before: _Sides, after: _Sides
) -> Mapping[str, str]:
    """
    Map the places of the first version to those of the second, both of which exist.
    """
    if _number(from_version) <= _number(to_version):
        pairs = places(event_type, from_version, to_version)
        return {old: new for old, new in pairs.items() if old in before and new in after}
    moved: dict[str, str] = {}
    for old, new in places(event_type, to_version, from_version).items():
        if new in before and old in after:
            moved.setdefault(new, old)
    return moved


def _number(version: str) -> int:
    return int(version[1:])


def _sides(event_type: str, version: str, body: bytes) -> _Sides:
    content = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return {
        leaf.place: Side(leaf.path, leaf.type, _value(content, leaf))
        for leaf in leaves(schema(event_type, version))
    }


def _value(content: Any, leaf: Leaf) -> str:
    """
    Read the value of a field, of the first element of a list, as it is written.
    """
    raw: Any = content
    for step in leaf.path.replace("[]", ".[]").split("."):
        raw = _first(raw) if step == "[]" else _member(raw, step)
        if raw is None:
            return ""
    return bytes(raw).decode()


def _member(raw: Any, name: str) -> Any:
    members = raw if isinstance(raw, dict) else _decoded(raw, dict[str, msgspec.Raw])
    return None if members is None else members.get(name)


def _first(raw: Any) -> Any:
    elements = _decoded(raw, list[msgspec.Raw])
    return elements[0] if elements else None


def _decoded(raw: Any, kind: Any) -> Any:
    return msgspec.json.decode(raw, type=kind | None)
