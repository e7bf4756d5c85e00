"""
Headers that a customer may set on requests to their endpoint. Pure.

Every header that passes these rules can be sent as it is.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

MAX_HEADERS = 20
MAX_NAME = 64
MAX_VALUE = 4 * 1024
MAX_TOTAL = 16 * 1024

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\t\x20-\x7e]*")

# Framing and hop-by-hop fields (RFC 9110, section 7.6.1), and those that deliveries set themselves.
_RESERVED = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer"}
    | {"upgrade", "expect", "http2-settings", "accept-encoding"}
    | {"user-agent", "content-type", "content-encoding", "traceparent", "tracestate"}
)
_RESERVED_PREFIXES = ("proxy-", "webhook-", "x-shipedge-")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderProblem:
    """
    A rule that a header breaks. `index` is None where all headers together break it, and `field`
    says which part of the header breaks it, its name or its value.

    Neither `name` nor `reason` holds any part of a value: values are secrets.
    """

    index: int | None
    name: str
    reason: str
    field: str = "name"


def trimmed(value: str) -> str:
    """
    Remove spaces and tabs around a header's value, which HTTP does not carry.
    """
    return value.strip(" \t")


def header_problems(
    headers: Sequence[tuple[str, str]], *, has_credential: bool
) -> list[HeaderProblem]:
    """
    List every rule that *headers*, pairs of name and trimmed value, break.

    A subscription with a credential sets `Authorization` from it and may not set it here. Sizes
    are in characters, which are bytes since all of them must be ASCII.
    """
    problems = [
        HeaderProblem(index=index, name=name, reason=reason, field=field)
        for index, (name, value) in enumerate(headers)
        for field, reason in (("name", why_name_refused(name)), ("value", why_value_refused(value)))
        if reason
    ]
    seen: set[str] = set()
    for index, (name, _) in enumerate(headers):
        folded = name.lower()
        if folded in seen:
            problems.append(HeaderProblem(index=index, name=name, reason="the name is given twice"))
        if folded == "authorization" and has_credential:
            reason = "the subscription's credential sets this header"
            problems.append(HeaderProblem(index=index, name=name, reason=reason))
        seen.add(folded)
    return problems + _problems_together(headers)


def why_name_refused(name: str) -> str | None:
    """
    Return why no customer may set a header called *name*; None if they may.

    Credentials with a header name of the customer's choice follow the same rule.
    """
    if not name:
        return "the name is empty"
    if len(name) > MAX_NAME:
        return f"the name is longer than {MAX_NAME} characters"
    if not _TOKEN.fullmatch(name):
        return "the name holds a character that is not allowed in header names"
    folded = name.lower()
    if folded in _RESERVED or folded.startswith(_RESERVED_PREFIXES):
        return "the name is reserved"
    return None


def why_value_refused(value: str) -> str | None:
    """
    Return why *value* cannot be sent as a header's value; None if it can.
    """
    if len(value) > MAX_VALUE:
        return f"the value is longer than {MAX_VALUE} characters"
    if not _VALUE.fullmatch(value):
        return "the value holds a character outside visible ASCII, space and tab"
    if value != trimmed(value):
        return "the value begins or ends with a blank"
    return None


def _problems_together(headers: Sequence[tuple[str, str]]) -> list[HeaderProblem]:
    """
    List the limits that the headers break only together.
    """
    problems: list[HeaderProblem] = []
    if len(headers) > MAX_HEADERS:
        reason = f"more than {MAX_HEADERS} headers"
        problems.append(HeaderProblem(index=None, name="", reason=reason))
    if sum(len(name) + len(value) for name, value in headers) > MAX_TOTAL:
        reason = f"names and values together are longer than {MAX_TOTAL} characters"
        problems.append(HeaderProblem(index=None, name="", reason=reason))
    return problems
