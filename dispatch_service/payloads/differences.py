"""
Differences between two payload versions for a receiver that moves, shown on an event. Pure.
"""

from collections.abc import Iterator, Mapping
from enum import Enum, auto
from typing import Any, NamedTuple

import msgspec

from dispatch_service.payloads.core.leaves import Leaf, leaves
from dispatch_service.payloads.moved_fields import moved_paths
from dispatch_service.payloads.rendering import render
from dispatch_service.payloads.schemas import schema
from shipedge.webhooks.events.v1.event_pb2 import Event


class Kind(Enum):
    """
    How a field differs between two versions.
    """

    ADDED = auto()
    REMOVED = auto()
    RENAMED = auto()
    RETYPED = auto()


class Side(NamedTuple):
    """
    A field in one version. *value* is JSON; it is empty if the body has no value there.
    """

    path: str = ""
    type: str = ""
    value: str = ""


class Difference(NamedTuple):
    """
    A field that differs between the versions.
    """

    kind: Kind
    before: Side
    after: Side


class Comparison(NamedTuple):
    """
    The bodies of an event in two versions, and their differences.
    """

    before: bytes
    after: bytes
    differences: list[Difference]


_Sides = Mapping[str, Side]
_ABSENT = Side()


def compare(event: Event, event_type: str, from_version: str, to_version: str) -> Comparison:
    """
    Compare two payload versions on *event*.

    Raises `LookupError` if a payload version does not exist, and `ValueError` if *event* does not
    raise the event type.
    """
    bodies = [render(event, event_type, version) for version in (from_version, to_version)]
    before = _sides(event_type, from_version, bodies[0])
    after = _sides(event_type, to_version, bodies[1])
    moved = _moved(event_type, from_version, to_version, before, after)
    return Comparison(bodies[0], bodies[1], list(_differences(before, after, moved)))


def _differences(before: _Sides, after: _Sides, moved: Mapping[str, str]) -> Iterator[Difference]:
    for path, side in before.items():
        counterpart = after.get(moved.get(path, path))
        if counterpart is None:
            yield Difference(Kind.REMOVED, side, _ABSENT)
        elif (side.type, side.value) != (counterpart.type, counterpart.value):
            yield Difference(Kind.RETYPED, side, counterpart)
        elif side.path != counterpart.path:
            yield Difference(Kind.RENAMED, side, counterpart)
    known = {moved.get(path, path) for path in before}
    for path, side in after.items():
        if path not in known:
            yield Difference(Kind.ADDED, _ABSENT, side)


def _moved(
    event_type: str, from_version: str, to_version: str, before: _Sides, after: _Sides
) -> Mapping[str, str]:
    """
    Map fields of the first version to those of the second, for fields that both bodies have.
    """
    if _number(from_version) <= _number(to_version):
        pairs = moved_paths(event_type, from_version, to_version)
        return {old: new for old, new in pairs.items() if old in before and new in after}
    moved: dict[str, str] = {}
    for old, new in moved_paths(event_type, to_version, from_version).items():
        if new in before and old in after:
            moved.setdefault(new, old)
    return moved


def _number(version: str) -> int:
    return int(version[1:])


def _sides(event_type: str, version: str, body: bytes) -> _Sides:
    content = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    return {
        leaf.plain_path: Side(leaf.path, leaf.type, _value(content, leaf))
        for leaf in leaves(schema(event_type, version))
    }


def _value(content: Any, leaf: Leaf) -> str:
    """
    Return the value of a field as JSON; of a list, the value in its first element.
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
