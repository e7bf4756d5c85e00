"""
The rules on the filters of subscriptions. No I/O, no clock.

A value that no event can have is refused: a webhook with it would never be sent, and nothing
would say so.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from service_runtime.rpc.errors import FieldFault
from service_runtime.rules.texts import folded
from shipedge.webhooks.catalogue import EventType
from shipedge.webhooks.config.v1.subscription_pb2 import SubscriptionFilter
from shipedge.webhooks.events.v1 import catalogue_pb2
from shipedge.webhooks.order_statuses import ORDER_STATUSES, OTHER_STATUS

MOST_VALUES = 1000
MOST_RESOURCE_ID = 2**53 - 1

_FIELDS: Mapping[int, tuple[str, ...]] = {
    catalogue_pb2.FILTER_KIND_STATUSES: ("statuses",),
    catalogue_pb2.FILTER_KIND_SHIPPING_METHODS: ("shipping_methods",),
    catalogue_pb2.FILTER_KIND_STORES: ("store_ids", "channels"),
    catalogue_pb2.FILTER_KIND_ORDER_TYPES: ("order_types",),
    catalogue_pb2.FILTER_KIND_SKUS: ("skus",),
}
_STATUSES = frozenset(ORDER_STATUSES.values())


def normalised_filter(given: SubscriptionFilter) -> SubscriptionFilter:
    """
    Return a copy with trimmed and distinct values, and statuses as payloads show them.

    Values that are compared as equal are one; the first spelling stays.
    """
    return SubscriptionFilter(
        statuses=_distinct(map(_status, given.statuses), folded),
        shipping_methods=_distinct(given.shipping_methods, folded),
        store_ids=dict.fromkeys(given.store_ids),
        order_types=_distinct(given.order_types, folded),
        skus=_distinct(given.skus, str),
        channels=_distinct(given.channels, folded),
    )


def filter_faults(given: SubscriptionFilter, event_type: EventType) -> Iterator[FieldFault]:
    """
    Yield the faults of a normalised filter of a subscription to *event_type*.
    """
    own = _FIELDS.get(event_type.filter_kind, ())
    for field, _ in given.ListFields():
        if field.name not in own:
            only = f"only {_either(own)}" if own else "no filter"
            yield _fault(event_type, field.name, f"{event_type.event_type} takes {only}")
    if _is_required(event_type) and not any(getattr(given, name) for name in own):
        more = f", or in {_either(own[1:])}" if len(own) > 1 else ""
        wrong = f"{event_type.event_type} needs at least one value here{more}"
        yield _fault(event_type, own[0], wrong)
    for name in own:
        for path, wrong in _wrong_values(name, getattr(given, name)):
            yield _fault(event_type, path, wrong)


def _is_required(event_type: EventType) -> bool:
    return event_type.filter_presence == catalogue_pb2.FILTER_PRESENCE_REQUIRED


def _either(fields: Iterable[str]) -> str:
    return " or ".join(f"filter.{name}" for name in fields)


def _wrong_values(field: str, values: Sequence[str | int]) -> Iterator[tuple[str, str]]:
    if len(values) > MOST_VALUES:
        yield field, f"at most {MOST_VALUES} values"
    for index, value in enumerate(values):
        if wrong := _wrong(field, value):
            yield f"{field}[{index}]", wrong


def _fault(event_type: EventType, path: str, description: str) -> FieldFault:
    needed = _FIELDS[event_type.filter_kind] if _is_required(event_type) else ()
    metadata = {"eventType": event_type.event_type, "required": " or ".join(needed)}
    return FieldFault(f"filter.{path}", description, "FILTER_INVALID", metadata)


def _distinct(values: Iterable[str], key: Callable[[str], str]) -> list[str]:
    found: dict[str, str] = {}
    for value in values:
        found.setdefault(key(value.strip()), value.strip())
    return list(found.values())


def _status(given: str) -> str:
    """
    Write a status as payloads show it; one that is not listed keeps the spelling of its label.
    """
    text = folded(given)
    if text.startswith(OTHER_STATUS):
        return OTHER_STATUS + given.partition(":")[2].strip()
    return text if text in _STATUSES else given


def _wrong(field: str, value: str | int) -> str | None:
    """
    Return what is wrong with a value of a filter.
    """
    if isinstance(value, int):
        return None if 1 <= value <= MOST_RESOURCE_ID else "must be 1 to 2^53 - 1"
    if value == "":
        return "must not be empty"
    if field != "statuses" or value in _STATUSES:
        return None
    return None if value.removeprefix(OTHER_STATUS) not in {value, ""} else _no_status(value)


def _no_status(value: str) -> str:
    near = difflib.get_close_matches(folded(value), _STATUSES, n=1)
    label = value.removeprefix(OTHER_STATUS) or "the label"
    suggestion = near[0] if near else f"{OTHER_STATUS}{label}"
    listed = ", ".join(ORDER_STATUSES.values())
    return (
        f"{value!r} is no status (did you mean {suggestion}?); there are {listed},"
        f" and {OTHER_STATUS} with the label of another one"
    )
