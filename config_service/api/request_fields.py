"""
Checks of request fields that several methods share.
"""

from __future__ import annotations

import secrets
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault, InvalidArgument

DEFAULT_GRACE = timedelta(hours=24)
LONGEST_GRACE = timedelta(days=30)


def chosen_id(text: str, prefix: str, field: str) -> str:
    """
    Return the id that a caller chose, or a new random id that begins with *prefix*.

    Raises `InvalidArgument` for an id that breaks the rule.
    """
    if not text:
        return f"{prefix}_{secrets.token_hex(10)}"
    if not names.is_chosen_id(text):
        raise refused(field, names.ID_RULE)
    return text


def grace_period(wanted: Duration | None) -> timedelta:
    """
    Return how long the old secret stays valid beside the new one: 24 hours for None.

    Raises `InvalidArgument` for less than 0 or more than 30 days.
    """
    if wanted is None:
        return DEFAULT_GRACE
    grace = wanted.ToTimedelta()
    if not timedelta() <= grace <= LONGEST_GRACE:
        raise refused("grace_period", "must be 0 to 30 days")
    return grace


def refused(field: str, description: str) -> InvalidArgument:
    """
    Return the error for one field.
    """
    return InvalidArgument("The request is not valid.", faults=[FieldFault(field, description)])
