"""
Properties of the bodies of all events that can be published.
"""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from decimal import Decimal
from functools import cache

import msgspec
import pytest
from google.type.money_pb2 import Money
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from dispatch_service.payloads import CONTRACTS, check, example_event, render, schema
from dispatch_service.payloads.core.builder_types import Builder, Key
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.support.event_strategies import events, system_events
from tests.support.profiles import expensive

_EXPENSIVE = expensive(few=25)

_DIGESTS = """
import sys
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.unit.dispatch_service.payloads.test_properties import digests
sys.stdout.write("\\n".join(digests(Event.FromString(bytes.fromhex(line)) for line in sys.stdin)))
"""


def _raised(event: Event) -> Iterator[Key]:
    """
    Yield the payload versions in which *event* can be rendered.
    """
    field = event.WhichOneof("payload")
    return (key for key, contract in CONTRACTS.items() if field in contract.raised_by)


def digests(published: Iterable[Event]) -> list[str]:
    """
    Return the digest of every body of *published*.
    """
    return [
        hashlib.sha256(render(event, *key)).hexdigest()
        for event in published
        for key in _raised(event)
    ]


@cache
def _validator(key: Key) -> Draft202012Validator:
    """
    Make a validator that refuses keys outside the contract.
    """
    document = schema(*key)
    for part in (document, *document["$defs"].values()):
        part["additionalProperties"] = False
    return Draft202012Validator(document)


def _validate(event: Event) -> None:
    """
    Render *event* in every payload version, and validate one body of each shape.
    """
    validated: set[Builder] = set()
    for key in _raised(event):
        body = render(event, *key)
        contract = CONTRACTS[key]
        decoded = msgspec.json.decode(body)
        assert decoded["event"] == contract.topic
        if contract.build not in validated:
            validated.add(contract.build)
            _validator(key).validate(decoded)


@pytest.mark.slow
@_EXPENSIVE
@given(events())
def test_schemas_hold(event: Event) -> None:
    """
    Every body of a published event satisfies its schema, without further keys.
    """
    _validate(event)


@pytest.mark.slow
@_EXPENSIVE
@given(system_events)
def test_schemas_of_system_events_hold(event: Event) -> None:
    """
    Every body of a system event satisfies its schema, without further keys.
    """
    _validate(event)


def _exact(money: Money) -> Decimal:
    return Decimal(money.units) + Decimal(money.nanos).scaleb(-9)


@pytest.mark.slow
@_EXPENSIVE
@given(events("order_refunded"))
def test_money_is_exact(event: Event) -> None:
    """
    Rendering and encoding keep all digits of an amount.
    """
    refund = event.order_refunded
    shown = msgspec.json.Decoder(float_hook=Decimal).decode(render(event, "orders/refund", "v2"))
    latest = msgspec.json.decode(render(event, "orders/refund", "v3"))

    assert shown["refund_total"] == _exact(refund.total)
    assert Decimal(latest["data"]["refund"]["total"]["amount"]) == _exact(refund.total)
    assert [item["amount"] for item in shown["items"]] == [
        _exact(item.subtotal) if item.HasField("subtotal") else None for item in refund.items
    ]


@pytest.mark.slow
@_EXPENSIVE
@given(events())
def test_bytes_depend_on_the_event_alone(event: Event) -> None:
    """
    An event that was serialised and parsed gives the same bytes.
    """
    assert digests([event]) == digests([Event.FromString(event.SerializeToString())])


@pytest.mark.slow
@settings(expensive(few=1, many=20), phases=[Phase.generate])
@given(st.lists(events(), min_size=12, max_size=12))
def test_other_processes_give_the_same_bytes(published: list[Event]) -> None:
    """
    Another process with another hash seed renders the same bytes.
    """
    published += [example_event(event_type) for event_type, version in CONTRACTS if version == "v3"]
    seed = "1" if os.environ.get("PYTHONHASHSEED") != "1" else "2"
    other = subprocess.run(
        [sys.executable, "-c", _DIGESTS],
        input="\n".join(event.SerializeToString().hex() for event in published),
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": seed},
        capture_output=True,
        check=True,
        text=True,
    )

    assert other.stdout.split() == digests(published)


@pytest.mark.slow
def test_largest_order_is_rendered_in_full() -> None:
    """
    An order with the maximum number of lines is rendered in full.
    """
    event = example_event("orders/shipped")
    items = event.order_status_changed.order.items
    for number in range(2, 999):
        items.add(line_id=str(number), sku=f"PROD-{number:03d}", quantity=number)

    assert check(event) == []
    for version in ("v1", "v2", "v3"):
        _validator(("orders/shipped", version)).validate(
            msgspec.json.decode(render(event, "orders/shipped", version))
        )
    assert render(event, "orders/shipped", "v2").count(b'"sku":') == 998
