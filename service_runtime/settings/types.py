"""
Types of settings other than texts and numbers.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator

_UNITS = {"ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SPAN = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def _parse_span(value: object) -> object:
    if not isinstance(value, str):
        return value
    found = _SPAN.fullmatch(value.strip())
    if found is None:
        raise ValueError("must be a number and ms, s, m, h or d, for example 10s")
    return timedelta(**{_UNITS[found[2]]: float(found[1])})


def _parse_list(value: object) -> object:
    if isinstance(value, str):
        return tuple(filter(None, (entry.strip() for entry in value.split(","))))
    return value


def _parse_listen(value: object) -> object:
    host, colon, port = str(value).rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65535:  # noqa: PLR2004
        raise ValueError("must be host:port, for example 127.0.0.1:50051")
    return value


def _parse_optional_listen(value: object) -> object:
    return _parse_listen(value) if value else value


Span = Annotated[timedelta, BeforeValidator(_parse_span)]
"""
A span of time, written as `10s`, `5m`, `2h`, `3d` or `500ms`.
"""

TextList = Annotated[str | tuple[str, ...], BeforeValidator(_parse_list)]
"""
Texts separated by commas.
"""

OptionalListen = Annotated[str, BeforeValidator(_parse_optional_listen)]
"""
A `host:port`, or nothing.
"""

Listen = Annotated[str, BeforeValidator(_parse_listen)]
"""
A `host:port`.
"""

DatabaseTls = Literal["required", "off"]
"""
Whether production demands TLS of PostgreSQL.
"""
