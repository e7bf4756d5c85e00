"""
The statuses of orders as payloads show them and filters name them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shipedge.webhooks.events.v1.states_pb2 import ORDER_STATUS_OTHER, OrderStatus

_PREFIX: Final = "ORDER_STATUS_"

ORDER_STATUSES: Final[Mapping[int, str]] = {
    number: name.removeprefix(_PREFIX).lower()
    for name, number in OrderStatus.items()
    if number not in {0, ORDER_STATUS_OTHER}
}
"""
The strings of the statuses that are listed, by number.
"""

OTHER_STATUS: Final = "other:"
"""
What filters put before the label of a status that is not listed: `other:On the Moon`.
"""
