"""
Strings for the enums of the contract, the same in all payload versions.

Customers see them in bodies, and filters compare with them.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from google.protobuf.descriptor import EnumDescriptor
from msgspec import Meta

from shipedge.webhooks.events.v1 import (
    failure_kind_pb2,
    inventory_pb2,
    order_events_pb2,
    replenishment_pb2,
    return_order_pb2,
    states_pb2,
)
from shipedge.webhooks.order_statuses import ORDER_STATUSES

# The number of the value `OTHER` in every open enum.
OTHER: Final = 99


def enum_string(states: Mapping[int, str], value: int, label: str) -> str | None:
    """
    Return the string of a value of an open enum; for `OTHER` it is *label*.
    """
    return (label or None) if value == OTHER else states.get(value)


def _strings(enum: EnumDescriptor, prefix: str, **renamed: str) -> Mapping[int, str]:
    """
    Derive the strings of *enum* from its names: without *prefix*, in lower case.

    *renamed* holds strings that differ from the name. The value 0, unknown, has no string: bodies
    show null.
    """
    names = {value.number: value.name.removeprefix(prefix).lower() for value in enum.values}
    return {
        number: renamed.get(name, name)
        for number, name in names.items()
        if number not in {0, OTHER}
    }


def _closed(states: Mapping[int, str]) -> Meta:
    return Meta(extra_json_schema={"enum": list(states.values())})


def _open(states: Mapping[int, str]) -> Meta:
    return Meta(extra_json_schema={"examples": list(states.values())})


ITEM_STATUSES = _strings(states_pb2.ItemStatus.DESCRIPTOR, "ITEM_STATUS_")
FULFILLMENT_TYPES = _strings(states_pb2.FulfillmentType.DESCRIPTOR, "FULFILLMENT_TYPE_")
SOURCES = _strings(states_pb2.EventSource.DESCRIPTOR, "EVENT_SOURCE_")
FAILURE_KINDS = _strings(failure_kind_pb2.FailureKind.DESCRIPTOR, "FAILURE_KIND_")
ENDPOINT_CHANGES = _strings(states_pb2.EndpointChange.DESCRIPTOR, "ENDPOINT_CHANGE_")
REFUND_TYPES = _strings(order_events_pb2.RefundType.DESCRIPTOR, "REFUND_TYPE_")
RESTOCKS = _strings(order_events_pb2.Restock.DESCRIPTOR, "RESTOCK_")
CORRECTION_TYPES = _strings(inventory_pb2.CorrectionType.DESCRIPTOR, "CORRECTION_TYPE_")
CONDITIONS = _strings(inventory_pb2.StockCondition.DESCRIPTOR, "STOCK_CONDITION_")
LEVEL_CAUSES = _strings(inventory_pb2.LevelCause.DESCRIPTOR, "LEVEL_CAUSE_")
REPLENISHMENT_STATUSES = _strings(
    replenishment_pb2.ReplenishmentStatus.DESCRIPTOR, "REPLENISHMENT_STATUS_"
)
RETURN_STATUSES = _strings(return_order_pb2.ReturnStatus.DESCRIPTOR, "RETURN_STATUS_")
RETURN_TYPES = _strings(
    states_pb2.ReturnType.DESCRIPTOR,
    "RETURN_TYPE_",
    simple="simple_return",
    unexpected="unexpected_return",
)

OrderStatusText = Annotated[str, _open(ORDER_STATUSES)]
FulfillmentText = Annotated[str, _open(FULFILLMENT_TYPES)]
CauseText = Annotated[str, _open(LEVEL_CAUSES)]
ReplenishmentStatusText = Annotated[str, _open(REPLENISHMENT_STATUSES)]
ReturnStatusText = Annotated[str, _open(RETURN_STATUSES)]
ItemStatusText = Annotated[str, _closed(ITEM_STATUSES)]
SourceText = Annotated[str, _closed(SOURCES)]
EndpointChangeText = Annotated[str, _closed(ENDPOINT_CHANGES)]
RefundTypeText = Annotated[str, _closed(REFUND_TYPES)]
RestockText = Annotated[str, _closed(RESTOCKS)]
CorrectionTypeText = Annotated[str, _closed(CORRECTION_TYPES)]
ConditionText = Annotated[str, _closed(CONDITIONS)]
ReturnTypeText = Annotated[str, _closed(RETURN_TYPES)]
