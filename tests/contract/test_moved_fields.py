"""
Who moves to a later version finds everything again: the place of every field
of a version in the later ones.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from dispatch_service.payloads import CONTRACTS, example_body
from dispatch_service.payloads.moved_fields import moved_paths
from dispatch_service.payloads.returns.event_types import EXCHANGES, SIMPLE

# What version 3 leaves to its reader to work out.
_DERIVED: Final = {(event_type, "items.quantity") for event_type in (*SIMPLE, *EXCHANGES)}


def _leaves(part: Any, path: str = "") -> dict[str, list[Any]]:
    """
    Collect the leaves of a body, those of all elements of a list under one path.
    """
    if isinstance(part, dict):
        parts = [(f"{path}.{name}" if path else name, value) for name, value in part.items()]
    elif isinstance(part, list) and part and isinstance(part[0], dict):
        parts = [(path, value) for value in part]
    else:
        return {path: [part]}
    found: dict[str, list[Any]] = {}
    for name, value in parts:
        for leaf, values in _leaves(value, name).items():
            found.setdefault(leaf, []).extend(values)
    return found


def _found(leaves: Mapping[str, list[Any]], path: str) -> list[Any]:
    """
    Read the values at *path*: null where the object that it leads through is.
    """
    if path in leaves:
        return leaves[path]
    ways = [leaf for leaf in leaves if path.startswith(f"{leaf}.")]
    assert [leaves[way] for way in ways] in ([[None]], [[[]]]), path
    return [None]


def _shown(value: Any) -> Any:
    """
    Write a value as version 3 would.
    """
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str) and len(value) == len("2024-01-15 10:30:00") and value[10] == " ":
        return f"{value[:10]}T{value[11:]}Z"
    return value


# Version 1 tells the time of the event, where later ones tell times of the resource.
_OTHER_TIMES: Final = {"date", "timestamp"}


@pytest.mark.parametrize(("older", "newer"), [("v1", "v2"), ("v2", "v3"), ("v1", "v3")])
@pytest.mark.parametrize(
    "event_type", [event_type for event_type, version in CONTRACTS if version == "v2"]
)
def test_places(event_type: str, older: str, newer: str) -> None:
    """
    Each value of a version stands at its place in every later one.
    """
    found = moved_paths(event_type, older, newer)
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    before = _leaves(decoder.decode(example_body(event_type, older)))
    after = _leaves(decoder.decode(example_body(event_type, newer)))

    for leaf, values in before.items():
        if leaf in {"event", "account_id"} or (event_type, leaf) in _DERIVED:
            continue
        in_later = _found(after, found.get(leaf, leaf))
        if not (newer == "v2" and leaf in _OTHER_TIMES):
            assert in_later == _as_in(newer, values), leaf


def _as_in(version: str, values: list[Any]) -> list[Any]:
    return list(map(_shown, values)) if version == "v3" else values
