"""
Every field of a request that can name an account or a warehouse is authorised, or stands here
with the reason why it need not be.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from google.api import resource_pb2
from google.protobuf import message_factory
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from dispatch_service.api.warehouses import forbidden
from dispatch_service.payloads import check
from service_runtime.rpc.access import authorise
from service_runtime.rpc.callers import ROLES, Caller
from service_runtime.rpc.errors import PermissionDenied
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.unit.service_runtime.rpc.test_access import METHODS

NAMING = {
    "account": "account account_id",
    "any": "event name names owner owners parent",
    "config": "client_certificate credential settings subscription subscriptions",
    "warehouse": "warehouse warehouse_id warehouses",
}
"""
Names of fields that can name an owner, or something that belongs to one.
"""

_NAMES = frozenset(name for listed in NAMING.values() for name in listed.split(" "))

HARMLESS = {
    "event.*@PreviewPayload": "nothing is stored or sent of an event that is previewed",
    "event.*@DiffPayloadVersions": "nothing is stored or sent of an event that is previewed",
    "event.*warehouse*@SendTestEvent": "a test goes to one subscription, which is named",
    "event.endpoint_state_changed.subscription@SendTestEvent": "such an event is refused",
    "*.actor.name": "a person",
    "*.customer.name": "a person",
    "*.shipping_address.name": "a person",
    "*.store.name": "a store of the customer",
    "*.custom_headers.name": "a header of HTTP",
    "caller.name": "callers belong to nobody; only those for all owners manage them",
    "caller.owners": "only callers for all owners manage callers",
    "name@GetEventType": "the catalogue is the same for all",
    "endpoint_events.subscription": "only the dispatch service reports, for all owners",
    "events.endpoint_state_changed.subscription": "such an event cannot be published",
}
"""
Fields by path, and why nobody need be asked.
"""

MINE = Caller("callers/x", ROLES, frozenset({"accounts/100", "warehouses/mine"}))

Path = tuple[FieldDescriptor, ...]


def naming_fields(message: Descriptor, before: Path = ()) -> Iterator[Path]:
    """
    Yield the paths of all fields that can name an owner, at any depth.
    """
    for field in message.fields:
        path = (*before, field)
        if field.message_type is not None:
            if field.message_type not in [it.message_type for it in before]:
                yield from naming_fields(field.message_type, path)
        elif field.name in _NAMES or field.GetOptions().HasExtension(
            resource_pb2.resource_reference
        ):
            yield path


def shown(path: Path) -> str:
    """
    Write a path with dots.
    """
    return ".".join(field.name for field in path)


def is_harmless(method: str, path: Path) -> bool:
    """
    Tell whether a path is in the list, alone or with its method.
    """
    texts = (shown(path), f"{shown(path)}@{method.rpartition('/')[2]}")
    return any(fnmatch.fnmatch(text, pattern) for text in texts for pattern in HARMLESS)


CASES = [
    pytest.param(method, path, id=f"{method.rpartition('/')[2]}.{shown(path)}")
    for method, descriptor in METHODS.items()
    for path in naming_fields(descriptor.input_type)
    if not is_harmless(method, path)
]


def fill(message: Any, path: Sequence[FieldDescriptor]) -> None:
    """
    Set the field at *path* to what belongs to another owner.
    """
    field, inner = path[0], path[1:]
    if inner:
        value = getattr(message, field.name)
        fill(value.add() if field.is_repeated else value, inner)
        return
    text: Any = "accounts/200/things/x"
    if field.type == FieldDescriptor.TYPE_INT64:
        text = 200
    elif field.name.startswith("warehouse"):
        text = "theirs"
    if field.is_repeated:
        getattr(message, field.name).append(text)
    else:
        setattr(message, field.name, text)


def is_refused(method: str, request: Any) -> bool:
    """
    Tell whether a request, or an event in it, is refused to a caller of other owners.
    """
    for event in getattr(request, "events", ()):
        event.account_id = event.account_id or 100
    try:
        authorise(MINE, method, request)
    except PermissionDenied:
        return True
    return bool(forbidden(MINE, getattr(request, "events", ())))


@pytest.mark.parametrize(("method", "path"), CASES)
def test_owners_are_authorised(method: str, path: Path) -> None:
    """
    What names another's account or warehouse is refused, wherever it stands.
    """
    request = message_factory.GetMessageClass(METHODS[method].input_type)()
    fill(request, path)
    assert is_refused(method, request)


@pytest.mark.parametrize("pattern", HARMLESS)
def test_list_is_current(pattern: str) -> None:
    """
    Every entry of the list stands for a field.
    """
    assert any(
        fnmatch.fnmatch(text, pattern)
        for method in METHODS.values()
        for path in naming_fields(method.input_type)
        for text in (shown(path), f"{shown(path)}@{method.name}")
    )


def test_events_of_endpoints_cannot_be_published() -> None:
    """
    As the list says.
    """
    event = Event(event_id="e", account_id=100)
    event.endpoint_state_changed.subscription = "accounts/200/subscriptions/x"
    assert [path for path, _ in check(event)] == ["endpoint_state_changed"]


def test_own_warehouses_and_labels_pass() -> None:
    """
    A warehouse of the caller's own and texts that are no ids of warehouses are no reason.
    """
    event = Event(event_id="e", account_id=100, warehouses=["mine"])
    event.inventory_corrected.warehouse = "Main hall, row 7"
    assert forbidden(MINE, [event]) == {}
    event.inventory_corrected.warehouse = "theirs"
    event.warehouses.append("alien")
    assert forbidden(MINE, [Event(), event])[1].metadata["owner"] == "warehouses/alien"
    everywhere = Caller("callers/x", ROLES, frozenset({"accounts/100", "warehouses/-"}))
    assert forbidden(everywhere, [event]) == {}
