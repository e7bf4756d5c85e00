"""
Rules of single values in published events, by type.

A rule returns what is wrong with a value, or None.
"""

import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any, Final, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp
from google.type.date_pb2 import Date
from google.type.decimal_pb2 import Decimal
from google.type.money_pb2 import Money

from dispatch_service.payloads.core.money import minor_units
from dispatch_service.payloads.core.times import is_set

Rule: TypeAlias = Callable[[Any], str | None]

Currencies: TypeAlias = dict[str, int]
"""
The currencies of a message, each with the nanos of its smallest amount.
"""

# The largest integer that every JSON parser reads exactly (RFC 8259, section 6).
LARGEST_INTEGER: Final = 2**53 - 1

# The years 1 to 9999, the bounds of `google.protobuf.Timestamp`.
FIRST_SECOND, LAST_SECOND = -62_135_596_800, 253_402_300_799
_NANOS_PER_SECOND = 10**9

# A millionth: prices of one piece may be smaller than what can be paid.
NANOS_OF_UNIT_PRICE: Final = 10**3

_CURRENCY = re.compile(r"[A-Z]{3}")
_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
# The grammar of `google.type.Decimal`: no infinity, no NaN.
_DECIMAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,6})?")


def event_id(value: str) -> str | None:
    """
    Require 1 to 64 characters that are allowed in a resource name.
    """
    return None if _EVENT_ID.fullmatch(value) else "must be 1 to 64 of A-Z a-z 0-9 _ -"


def required_id(value: int) -> str | None:
    """
    Require a positive number.
    """
    return None if 1 <= value <= LARGEST_INTEGER else "must be 1 to 2^53 - 1"


def count(value: int) -> str | None:
    """
    Require a number that is not negative: a quantity, or an id that may be 0.
    """
    return None if 0 <= value <= LARGEST_INTEGER else "must be 0 to 2^53 - 1"


def signed_count(value: int) -> str | None:
    """
    Require a number that every JSON parser reads exactly; it may be negative.
    """
    return None if -LARGEST_INTEGER <= value <= LARGEST_INTEGER else "must be within +-(2^53 - 1)"


def required_text(value: str) -> str | None:
    return None if value else "is required"


def moment(value: Timestamp) -> str | None:
    """
    Require a moment in the years 1 to 9999.
    """
    if not FIRST_SECOND <= value.seconds <= LAST_SECOND:
        return "must be within the years 1 to 9999"
    return None if 0 <= value.nanos < _NANOS_PER_SECOND else "nanos must be 0 to 999,999,999"


def recent_moment(value: Timestamp) -> str | None:
    """
    Require a moment in the years 1970 to 9999; one that was never set is missing.
    """
    seconds = value.seconds
    if 0 < seconds <= LAST_SECOND and 0 <= value.nanos < _NANOS_PER_SECOND:
        return None
    if not is_set(value):
        return "is required"
    return moment(value) if seconds >= 0 else "must be within the years 1970 to 9999"


def calendar_day(value: Date) -> str | None:
    """
    Require a complete date that exists; a year or month alone is refused. All zeros mean unset.
    """
    if not (value.year or value.month or value.day):
        return None
    try:
        date(value.year, value.month, value.day)
    except ValueError:
        return "must be a day of the calendar, with its year and month"
    return None


def decimal(value: Decimal) -> str | None:
    """
    Require a finite decimal number; an empty one means unknown.
    """
    text = value.value
    return None if not text or is_decimal(text) else "must be a finite decimal number"


@lru_cache(maxsize=4096)
def is_decimal(text: str) -> bool:
    """
    Tell whether *text* is a decimal number. Cached, because weights and measures repeat.
    """
    return _DECIMAL.fullmatch(text) is not None


def signed_money(value: Money) -> str | None:
    """
    Require an amount with no more digits than its currency has; it may be negative.
    """
    return _amount_fault(value.units, value.nanos, value.currency_code)


def money(value: Money) -> str | None:
    """
    Require an amount with no more digits than its currency has, not a negative one.
    """
    units, nanos = value.units, value.nanos
    if units < 0 or nanos < 0:
        return "must not be negative"
    return _amount_fault(units, nanos, value.currency_code)


def unit_price(value: Money) -> str | None:
    """
    Require a price with at most 6 digits after the point, not a negative one.
    """
    units, nanos, currency = value.units, value.nanos, value.currency_code
    if units < 0 or nanos < 0:
        return "must not be negative"
    if smallest_nanos(currency) is None or nanos >= _NANOS_PER_SECOND:
        return _amount_fault(units, nanos, currency)
    return "must not have more than 6 digits" if nanos % NANOS_OF_UNIT_PRICE else None


def _amount_fault(units: int, nanos: int, currency: str) -> str | None:
    step = smallest_nanos(currency)
    if step is None:
        return "currency_code must be three letters A-Z"
    if not nanos:
        return None
    if not -_NANOS_PER_SECOND < nanos < _NANOS_PER_SECOND:
        return "nanos must be within +-999,999,999"
    if (units < 0 < nanos) or (nanos < 0 < units):
        return "units and nanos must have the same sign"
    if abs(nanos) % step:
        return f"must not have more digits than {currency} has: {minor_units(currency)}"
    return None


@lru_cache(maxsize=1024)
def smallest_nanos(currency: str) -> int | None:
    """
    Return the nanos of the smallest amount of *currency*; None if it cannot be a currency.
    """
    if not _CURRENCY.fullmatch(currency):
        return None
    return int(10 ** (9 - minor_units(currency)))


def add_currency(currencies: Currencies, code: str) -> int:
    """
    Add *code* to *currencies* and return the nanos of its smallest amount; 0 if it cannot be a
    currency.
    """
    step = smallest_nanos(code) or 0
    if step:
        currencies[code] = step
    return step
