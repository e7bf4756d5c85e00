"""
Which shipments took an item: what their packages say, otherwise the only shipment that there is.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from dispatch_service.payloads.core.presence import optional_number
from dispatch_service.payloads.orders.item_lines import Line
from shipedge.webhooks.events.v1.order_pb2 import PackageItem, Shipment


class ItemShipment(NamedTuple):
    """
    A shipment that took an item, and how many of it; None if that is not known.

    *tracking_number* is that of the shipment or, if it has none, of the first package with the
    item; it may be empty.
    """

    shipment: Shipment
    quantity: int | None
    tracking_number: str


class _Packed(NamedTuple):
    """
    What the packages of a shipment hold of one item.
    """

    quantity: int | None
    tracking_number: str


# How an item in a package can be found, and the line id or SKU. A package may name the line
# (`line`), or only the SKU (`loose`); by `sku` both are found.
_Key: TypeAlias = tuple[str, str]
_Contents: TypeAlias = dict[_Key, _Packed]


def shipments_of_items(
    shipments: Sequence[Shipment], lines: Sequence[Line]
) -> list[list[ItemShipment]]:
    """
    Return the shipments of each of *lines*, in the order of both.

    An item that no package names belongs to the only shipment; of several, its own is not known.
    """
    contents = [_contents(shipment) for shipment in shipments]
    of_sku = Counter([line.item.sku for line in lines])
    found = []
    for line in lines:
        packed = list(_found(shipments, contents, line, of_sku[line.item.sku]))
        if not packed and len(shipments) == 1 and line.quantity != 0:
            packed = [ItemShipment(shipments[0], line.quantity, shipments[0].tracking_number)]
        found.append(packed)
    return found


def _found(
    shipments: Sequence[Shipment], contents: Sequence[_Contents], line: Line, of_sku: int
) -> Iterator[ItemShipment]:
    """
    Yield the shipments whose packages hold the item of *line*.

    *of_sku* is the number of lines with its SKU. A quantity that a package gives for the SKU of
    several lines is that of none of them.
    """
    line_id, sku = line.item.line_id, line.item.sku
    for shipment, packed in zip(shipments, contents, strict=True):
        named = packed.get(("line", line_id)) if line_id else None
        held = named or packed.get(("loose" if line_id else "sku", sku))
        if held is not None:
            quantity = held.quantity if named is not None or of_sku == 1 else None
            number = shipment.tracking_number or held.tracking_number
            yield ItemShipment(shipment, quantity, number)


def _contents(shipment: Shipment) -> _Contents:
    found: _Contents = {}
    for package in shipment.packages:
        for item in package.items:
            quantity = optional_number(item, "quantity")
            for key in _keys(item):
                found[key] = _added(found.get(key), quantity, package.tracking_number)
    return found


def _keys(item: PackageItem) -> tuple[_Key, _Key]:
    own = ("line", item.line_id) if item.line_id else ("loose", item.sku)
    return own, ("sku", item.sku)


def _added(held: _Packed | None, quantity: int | None, tracking_number: str) -> _Packed:
    if held is None:
        return _Packed(quantity, tracking_number)
    known = held.quantity is not None and quantity is not None
    total = (held.quantity or 0) + (quantity or 0) if known else None
    return _Packed(total, held.tracking_number or tracking_number)
