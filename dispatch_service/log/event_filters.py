"""
The filters of `ListEvents`: their fields, and the SQL of their comparisons.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from dispatch_service.domain.erasure_subjects import Hashed, order_number_hash
from dispatch_service.storage.schema import deliveries, events
from dispatch_service.storage.warehouse_lists import made_for_warehouses
from service_runtime.rpc import filters, names
from service_runtime.rpc.filters import Comparison, FieldKind
from shipedge.webhooks.events.v1 import event_pb2

KINDS = tuple(it.name for it in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields)
"""
The kinds of events: the fields of `Event.payload`.
"""


def _truth(value: str) -> str:
    """
    Read `true` or `false`, in any case. Raises `ValueError`.
    """
    if value.lower() not in {"true", "false"}:
        raise ValueError(value)
    return value.lower()


EVENT_FIELDS: Mapping[str, FieldKind] = {
    "accept_time": filters.instant(),
    "kind": filters.text_that(f"one of {', '.join(KINDS)}", lambda value: value in KINDS),
    "resource": filters.text(),
    "order_number": FieldKind("a text", ("=",), str),
    "has_deliveries": FieldKind("true or false", ("=",), _truth),
}

_COLUMNS: Mapping[str, sa.Column[Any]] = {
    "accept_time": events.c.accept_time,
    "kind": events.c.domain_event,
    "resource": events.c.resource,
}
_ORDER = re.compile(r"orders/([1-9][0-9]{0,15})")


def parse_event_filter(source: str) -> tuple[Comparison, ...]:
    """
    Parse the filter of `ListEvents`. Raises `InvalidArgument`.
    """
    return filters.parse(source, EVENT_FIELDS)


def has_order_number(comparisons: Sequence[Comparison]) -> bool:
    """
    Tell whether a filter asks for the events of an order by its number.
    """
    return any(it.field == "order_number" for it in comparisons)


def is_of_few(comparisons: Sequence[Comparison]) -> bool:
    """
    Tell whether an index finds the few events of an account that a filter asks for.
    """
    return has_order_number(comparisons) or any(map(_order_id, comparisons))


def has_lower_bound(comparisons: Sequence[Comparison]) -> bool:
    """
    Tell whether a filter says from when on events were accepted.
    """
    return any(it.field == "accept_time" and it.operator in {">", ">=", "="} for it in comparisons)


def _order_id(comparison: Comparison) -> int | None:
    if comparison.field != "resource" or comparison.operator != "=":
        return None
    found = _ORDER.fullmatch(str(comparison.value))
    return int(found[1]) if found else None


def event_conditions(
    comparisons: Sequence[Comparison], hashed: Hashed, owners: Collection[str], dialect: str
) -> Iterator[sa.ColumnElement[bool]]:
    """
    Yield the conditions of a filter, for a caller who may access *owners*.
    """
    for comparison in comparisons:
        match comparison.field:
            case "order_number":
                wanted = order_number_hash(hashed, str(comparison.value))
                yield events.c.order_number_hash == wanted
            case "has_deliveries":
                made = _has_deliveries(owners, dialect)
                yield made if comparison.value == "true" else sa.not_(made)
            case field:
                compare = filters.COMPARE[comparison.operator]
                yield compare(_COLUMNS[field], comparison.value)
        if (order_id := _order_id(comparison)) is not None:
            # For this there is an index.
            yield events.c.order_id == order_id


def _has_deliveries(owners: Collection[str], dialect: str) -> sa.ColumnElement[bool]:
    """
    Return the condition that an event has deliveries of its account, or of its warehouses as far
    as they are among *owners*.
    """
    columns = deliveries.c
    same = (columns.account == events.c.account, columns.event_id == events.c.event_id)
    account = sa.literal("accounts/") + sa.cast(events.c.account, sa.Text)
    of_account = sa.exists().where(columns.owner == account, *same)
    if "warehouses/-" in owners:
        return sa.or_(of_account, made_for_warehouses(deliveries, dialect))
    warehouses = sorted(filter(names.is_warehouse, owners))
    return sa.or_(of_account, sa.exists().where(columns.owner.in_(warehouses), *same))
