"""
The types of the fields of payloads: what the JSON Schemas and the
documentation say of a value. No values are made here.
"""

from typing import Annotated

from msgspec import Meta, Raw, Struct


def note(text: str) -> Meta:
    """
    Describe a field: the sentence stands in the JSON Schema and the docs.
    """
    return Meta(description=text)


# A number that is already JSON text, since a float would change its digits.
Amount = Annotated[Raw, Meta(extra_json_schema={"type": "number"})]

# Versions 1 and 2: a moment in UTC.
PlainTime = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$",
        extra_json_schema={"examples": ["2024-01-15 10:30:00"]},
    ),
]

# Version 3: a moment as RFC 3339 has it, always in UTC.
Instant = Annotated[
    str,
    Meta(
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z$",
        extra_json_schema={"format": "date-time"},
    ),
]

# A day of the calendar, in all versions.
CalendarDate = Annotated[
    str, Meta(pattern=r"^\d{4}-\d{2}-\d{2}$", extra_json_schema={"format": "date"})
]

# Version 3: an amount or a measure whose digits count.
DecimalText = Annotated[str, Meta(pattern=r"^-?\d+(\.\d+)?$")]

Quantity = Annotated[int, Meta(ge=0)]

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
