"""
Times and dates as text.
"""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from dispatch_service.payloads.core.times import (
    calendar_date,
    instant,
    optional_date,
    optional_instant,
    optional_plain_time,
    plain_time,
)
from shipedge.webhooks.events.v1.inventory_pb2 import InventoryCorrected
from shipedge.webhooks.events.v1.order_pb2 import Order


@pytest.mark.parametrize(
    ("seconds", "nanos", "plain"),
    [
        (0, 0, "1970-01-01 00:00:00"),
        (1_705_314_600, 0, "2024-01-15 10:30:00"),
        (1_705_314_600, 999_999_999, "2024-01-15 10:30:00"),
        (1_709_164_799, 500_000_000, "2024-02-28 23:59:59"),
        (1_709_164_800, 0, "2024-02-29 00:00:00"),
        (253_402_300_799, 999_999_999, "9999-12-31 23:59:59"),
        (-1, 500_000_000, "1969-12-31 23:59:59"),
        (-62_135_596_800, 0, "0001-01-01 00:00:00"),
    ],
)
def test_times_are_cut_to_seconds(seconds: int, nanos: int, plain: str) -> None:
    """
    Times are in UTC and in whole seconds, cut off and not rounded.
    """
    moment = Timestamp(seconds=seconds, nanos=nanos)

    assert plain_time(moment) == plain
    assert instant(moment) == plain.replace(" ", "T") + "Z"


def test_year_has_four_digits() -> None:
    """
    A date shows its year with four digits.
    """
    assert calendar_date(Date(year=2025, month=10, day=1)) == "2025-10-01"
    assert calendar_date(Date(year=33, month=4, day=3)) == "0033-04-03"


def test_unset_time_is_none() -> None:
    """
    An unset time or date is None; the epoch is a time.
    """
    order = Order(created_at=Timestamp())

    assert optional_instant(order, "created_at") == "1970-01-01T00:00:00Z"
    assert optional_plain_time(order, "created_at") == "1970-01-01 00:00:00"
    assert optional_instant(order, "updated_at") is None
    assert optional_plain_time(order, "updated_at") is None
    assert optional_date(InventoryCorrected(), "expiration_date") is None
