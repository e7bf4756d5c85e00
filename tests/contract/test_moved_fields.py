"""
Every field of a payload version is found again in the later versions.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest

from dispatch_service.payloads import CONTRACTS, example_body
from dispatch_service.payloads.moved_fields import moved_paths
from dispatch_service.payloads.returns.event_types import EXCHANGES, SIMPLE

# Fields that version 3 omits: receivers can derive them.
_DERIVED: Final = {(event_type, "items.quantity") for event_type in (*SIMPLE, *EXCHANGES)}


def _leaves(part: Any, path: str = "") -> dict[str, list[Any]]:
    """
    Collect the values of a body by path; elements of a list share one path.
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
    Return the values at *path*; null if an object on the path is null.
    """
    if path in leaves:
        return leaves[path]
    parents = [leaf for leaf in leaves if path.startswith(f"{leaf}.")]
    assert [leaves[parent] for parent in parents] in ([[None]], [[[]]]), path
    return [None]


def _in_version_3(value: Any) -> Any:
    """
    Write a value as version 3 does.
    """
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str) and len(value) == len("2024-01-15 10:30:00") and value[10] == " ":
        return f"{value[:10]}T{value[11:]}Z"
    return value


# Version 1 has the time of the event, later versions have times of the resource.
_OTHER_TIMES: Final = {"date", "timestamp"}


@pytest.mark.parametrize(("older", "newer"), [("v1", "v2"), ("v2", "v3"), ("v1", "v3")])
@pytest.mark.parametrize(
    "event_type", [event_type for event_type, version in CONTRACTS if version == "v2"]
)
def test_values_are_at_their_mapped_paths(event_type: str, older: str, newer: str) -> None:
    """
    Each value of a version is at its mapped path in every later version.
    """
    found = moved_paths(event_type, older, newer)
    decoder = msgspec.json.Decoder(float_hook=Decimal)
    before = _leaves(decoder.decode(example_body(event_type, older)))
    after = _leaves(decoder.decode(example_body(event_type, newer)))

    for leaf, values in before.items():
        if leaf in {"event", "account_id"} or (event_type, leaf) in _DERIVED:
            continue
        if values == [[]]:
            continue  # An empty list has no fields.
        in_later = _found(after, found.get(leaf, leaf))
        if not (newer == "v2" and leaf in _OTHER_TIMES):
            assert in_later == _as_in(newer, values), leaf


def _as_in(version: str, values: list[Any]) -> list[Any]:
    return list(map(_in_version_3, values)) if version == "v3" else values
