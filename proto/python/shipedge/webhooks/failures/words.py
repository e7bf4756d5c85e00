"""
The texts of failures, from the table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from shipedge.webhooks.events.v1.failure_kind_pb2 import (
    FAILURE_KIND_HTTP_STATUS,
    FAILURE_KIND_REDIRECT,
    FailureKind,
)
from shipedge.webhooks.failures.causes import Cause
from shipedge.webhooks.failures.kinds import KINDS
from shipedge.webhooks.failures.rows import FailureCause, Row
from shipedge.webhooks.failures.statuses import CLASSES, OTHER, STATUSES
from shipedge.webhooks.failures.tls_causes import TlsCause

_PREFIX = "FAILURE_KIND_"
_ENDING = re.compile(r" \([a-z0-9_]+\)$")


def all_causes() -> Iterator[FailureCause]:
    """
    Return all causes with a code.
    """
    yield from Cause
    yield from TlsCause


@lru_cache(maxsize=1024)
def row_of_status(code: int) -> Row:
    """
    Return the row of a status code.
    """
    return STATUSES.get(code) or CLASSES.get(code // 100, OTHER)


@lru_cache(maxsize=1024)
def status_text(code: int) -> str:
    """
    Return the text of an answer with a status code that is not 2xx.
    """
    return f"HTTP {code}: {row_of_status(code).text}"


def row_of(kind: FailureKind.ValueType, code: int) -> Row | None:
    """
    Return the row of a failure of which only the kind and the status code are known; None if it
    is no failure, or one of a newer service.
    """
    if code and kind in _ANSWERED:
        return row_of_status(code)
    return KINDS.get(FailureKind.Name(kind).removeprefix(_PREFIX)) if kind in _KNOWN else None


def failure_text(kind: FailureKind.ValueType, code: int) -> str:
    """
    Return the text of such a failure; empty where there is no row.
    """
    if code and kind in _ANSWERED:
        return status_text(code)
    row = row_of(kind, code)
    return "" if row is None else row.text


def parts_of(error: str, kind: FailureKind.ValueType, code: int) -> tuple[str, str]:
    """
    Return what happened and what to do, of the error of an attempt; the second may be empty.

    Errors that older services wrote do not say what to do; then it is that of their kind.
    """
    happened, _, to_do = _ENDING.sub("", error).rpartition("; ")
    if to_do in _TO_DO:
        return happened, to_do
    row = row_of(kind, code)
    return error, "" if row is None else row.to_do


_ANSWERED = frozenset({FAILURE_KIND_HTTP_STATUS, FAILURE_KIND_REDIRECT})

_KNOWN = frozenset(value for value in FailureKind.values() if value)

_TO_DO = frozenset(
    row.to_do
    for row in (
        *(cause.row for cause in all_causes()),
        *KINDS.values(),
        *STATUSES.values(),
        *CLASSES.values(),
        OTHER,
    )
)
