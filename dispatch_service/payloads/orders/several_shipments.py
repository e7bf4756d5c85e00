"""
What versions 1 and 2 show of an order with several shipments, for the documentation.
"""

from collections.abc import Mapping
from typing import Final

from dispatch_service.payloads.core.builder_types import Key
from dispatch_service.payloads.orders.event_types import SHIPPED, UNSHIPPED

FIRST_TRACKING_NUMBER: Final = "The tracking number of the first shipment or package that has one."
FIRST_CARRIER: Final = "The carrier of the first shipment that has one."
FIRST_METHOD: Final = (
    "The method of the first shipment that has one, else the one that was asked for."
)

_ORDER_V1: Final = (
    "Of an order with several shipments this version shows one tracking number, one carrier and one"
    " shipping method: of each the first that a shipment or package has. A second shipment does not"
    " appear; version 3 shows all."
)
_ORDER_V2: Final = (
    "Of an order with several shipments this version shows one tracking number, carrier, shipping"
    " method and date: of each the first that a shipment or package has. A second shipment does not"
    " appear; version 3 shows all."
)

SEVERAL_SHIPMENTS: Final[Mapping[Key, str]] = {
    **{(event_type, "v1"): _ORDER_V1 for event_type in (*SHIPPED, *UNSHIPPED)},
    **{(event_type, "v2"): _ORDER_V2 for event_type in (*SHIPPED, *UNSHIPPED)},
    ("orders/shipped_items", "v1"): (
        "This version shows no shipments, neither the first nor a second: only what was shipped."
    ),
    ("orders/shipped_items", "v2"): (
        "Of an order with several shipments, `tracking_number`, `carrier`, `shipping_method` and"
        " `shipped_date` are the first that there are. `items[].shipments` shows for each item"
        " which shipments took it, a second one too."
    ),
}
"""
What a payload version shows of a second shipment, by event type and payload version.
"""
