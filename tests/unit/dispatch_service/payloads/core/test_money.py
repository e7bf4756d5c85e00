"""
Amounts of money as text.
"""

from decimal import Decimal

import pytest
from google.type.money_pb2 import Money
from hypothesis import given
from hypothesis import strategies as st

from dispatch_service.payloads.core.money import (
    MINOR_UNITS,
    amount,
    decimal_text,
    minor_units,
    optional_amount,
    optional_price,
    price,
)
from shipedge.webhooks.events.v1.order_pb2 import OrderTotals


@pytest.mark.parametrize(
    ("units", "nanos", "currency", "number", "text"),
    [
        (59, 980_000_000, "USD", b"59.98", "59.98"),
        (60, 0, "USD", b"60.00", "60.00"),
        (0, 0, "USD", b"0.00", "0.00"),
        (0, 10_000_000, "USD", b"0.01", "0.01"),
        (1500, 0, "JPY", b"1500.00", "1500"),
        (0, 0, "JPY", b"0.00", "0"),
        (12, 345_000_000, "KWD", b"12.345", "12.345"),
        (12, 0, "KWD", b"12.000", "12.000"),
        (12, 300_000_000, "KWD", b"12.300", "12.300"),
        (1, 234_500_000, "CLF", b"1.2345", "1.2345"),
        (-5, -500_000_000, "USD", b"-5.50", "-5.50"),
        (0, -500_000_000, "USD", b"-0.50", "-0.50"),
        (-5, 0, "JPY", b"-5.00", "-5"),
        (2**63 - 1, 990_000_000, "USD", b"9223372036854775807.99", "9223372036854775807.99"),
        (-(2**63), 0, "USD", b"-9223372036854775808.00", "-9223372036854775808.00"),
        (7, 0, "XXX", b"7.00", "7.00"),
    ],
)
def test_digits_of_an_amount(
    units: int, nanos: int, currency: str, number: bytes, text: str
) -> None:
    """
    Versions 1 and 2 show at least two digits, version 3 those of the currency.
    """
    money = Money(units=units, nanos=nanos, currency_code=currency)

    assert bytes(amount(money)) == number
    assert (price(money).amount, price(money).currency) == (text, currency)


@pytest.mark.parametrize(
    ("nanos", "digits", "text"),
    [
        (1, 2, "0.000000001"),
        (123_456_789, 0, "0.123456789"),
        (120_000_000, 0, "0.12"),
        (125_000_000, 2, "0.125"),
        (999_999_999, 2, "0.999999999"),
    ],
)
def test_nothing_is_rounded(nanos: int, digits: int, text: str) -> None:
    """
    An amount with more digits than requested keeps all of them.
    """
    assert decimal_text(0, nanos, digits) == text


@given(st.integers(0, 2**63 - 1), st.integers(0, 10**9 - 1), st.sampled_from([1, -1]))
def test_every_amount_is_exact(units: int, nanos: int, sign: int) -> None:
    """
    The text of an amount has exactly its value.
    """
    text = decimal_text(sign * units, sign * nanos, 2)

    assert Decimal(text) == sign * (units + Decimal(nanos).scaleb(-9))


def test_unlisted_currency_has_two_digits() -> None:
    """
    A currency that is not listed has two digits.
    """
    assert {currency: minor_units(currency) for currency in ("USD", "JPY", "BHD", "UYW")} == {
        "USD": 2,
        "JPY": 0,
        "BHD": 3,
        "UYW": 4,
    }
    assert set(MINOR_UNITS.values()) == {0, 3, 4}


def test_unset_amount_is_none() -> None:
    """
    An unset amount is None; an amount of zero is zero.
    """
    totals = OrderTotals(tax=Money(currency_code="USD"))

    assert optional_amount(totals, "total") is None
    assert optional_price(totals, "total") is None
    assert bytes(optional_amount(totals, "tax") or b"") == b"0.00"
