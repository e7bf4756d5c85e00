"""
Amounts of money as text, by integer arithmetic. Floats are not used: they would change digits.
"""

from collections.abc import Mapping
from typing import Annotated, Final

from google.protobuf.message import Message
from google.type.money_pb2 import Money
from msgspec import Raw

from dispatch_service.payloads.core.field_types import Amount, DecimalText, Part, note

# The currencies in use whose minor unit is not a hundredth (ISO 4217). Codes without a minor unit,
# such as gold, are left out: they are not used for payment.
_OTHER_MINOR_UNITS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
MINOR_UNITS: Final[Mapping[str, int]] = {
    currency: digits
    for digits, currencies in _OTHER_MINOR_UNITS.items()
    for currency in currencies.split()
}

_NANOS_PER_CENT = 10**7


class Price(Part, frozen=True, kw_only=True):
    """
    An amount of money, in version 3.
    """

    amount: Annotated[
        DecimalText,
        note(
            "A decimal with the digits that the currency has; a unit price has more where it needs"
            " them."
        ),
    ]
    currency: Annotated[str, note("The currency, ISO 4217.")]


def minor_units(currency: str) -> int:
    """
    Return the number of digits after the point in *currency*; 2 if it is not listed.
    """
    return MINOR_UNITS.get(currency, 2)


def decimal_text(units: int, nanos: int, digits: int) -> str:
    """
    Write an amount exactly, with at least *digits* digits after the point.

    An amount with more digits keeps them: nothing is rounded. *units* and *nanos* must have the
    same sign, as in `google.type.Money`.
    """
    sign = "-" if units < 0 or nanos < 0 else ""
    units, nanos = abs(units), abs(nanos)
    cents, rest = divmod(nanos, _NANOS_PER_CENT)
    if digits == 2 and not rest:  # noqa: PLR2004
        return f"{sign}{units}.{cents:02d}"
    fraction = f"{nanos:09d}".rstrip("0").ljust(digits, "0")
    return f"{sign}{units}.{fraction}" if fraction else f"{sign}{units}"


def amount(money: Money) -> Amount:
    """
    Write *money* as a JSON number, for versions 1 and 2.

    It has two digits after the point, or more if the currency has more: `60.00`, JPY `1500.00`,
    KWD `12.345`.
    """
    units, nanos, digits = money.units, money.nanos, minor_units(money.currency_code)
    cents, rest = divmod(nanos, _NANOS_PER_CENT)
    if digits <= 2 and not rest and units >= 0 <= nanos:  # noqa: PLR2004
        # The fast path for most amounts.
        return Raw(b"%d.%02d" % (units, cents))
    return Raw(decimal_text(units, nanos, max(2, digits)).encode())


def price(money: Money) -> Price:
    """
    Write *money* for version 3, with the digits of the currency, or more where it has more.
    """
    currency = money.currency_code
    units, nanos = money.units, money.nanos
    cents, rest = divmod(nanos, _NANOS_PER_CENT)
    if not rest and units >= 0 <= nanos and currency not in MINOR_UNITS:
        # The fast path for most amounts.
        return Price(amount=f"{units}.{cents:02d}", currency=currency)
    return Price(amount=decimal_text(units, nanos, minor_units(currency)), currency=currency)


def optional_amount(message: Message, field: str) -> Amount | None:
    """
    Write the amount in *field* of *message*; None if it is unset.
    """
    return amount(getattr(message, field)) if message.HasField(field) else None


def optional_price(message: Message, field: str) -> Price | None:
    """
    Write the price in *field* of *message*; None if it is unset.
    """
    return price(getattr(message, field)) if message.HasField(field) else None
