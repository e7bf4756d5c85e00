"""
The shipments of each item of an order that went out in several.
"""

from typing import Any

import msgspec
import pytest

from dispatch_service.payloads import check, example_event, render
from shipedge.webhooks.events.v1.event_pb2 import Event
from shipedge.webhooks.events.v1.order_pb2 import OrderItem, Package, PackageItem, Shipment

_Taken = list[tuple[str | None, str | None, int | None]]


def _shipment(number: str, *packed: PackageItem, package: str = "") -> Shipment:
    """
    Make a shipment of the id and tracking number *number*, with one package.
    """
    packages = [Package(tracking_number=package, items=packed)] if packed else []
    return Shipment(id=number, tracking_number="" if package else number, packages=packages)


def _event(items: list[OrderItem], shipments: list[Shipment]) -> Event:
    event = example_event("orders/shipped_items")
    order = event.order_status_changed.order
    order.ClearField("items")
    order.ClearField("shipments")
    order.items.extend(items)
    order.shipments.extend(shipments)
    assert check(event) == []
    return event


def _shown(event: Event, version: str) -> list[_Taken]:
    """
    Return id, tracking number and quantity of the shipments of each item.
    """
    body: Any = msgspec.json.decode(render(event, "orders/shipped_items", version))
    items = body["items"] if version == "v2" else body["data"]["items"]
    return [
        [(it["id"], it["tracking_number"], it["quantity"]) for it in item["shipments"]]
        for item in items
    ]


def _a(quantity: int = 1, line_id: str = "", **more: Any) -> OrderItem:
    return OrderItem(sku="A", quantity=quantity, line_id=line_id, **more)


CASES: dict[str, tuple[list[OrderItem], list[Shipment], list[_Taken]]] = {
    "one shipment, packages not known": (
        [_a(2), OrderItem(sku="B", quantity=1)],
        [_shipment("S1")],
        [[("S1", "S1", 2)], [("S1", "S1", 1)]],
    ),
    "nothing of the item was shipped": (
        [_a(2, quantity_shipped=0), OrderItem(sku="B", quantity=1, quantity_shipped=1)],
        [_shipment("S1")],
        [[], [("S1", "S1", 1)]],
    ),
    "each item in its own": (
        [_a(1, "1"), OrderItem(sku="B", quantity=1, line_id="2")],
        [
            _shipment("S1", PackageItem(line_id="1", sku="A", quantity=1)),
            _shipment("S2", PackageItem(line_id="2", sku="B", quantity=1)),
        ],
        [[("S1", "S1", 1)], [("S2", "S2", 1)]],
    ),
    "one item in two": (
        [_a(5, "1")],
        [
            _shipment("S1", PackageItem(line_id="1", quantity=3)),
            _shipment("S2", PackageItem(line_id="1", quantity=2)),
        ],
        [[("S1", "S1", 3), ("S2", "S2", 2)]],
    ),
    "packages name the SKU only": (
        [_a(1, "1"), OrderItem(sku="B", quantity=2, line_id="2")],
        [
            _shipment("S1", PackageItem(sku="B", quantity=2)),
            _shipment("S2", PackageItem(sku="A", quantity=1)),
        ],
        [[("S2", "S2", 1)], [("S1", "S1", 2)]],
    ),
    "the order names the SKU only": (
        [_a(1)],
        [_shipment("S1"), _shipment("S2", PackageItem(line_id="9", sku="A", quantity=1))],
        [[("S2", "S2", 1)]],
    ),
    "two lines of one SKU, told apart": (
        [_a(1, "1"), _a(2, "2")],
        [
            _shipment("S1", PackageItem(line_id="2", sku="A", quantity=2)),
            _shipment("S2", PackageItem(line_id="1", sku="A", quantity=1)),
        ],
        [[("S2", "S2", 1)], [("S1", "S1", 2)]],
    ),
    "two lines of one SKU, not told apart": (
        [_a(1, "1"), _a(2, "2")],
        [_shipment("S1", PackageItem(sku="A", quantity=3)), _shipment("S2")],
        [[("S1", "S1", None)], [("S1", "S1", None)]],
    ),
    "several packages of one shipment": (
        [_a(5, "1")],
        [
            _shipment(
                "S1",
                PackageItem(line_id="1", quantity=3),
                PackageItem(line_id="1", quantity=2),
            )
        ],
        [[("S1", "S1", 5)]],
    ),
    "a package that does not say how many": (
        [_a(5, "1")],
        [_shipment("S1", PackageItem(line_id="1", quantity=3), PackageItem(line_id="1"))],
        [[("S1", "S1", None)]],
    ),
    "the number of the package": (
        [_a(1, "1")],
        [_shipment("S1", PackageItem(line_id="1", quantity=1), package="P1")],
        [[("S1", "P1", 1)]],
    ),
    "two shipments, packages not known": ([_a(2)], [_shipment("S1"), _shipment("S2")], [[]]),
    "no shipment": ([_a(2)], [], [[]]),
}


@pytest.mark.parametrize("case", CASES)
def test_each_item_shows_its_shipments(case: str) -> None:
    """
    Each item shows the shipments that took it, how many of it, and nothing that is not known.
    """
    items, shipments, taken = CASES[case]
    event = _event(items, shipments)

    assert _shown(event, "v2") == taken
    assert _shown(event, "v3") == taken


def test_version_3_shows_all_shipments_in_full() -> None:
    """
    Beside the items are all shipments, in the shape that the order has them in elsewhere.
    """
    event = example_event("orders/shipped_items")
    event.order_status_changed.order.shipments.add(id="S2", warehouse="wh2")
    bodies = [
        msgspec.json.decode(render(event, event_type, "v3"))["data"]
        for event_type in ("orders/shipped_items", "orders/shipped")
    ]

    assert bodies[0]["shipments"] == bodies[1]["order"]["shipments"]
    assert [it["warehouse"] for it in bodies[0]["shipments"]] == ["wh1", "wh2"]


def test_siblings_have_one_shape() -> None:
    """
    An order, its items and a replenishment have the same keys in all event types of version 3.
    """

    def data(event_type: str) -> Any:
        return msgspec.json.decode(render(example_event(event_type), event_type, "v3"))["data"]

    orders = [data(f"orders/{it}")["order"] for it in ("shipped", "pending", "canceled")]
    assert len({tuple(it) for it in orders}) == 1
    assert {(it["shipping_method"], it["carrier"]) for it in orders} == {("Ground", "UPS")}
    items = [data(f"orders/{it}") for it in ("shipped_items", "pending_items")]
    assert len({(tuple(it), tuple(it["order"]), tuple(it["items"][0])) for it in items}) == 1
    short = [*items, data("orders/refund")]
    assert len({tuple(it["order"]) for it in short}) == 1
    stock = [data(f"replenishments/{it}")["replenishment"] for it in ("initiated", "received")]
    assert len({(tuple(it), tuple(it["items"][0])) for it in stock}) == 1
