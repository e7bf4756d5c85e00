"""
Payload contracts agree with the catalogue, the golden files and the protos.
"""

from collections.abc import Iterator
from functools import cache
from operator import attrgetter
from typing import Any, Final

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.type.money_pb2 import Money
from msgspec import Struct, inspect

from dispatch_service.payloads import CONTRACTS, check, example_event
from dispatch_service.payloads.core.money import Price
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.contract.payload_sources import NOT_SHOWN, SOURCES, TOP
from tests.support.goldens import FOLDER, golden_path


def test_event_types_have_all_versions() -> None:
    """
    The 34 event types of customers have three versions each; system event types have one.
    """
    own = [key for key, contract in CONTRACTS.items() if not contract.event_type.system]

    assert len({event_type for event_type, _ in own}) == 34
    assert sorted({version for _, version in own}) == ["v1", "v2", "v3"]
    assert (len(own), len(CONTRACTS)) == (102, 105)


def test_golden_files_are_complete() -> None:
    """
    Every contract has a golden file, and every golden file a contract.
    """
    assert {golden_path(*key) for key in CONTRACTS} == set(FOLDER.iterdir())


def _condition(event: Event, payload: Any, name: str) -> int:
    """
    Return the value that a condition of the catalogue compares.
    """
    if name == "source":
        return event.source
    paths = {
        "fulfillment_type": "order.fulfillment_type",
        "return_type": "return_order.type",
        "endpoint_change": "state",
    }
    value: int = attrgetter(paths.get(name, name))(payload)
    return value


@pytest.mark.parametrize("event_type", CATALOGUE.event_types)
def test_examples_raise_their_event_type(event_type: str) -> None:
    """
    An example is valid and meets the conditions of its event type.
    """
    event = example_event(event_type)
    field = event.WhichOneof("payload") or ""
    conditions = [
        conditions
        for raised, conditions in CATALOGUE.raised_by(field)
        if raised.event_type == event_type
    ]

    assert conditions
    for name, value in conditions[0]:
        assert _condition(event, getattr(event, field), name) == value
    if not CATALOGUE.event_types[event_type].system:
        assert check(event) == []


def _messages() -> dict[str, Descriptor]:
    """
    Return the messages of events by name.
    """
    found: dict[str, Descriptor] = {"Money": Money.DESCRIPTOR}

    def visit(message: Descriptor) -> None:
        if message.file.package == Event.DESCRIPTOR.file.package and message.name not in found:
            found[message.name] = message
            for field in message.fields:
                if field.message_type is not None:
                    visit(field.message_type)

    visit(Event.DESCRIPTOR)
    return found


_MESSAGES: Final = _messages()


@cache
def _fields(shape: type[Struct]) -> tuple[inspect.Field, ...]:
    described = inspect.type_info(shape)
    assert isinstance(described, inspect.StructType)
    return described.fields


def _shapes(shape: type[Struct]) -> Iterator[type[Struct]]:
    """
    Yield *shape* and all shapes within it.
    """

    def within(part: inspect.Type) -> Iterator[type[Struct]]:
        if isinstance(part, inspect.StructType):
            yield from _shapes(part.cls)
        elif isinstance(part, inspect.ListType):
            yield from within(part.item_type)
        elif isinstance(part, inspect.UnionType):
            for choice in part.types:
                yield from within(choice)
        elif isinstance(part, inspect.Metadata):
            yield from within(part.type)

    yield shape
    for field in _fields(shape):
        yield from within(field.type)


def _leaves(shape: type[Struct]) -> list[str]:
    """
    List the fields of *shape* that hold a value, not a shape; a price counts as a value.
    """
    return [field.name for field in _fields(shape) if not _nests(field.type)]


def _nests(part: inspect.Type) -> bool:
    if isinstance(part, inspect.ListType):
        return _nests(part.item_type)
    if isinstance(part, inspect.UnionType):
        return any(_nests(choice) for choice in part.types)
    if isinstance(part, inspect.Metadata):
        return _nests(part.type)
    return isinstance(part, inspect.StructType) and part.cls is not Price


_SHAPES: Final = list(
    dict.fromkeys(part for contract in CONTRACTS.values() for part in _shapes(contract.shape))
)
_BODIES: Final = {contract.shape for contract in CONTRACTS.values()}


def _origin(shape: type[Struct], leaf: str) -> str:
    """
    Return the source of *leaf* of *shape*.
    """
    source = SOURCES[shape]
    common = TOP if shape in _BODIES else {}
    return source.leaves.get(leaf) or common.get(leaf) or f"{source.message}.{leaf}"


@pytest.mark.parametrize("shape", _SHAPES, ids=lambda shape: shape.__name__)
def test_every_leaf_has_a_source(shape: type[Struct]) -> None:
    """
    Every field of a body has a source in the contract, or a stated reason.
    """
    for leaf in _leaves(shape):
        origin = _origin(shape, leaf)
        if not origin.startswith("= "):
            message, _, field = origin.partition(".")
            assert field in _MESSAGES[message].fields_by_name, f"{shape.__name__}.{leaf}"


def test_sources_are_needed() -> None:
    """
    Sources are listed only for shapes of contracts.
    """
    assert set(SOURCES) == set(_SHAPES)


def _is_leaf(field: FieldDescriptor) -> bool:
    """
    Tell whether a field of the contract holds a value; a label belongs to its enum.
    """
    nested = field.message_type is not None and field.message_type.name in _MESSAGES
    return not field.name.endswith("_label") and (
        not nested or field.message_type is Money.DESCRIPTOR
    )


def test_every_field_is_shown() -> None:
    """
    Every field of the contract is shown in some body, or has a stated reason.
    """
    shown = {
        origin
        for shape in _SHAPES
        for leaf in _leaves(shape)
        for origin in (_origin(shape, leaf), f"{SOURCES[shape].also}.{leaf}")
    }
    stated = {
        f"{message.name}.{field.name}"
        for message in _MESSAGES.values()
        for field in message.fields
        if _is_leaf(field)
    }

    assert stated - shown == set(NOT_SHOWN)
