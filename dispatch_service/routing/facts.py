"""
The facts of an event: which event types it raises, whom it concerns, and what filters compare.
No I/O, no clock.

All knowledge of event types comes from the catalogue in the contract.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from dispatch_service.payloads.core.enum_strings import OTHER
from dispatch_service.payloads.core.warehouses import warehouses_with
from dispatch_service.payloads.orders.values import shipping_methods
from service_runtime.rpc import names
from service_runtime.rules.texts import folded
from shipedge.webhooks.catalogue import CATALOGUE, EventType
from shipedge.webhooks.events.v1 import event_pb2, order_pb2
from shipedge.webhooks.order_statuses import ORDER_STATUSES, OTHER_STATUS


class Facts(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    The facts of an event that matching needs. Values that only filters compare are read from the
    *payload* on demand.

    *owners* are the account, then the warehouses that the event names, in envelope or payload.
    """

    domain_event: str
    owners: tuple[str, ...]
    warehouses: tuple[str, ...]
    resource: str
    event_types: tuple[EventType, ...]
    channel: str
    payload: Any

    @property
    def status(self) -> str:
        """
        The new status of an order, `other:` and the label where it is not listed; empty without
        one.
        """
        status = getattr(self.payload, "to_status", 0)
        if status == OTHER:
            return f"{OTHER_STATUS}{folded(self.payload.to_label)}"
        return ORDER_STATUSES.get(status, "")

    @property
    def shipping_methods(self) -> frozenset[str]:
        """
        The methods of all shipments of the order; the requested one where they name none.
        """
        order = self._order
        return frozenset() if order is None else frozenset(map(folded, shipping_methods(order)))

    @property
    def store_id(self) -> int:
        """
        The number of the order's store; 0 without an order.
        """
        return 0 if self._order is None else self._order.store.id

    @property
    def channels(self) -> frozenset[str]:
        """
        The sales channels of the envelope and of the order: mostly one.
        """
        of_order = "" if self._order is None else self._order.channel
        return frozenset({folded(self.channel), folded(of_order)} - {""})

    @property
    def order_type(self) -> str:
        return "" if self._order is None else folded(self._order.type)

    @property
    def skus(self) -> frozenset[str]:
        """
        The SKUs that the event is about; of an order all that were ordered.
        """
        if self.domain_event == "order_status_changed":
            return frozenset(item.sku for item in self.payload.order.items)
        if self.domain_event == "order_items_status_changed":
            return frozenset(item.sku for item in self.payload.items)
        return frozenset()

    @property
    def _order(self) -> order_pb2.Order | None:
        return getattr(self.payload, "order", None)


def read_facts(event: event_pb2.Event) -> Facts:
    """
    Read the facts of an event that has passed the checks.
    """
    name = event.WhichOneof("payload") or ""
    payload = getattr(event, name)
    warehouses = warehouses_with(event, name, payload)
    return Facts(
        domain_event=name,
        event_types=_raised(name, event, payload),
        resource=resource_of(name, payload),
        owners=(names.account(event.account_id), *map(names.warehouse, warehouses)),
        warehouses=tuple(warehouses),
        channel=event.channel,
        payload=payload,
    )


def resource_of(field: str, payload: Any) -> str:
    """
    Return the resource that an event is about: its ordering key.

    *field* is the field of `Event.payload` that holds *payload*.
    """
    return _RESOURCES[field](payload)


def _of_order(payload: Any) -> str:
    return f"orders/{payload.order.id}"


def _of_level(payload: Any) -> str:
    return f"inventory/{payload.levels[0].warehouse}/{payload.levels[0].sku}"


_RESOURCES: Mapping[str, Callable[[Any], str]] = {
    "order_status_changed": _of_order,
    "order_items_status_changed": _of_order,
    "order_updated": _of_order,
    "order_sent_to_fulfillment": _of_order,
    "order_refunded": _of_order,
    "inventory_corrected": lambda payload: f"inventory/{payload.warehouse}/{payload.sku}",
    "inventory_levels_changed": _of_level,
    "replenishment_initiated": lambda payload: f"replenishments/{payload.replenishment.id}",
    "replenishment_received": lambda payload: f"replenishments/{payload.replenishment.id}",
    "return_initiated": lambda payload: f"returns/{payload.return_order.id}",
    "return_received": lambda payload: f"returns/{payload.return_order.id}",
    "endpoint_state_changed": lambda payload: payload.subscription,
}


def _raised(name: str, event: event_pb2.Event, payload: Any) -> tuple[EventType, ...]:
    if name == "order_status_changed" and _status_stays(payload):
        return ()
    return _raised_by(name, tuple([read(event, payload) for read in _READERS[name]]))


@lru_cache(maxsize=4096)
def _raised_by(name: str, values: tuple[int, ...]) -> tuple[EventType, ...]:
    """
    Return the event types for the values that their conditions ask for; these are few.
    """
    known = dict(zip(_ASKED[name], values, strict=True))
    return tuple(
        event_type
        for event_type, conditions in _RAISED_BY[name]
        if all(known[it] == value for it, value in conditions)
    )


def _status_stays(payload: Any) -> bool:
    return bool(payload.from_status == payload.to_status and payload.from_label == payload.to_label)


_CONDITIONS: Mapping[str, Callable[[event_pb2.Event, Any], int]] = {
    "to_status": lambda _, payload: payload.to_status,
    "item_status": lambda _, payload: payload.item_status,
    "fulfillment_type": lambda _, payload: payload.order.fulfillment_type,
    "destination": lambda _, payload: payload.destination,
    "return_type": lambda _, payload: payload.return_order.type,
    "source": lambda event, _: event.source,
    "endpoint_change": lambda _, payload: payload.state,
}


_RAISED_BY = {
    field.name: CATALOGUE.raised_by(field.name)
    for field in event_pb2.Event.DESCRIPTOR.oneofs_by_name["payload"].fields
}

_ASKED: Mapping[str, tuple[str, ...]] = {
    field: tuple(dict.fromkeys(name for _, conditions in raised for name, _ in conditions))
    for field, raised in _RAISED_BY.items()
}
"""
The fields that conditions of event types ask for, by the field of `Event.payload`.
"""

_READERS = {field: tuple(_CONDITIONS[it] for it in asked) for field, asked in _ASKED.items()}
