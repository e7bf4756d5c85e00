"""
Times and dates as text.
"""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date

from dispatch_service.payloads.core.times import (
    calendar_date,
    instant,
    is_set,
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
def test_times_are_truncated(seconds: int, nanos: int, plain: str) -> None:
    """
    Times are in UTC and cut off, not rounded: to seconds, in version 3 to milliseconds.
    """
    moment = Timestamp(seconds=seconds, nanos=nanos)
    milliseconds = f".{nanos // 10**6:03d}" if nanos else ""

    assert plain_time(moment) == plain
    assert instant(moment) == f"{plain.replace(' ', 'T')}{milliseconds}Z"


@pytest.mark.parametrize(
    ("nanos", "shown"), [(1, ""), (999_999, ""), (10**6, ".001"), (250_000_001, ".250")]
)
def test_milliseconds_have_three_digits(nanos: int, shown: str) -> None:
    """
    Milliseconds are shown with three digits, and not at all where there are none.
    """
    assert instant(Timestamp(seconds=1, nanos=nanos)) == f"1970-01-01T00:00:01{shown}Z"


def test_year_has_four_digits() -> None:
    """
    A date shows its year with four digits.
    """
    assert calendar_date(Date(year=2025, month=10, day=1)) == "2025-10-01"
    assert calendar_date(Date(year=33, month=4, day=3)) == "0033-04-03"


_YEAR_1, _YEAR_2 = -62_135_596_800, -62_104_060_800


@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        (None, None),
        (Timestamp(), None),
        (Timestamp(nanos=5), None),
        (Timestamp(seconds=_YEAR_1), None),
        (Timestamp(seconds=_YEAR_1 + 14 * 3600), None),
        (Timestamp(seconds=_YEAR_2 - 1), None),
        (Timestamp(seconds=_YEAR_2), "0002-01-01 00:00:00"),
        (Timestamp(seconds=-1), "1969-12-31 23:59:59"),
        (Timestamp(seconds=1), "1970-01-01 00:00:01"),
    ],
)
def test_time_that_was_never_set_is_none(moment: Timestamp | None, shown: str | None) -> None:
    """
    A time that is absent, in the year 1 or of 0 seconds is None.
    """
    order = Order(created_at=moment)

    assert optional_plain_time(order, "created_at") == shown
    assert optional_instant(order, "created_at") == (shown and shown.replace(" ", "T") + "Z")
    assert is_set(order.created_at) == (shown is not None)


@pytest.mark.parametrize(
    ("date", "shown"),
    [
        (None, None),
        (Date(), None),
        (Date(year=1, month=1, day=1), None),
        (Date(year=1970, month=1, day=1), "1970-01-01"),
    ],
)
def test_date_that_was_never_set_is_none(date: Date | None, shown: str | None) -> None:
    """
    A date that is absent, empty or 0001-01-01 is None.
    """
    correction = InventoryCorrected(expiration_date=date)

    assert optional_date(correction, "expiration_date") == shown
