"""
Types of the fields of payloads, with their constraints and descriptions.

JSON Schemas and the documentation are generated from them.
"""

from typing import Annotated

from msgspec import Meta, Raw, Struct


def note(text: str) -> Meta:
    """
    Describe a field; the sentence appears in the JSON Schema and in the documentation.
    """
    return Meta(description=text)


# A number written as JSON text already: a float would change its digits.
Amount = Annotated[Raw, Meta(extra_json_schema={"type": "number"})]

# Versions 1 and 2: a time in UTC.
PlainTime = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$",
        extra_json_schema={"examples": ["2024-01-15 10:30:00"]},
    ),
]

# Version 3: a time in UTC (RFC 3339), with milliseconds where there are any.
Instant = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z$",
        extra_json_schema={"format": "date-time"},
    ),
]

# All versions: a date.
CalendarDate = Annotated[
    str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", extra_json_schema={"format": "date"})
]

# Version 3: an amount or a measure, as text because its digits are significant.
DecimalText = Annotated[str, Meta(pattern=r"^-?\d+(\.\d+)?$")]

Quantity = Annotated[int, Meta(ge=0)]

# What a warehouse has by its books, which may be less than nothing.
StockQuantity = Annotated[int, Meta(ge=1 - 2**53, le=2**53 - 1)]

ResourceId = Annotated[int, Meta(ge=1, le=2**53 - 1)]


class Body(Struct, frozen=True, kw_only=True, gc=False):
    """
    What every body of versions 1 and 2 begins with.
    """

    event: Annotated[str, note("The event type and, from version 2 on, the payload version.")]
    account_id: Annotated[ResourceId, note("The account that it happened in.")]


class Part(Struct, frozen=True, kw_only=True, gc=False):
    """
    An object within a body.
    """
