"""
The fast path of validation: it accepts no invalid event, and nearly all valid ones.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.decimal_pb2 import Decimal
from google.type.money_pb2 import Money
from hypothesis import given

from dispatch_service.payloads import CONTRACTS, example_event
from dispatch_service.payloads.checks import rules
from dispatch_service.payloads.checks.events import MAX_LINES, find_faults, is_certainly_valid
from dispatch_service.payloads.checks.fast_path import expression
from dispatch_service.payloads.core.enum_strings import OTHER
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.support.event_strategies import events
from tests.support.profiles import expensive

_EVENT_TYPES = sorted({name for name, _ in CONTRACTS})
_NUMBERS = (-(2**53), -(2**53) + 1, -1, 0, 1, 2**31 - 1, 2**53 - 1, 2**53)
_NANOS = (-(10**9), -999_999_999, -(10**7), -1, 0, 1, 999, 1000, 10**7, 999_999_999, 10**9)
_SECONDS = (rules.FIRST_SECOND - 1, rules.FIRST_SECOND, 0, rules.LAST_SECOND, rules.LAST_SECOND + 1)
_AMOUNTS = [
    Money(units=units, nanos=nanos, currency_code=code)
    for units in (-1, 0, 1)
    for nanos in _NANOS
    for code in ("", "usd", "USD", "JPY", "KWD")
]
_VALUES: list[tuple[rules.Rule, list[Any]]] = [
    *((rule, list(_NUMBERS)) for rule in (rules.count, rules.required_id, rules.signed_count)),
    (rules.required_text, ["", " ", "a"]),
    (rules.moment, [Timestamp(seconds=s, nanos=n) for s in _SECONDS for n in _NANOS]),
    (rules.decimal, [Decimal(value=it) for it in ("", "1.5", "-1e3", "NaN", "1_0", " 8", "x")]),
    (rules.money, _AMOUNTS),
    (rules.unit_price, _AMOUNTS),
    (rules.signed_money, _AMOUNTS),
]


@pytest.mark.parametrize(
    ("rule", "values"), _VALUES, ids=lambda value: getattr(value, "__name__", "")
)
def test_expressions_agree_with_their_rules(rule: rules.Rule, values: list[Any]) -> None:
    """
    The expression of a rule accepts exactly the values that the rule accepts.
    """
    text = expression(rule, "value")
    assert text is not None

    for value in values:
        known = {
            "value": value,
            "currencies": {},
            "add_currency": rules.add_currency,
            "is_decimal": rules.is_decimal,
        }
        assert bool(eval(text, known)) == (rule(value) is None), value  # noqa: S307 - our own text


@pytest.mark.parametrize("event_type", _EVENT_TYPES)
def test_examples_take_the_fast_path(event_type: str) -> None:
    """
    Example events take the fast path; events that only the service raises never do.
    """
    event = example_event(event_type)
    system = event.WhichOneof("payload") == "endpoint_state_changed"

    assert is_certainly_valid(event, event.SerializeToString()) == (not system)


def test_second_currency_is_found_in_every_amount() -> None:
    """
    A second currency is found in every kind of amount.
    """
    for name in ("subtotal", "shipping", "tax", "discount", "total"):
        event = example_event("orders/shipped")
        amount = getattr(event.order_status_changed.order.totals, name)
        amount.CopyFrom(Money(units=1, currency_code="EUR"))
        content = event.SerializeToString()

        assert not is_certainly_valid(event, content), name
        assert find_faults(event, content)


@pytest.mark.slow
@pytest.mark.parametrize("event_type", _EVENT_TYPES)
def test_fast_path_accepts_no_fault(event_type: str) -> None:
    """
    The fast path accepts no event with a fault, whichever field has it.
    """
    for changed, event in _changed_copies(example_event(event_type)):
        content = event.SerializeToString()
        if is_certainly_valid(event, content):
            assert find_faults(event, content) == [], changed


@pytest.mark.slow
@expensive(few=25)
@given(events())
def test_valid_events_take_the_fast_path(event: Event) -> None:
    """
    A valid random event takes the fast path, unless it is large or has `OTHER` or a NUL.
    """
    content = event.SerializeToString()

    if not is_certainly_valid(event, content):
        exempt = b"\0" in content or len(content) >= 2 * MAX_LINES
        assert exempt or any(value == OTHER for value in _scalars_of(event))


def _changed_copies(example: Event) -> Iterator[tuple[str, Event]]:
    """
    Yield copies of an event, each with one change of one field.
    """
    for path, field in _fields(example, ()):
        for number, change in enumerate(_changes(field)):
            event = Event.FromString(example.SerializeToString())
            message: Any = event
            for step in path:
                message = getattr(message, step)
                message = message if isinstance(message, Message) else message[0]
            change(message)
            yield f"{'.'.join(path)}.{field.name}, change {number}", event


def _fields(message: Message, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """
    Yield the path and descriptor of every field; for lists, those of the first element.
    """
    for field in message.DESCRIPTOR.fields:
        yield path, field
        if field.message_type is None:
            continue
        value = getattr(message, field.name)
        if field.is_repeated:
            for part in value[:1]:
                yield from _fields(part, (*path, field.name))
        elif message.HasField(field.name):
            yield from _fields(value, (*path, field.name))


def _changes(field: FieldDescriptor) -> Iterator[Callable[[Any], object]]:
    """
    Yield changes of a field: clear it, empty it, set it to values at its bounds.
    """
    name = field.name
    yield lambda message: message.ClearField(name)
    if field.message_type is not None and field.is_repeated:
        yield lambda message: getattr(message, name).add()
    elif field.message_type is not None:
        yield lambda message: (message.ClearField(name), getattr(message, name).SetInParent())
    elif field.is_repeated:
        yield from (partial(_append, name=name, value=it) for it in ("", "a/b"))
    else:
        yield from (partial(_set, name=name, value=it) for it in _scalars(field))


def _append(message: Any, name: str, value: str) -> None:
    getattr(message, name).append(value)


def _set(message: Any, name: str, value: object) -> None:
    setattr(message, name, value)


def _scalars(field: FieldDescriptor) -> Sequence[object]:
    """
    Return values at the bounds of the type of a field.
    """
    if field.enum_type is not None:
        return (0, 1, 77, OTHER)
    if field.cpp_type == FieldDescriptor.CPPTYPE_STRING:
        return ("", "a", "USD", "EUR", "\0", "1.5", "x" * 65)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return (False, True)
    small = field.cpp_type == FieldDescriptor.CPPTYPE_INT32
    numbers = (*_NUMBERS, *_NANOS, *_SECONDS)
    return [it for it in numbers if not small or -(2**31) <= it < 2**31]


def _scalars_of(message: Message) -> Iterator[object]:
    """
    Yield all scalar values in a message.
    """
    for field, value in message.ListFields():
        for part in value if field.is_repeated else [value]:
            if isinstance(part, Message):
                yield from _scalars_of(part)
            else:
                yield part
