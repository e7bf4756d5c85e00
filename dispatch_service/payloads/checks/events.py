"""
Validation of an event: one sentence for each field that breaks a rule. Pure.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.unknown_fields import UnknownFieldSet
from google.type.money_pb2 import Money

from dispatch_service.payloads.checks.fast_path import FastCheck, fast_check_of
from dispatch_service.payloads.checks.messages import Check, Fault, checks_of, faults, prefixed
from dispatch_service.payloads.checks.rules import Currencies
from dispatch_service.payloads.core.enum_strings import OTHER
from dispatch_service.payloads.core.warehouses import most_named_in, warehouses_of
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.inventory_pb2 import InventoryCorrected, InventoryLevelsChanged
from shipedge.webhooks.events.v1.order_events_pb2 import OrderStatusChanged

MAX_EVENT_BYTES: Final = 256 * 1024
MAX_LINES: Final = 1000
MAX_WAREHOUSES: Final = 100

# A line takes at least two bytes, its tag and its length: a smaller event cannot have too many.
_BYTES_OF_MAX_LINES = 2 * MAX_LINES

_RAISED_HERE: Final = "endpoint_state_changed"

# The numbers of fields from which on they are payloads.
_FIRST_PAYLOAD: Final = 20

_ENVELOPE = checks_of(Event.DESCRIPTOR)
_PAYLOADS: Final[Mapping[str, Sequence[Check]]] = {
    field.name: checks_of(field.message_type)
    for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields
}

_ENVELOPE_CHECK = fast_check_of(Event.DESCRIPTOR)
_FAST_CHECKS: Final[Mapping[str, FastCheck]] = {
    field.name: fast_check_of(field.message_type)
    for field in Event.DESCRIPTOR.oneofs_by_name["payload"].fields
    if field.message_type is not None and field.name != _RAISED_HERE
}


def check(event: Event, content: bytes | None = None) -> list[Fault]:
    """
    Find all faults of *event*; most events have none.

    A path names a field, starting at the event, for example
    `order_status_changed.order.items[3].quantity`. *content* is the serialised event, if the
    caller has it.
    """
    if content is None:
        content = event.SerializeToString()
    return [] if is_certainly_valid(event, content) else find_faults(event, content)


def is_certainly_valid(event: Event, content: bytes) -> bool:
    """
    Recognise an event that is certainly valid. False means that `find_faults` must decide.
    """
    field = event.WhichOneof("payload") or ""
    stated_zeros = _FAST_CHECKS.get(field)
    if stated_zeros is None or len(content) >= _BYTES_OF_MAX_LINES:
        return False
    payload = getattr(event, field)
    currencies: Currencies = {}
    rule = _PAYLOAD_RULES.get(field)
    warehouses = event.warehouses[:]
    return (
        (rule is None or not rule(payload))
        and len(warehouses) + most_named_in(field, payload) <= MAX_WAREHOUSES
        and all(map(_may_be_warehouse, warehouses))
        and _ENVELOPE_CHECK(event, currencies) == 0
        # With any other zero byte a text may have a NUL.
        and stated_zeros(payload, currencies) == content.count(b"\0")
        and len(currencies) <= 1
    )


def find_faults(event: Event, content: bytes) -> list[Fault]:
    """
    Find all faults of *event*, whose serialisation is *content*.
    """
    field = event.WhichOneof("payload")
    if field is None:
        return [*_envelope_faults(event), ("payload", _missing_payload(event))]
    if field == _RAISED_HERE:
        return [(field, "cannot be published: the dispatch service raises it itself")]
    if len(content) > MAX_EVENT_BYTES:
        return [(field, f"the event must not be larger than {MAX_EVENT_BYTES} bytes")]
    found = _envelope_faults(event)
    if wrong := _payload_faults(getattr(event, field), field, len(content)):
        found += prefixed(field, wrong)
    if b"\0" in content:
        found += _nul_faults(event)
    return found


def _missing_payload(event: Event) -> str:
    """
    Say why *event* has no payload: it may be of a later release, which this one cannot read.
    """
    unknown = UnknownFieldSet(event)
    if any(unknown[it].field_number >= _FIRST_PAYLOAD for it in range(len(unknown))):
        return "is of a kind that this service does not know: upgrade services before publishers"
    return "is required"


def _may_be_warehouse(warehouse: str) -> bool:
    return warehouse != "" and "/" not in warehouse


def _envelope_faults(event: Event) -> list[Fault]:
    found = faults(event, _ENVELOPE, set())
    if len(warehouses_of(event)) > MAX_WAREHOUSES:
        found.append(("warehouses", f"must be {MAX_WAREHOUSES} at most, those of the payload too"))
        return found
    for index, warehouse in enumerate(event.warehouses):
        if not _may_be_warehouse(warehouse):
            found.append((f"warehouses[{index}]", "must be an id, without a slash"))
    return found


def _payload_faults(payload: Message, field: str, size: int) -> list[Fault]:
    """
    Check *payload*, the field *field* of an event of *size* bytes.

    Paths start at the payload; the path of a fault of the whole payload is empty.
    """
    currencies: set[str] = set()
    found = faults(payload, _PAYLOADS[field], currencies)
    if rule := _PAYLOAD_RULES.get(field):
        found += rule(payload)
    if len(currencies) > 1:
        found += _currency_faults(payload, currencies)
    if size >= _BYTES_OF_MAX_LINES and (lines := _count_lines(payload)) > MAX_LINES:
        found.append(("", f"must not have more than {MAX_LINES} lines in all, has {lines}"))
    return found


def _status_faults(change: OrderStatusChanged) -> list[Fault]:
    order = change.order
    if not order.status:
        return []
    if order.status != change.to_status:
        return [("order.status", "must be to_status where it is set")]
    if order.status == OTHER and order.status_label != change.to_label:
        return [("order.status_label", "must be to_label where both statuses are OTHER")]
    return []


def _adjustment_faults(correction: InventoryCorrected) -> list[Fault]:
    if correction.adjustment == correction.new_quantity - correction.previous_quantity:
        return []
    if not (
        correction.HasField("adjustment")
        and correction.HasField("new_quantity")
        and correction.HasField("previous_quantity")
    ):
        return []  # Each that is missing is named by itself.
    return [("adjustment", "must be new_quantity minus previous_quantity")]


def _level_faults(change: InventoryLevelsChanged) -> list[Fault]:
    return [("levels", "must be exactly one")] if len(change.levels) > 1 else []


_PAYLOAD_RULES: Final[Mapping[str, Callable[[Any], list[Fault]]]] = {
    "order_status_changed": _status_faults,
    "inventory_corrected": _adjustment_faults,
    "inventory_levels_changed": _level_faults,
}


def _walk(message: Message) -> Iterator[tuple[str, FieldDescriptor, Any]]:
    """
    Yield the path, the descriptor and the value of every field that is set in *message*.

    Slow: only for events that are invalid or large.
    """
    for field, content in message.ListFields():
        values = enumerate(content) if field.is_repeated else [(None, content)]
        for index, value in values:
            path = field.name if index is None else f"{field.name}[{index}]"
            yield path, field, value
            if field.message_type is not None:
                for inner, inner_field, inner_value in _walk(value):
                    yield f"{path}.{inner}", inner_field, inner_value


def _currency_faults(payload: Message, currencies: set[str]) -> list[Fault]:
    amounts = [
        (path, value)
        for path, _, value in _walk(payload)
        if isinstance(value, Money) and value.currency_code in currencies
    ]
    first = amounts[0][1].currency_code
    return [
        (path, f"must be in {first} as the other amounts of the order")
        for path, money in amounts
        if money.currency_code != first
    ]


def _nul_faults(event: Event) -> list[Fault]:
    return [
        (path, "must not have a NUL character")
        for path, _, value in _walk(event)
        if isinstance(value, str) and "\0" in value
    ]


def _count_lines(payload: Message) -> int:
    """
    Count all lines: of the order, of its packages, of a receipt.
    """
    return sum(field.name in {"items", "levels"} for _, field, _ in _walk(payload))
