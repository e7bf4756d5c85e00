"""
Answers of OAuth 2.0 token servers, read as widely as OAuth libraries read them: RFC 6749, section
5, and what servers make of it. No I/O, no clock.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from dispatch_service.domain.outcomes import Response
from dispatch_service.egress.answers.reader import MAX_KEPT_BODY
from shipedge.webhooks.failures.causes import Cause
from shipedge.webhooks.failures.rows import shown_seconds

MARGIN_SECONDS = 60.0
"""
For so long before it expires a token is no longer used.
"""

DEFAULT_LIFETIME_SECONDS = 300.0
"""
The assumed lifetime of a token if its server names none.
"""

MAX_LIFETIME_SECONDS = 24 * 3600.0

MAX_UNPACKED = 64 * 1024
"""
How much a compressed answer may become.
"""

PROVEN_TYPES = frozenset({"mac", "dpop", "pop", "hmac"})
"""
Types of tokens that are worth nothing without a proof of possession. Any other type is sent as a
bearer token, since that is what servers mean by the many names that they give it.
"""

_TOKEN = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,8190}[\x21-\x7e])?")
_ERROR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}")
_COMPRESSED = frozenset({b"gzip", b"x-gzip", b"deflate"})
_ANY_FORM_OF_ZLIB = 32 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class TokenAnswer:
    """
    A token and for how many seconds it is used, or the refusal, which customers may read.
    """

    text: str = field(default="", repr=False)
    seconds: float = 0.0
    refusal: str = ""


def read_answer(response: Response) -> TokenAnswer:
    """
    Read the response of a token server. Raises nothing.

    Of the body counts what it is, not what its type says: a JSON object, also behind a byte order
    mark, or a form.
    """
    content = _content(_unpacked(response))
    error = _error(content)
    if response.status_code // 100 != 2 or error:  # noqa: PLR2004 - a class of status codes
        shown = f", {error}" if error else ""
        return _refused(Cause.TOKEN_REFUSED, f"HTTP {response.status_code}{shown}")
    if not content and response.body_truncated:
        return _refused(Cause.TOKEN_INCOMPLETE, _missing_rest(response))
    text = content.get("access_token")
    if not isinstance(text, str) or not text.strip():
        return _refused(Cause.TOKEN_UNREADABLE)
    if not _TOKEN.fullmatch(text.strip()):
        return _refused(Cause.TOKEN_UNUSABLE)
    kind = str(content.get("token_type")).strip().lower()
    if kind in PROVEN_TYPES:
        return _refused(Cause.TOKEN_OF_OTHER_TYPE, kind)
    lifetime = content.get("expires_in", content.get("expires"))
    return TokenAnswer(text.strip(), useful_seconds(lifetime))


def useful_seconds(expires_in: object) -> float:
    """
    Return for how long a token is used: its lifetime less a margin, or half of a short lifetime.
    """
    try:
        seconds = float(str(expires_in).strip())
    except ValueError:
        seconds = math.nan
    if isinstance(expires_in, bool) or math.isnan(seconds):
        seconds = DEFAULT_LIFETIME_SECONDS
    seconds = min(max(seconds, 0.0), MAX_LIFETIME_SECONDS)
    return max(seconds - MARGIN_SECONDS, seconds / 2)


def _refused(cause: Cause, why: str = "") -> TokenAnswer:
    return TokenAnswer(refusal=cause.text(why))


def _unpacked(response: Response) -> bytes:
    """
    Return the body, unpacked where it was compressed though nobody asked for that.
    """
    encodings = [value for name, value in response.headers if name.lower() == b"content-encoding"]
    if not encodings or encodings[0].strip().lower() not in _COMPRESSED:
        return response.body
    try:
        return zlib.decompressobj(_ANY_FORM_OF_ZLIB).decompress(response.body, MAX_UNPACKED)
    except zlib.error:
        return b""


def _content(body: bytes) -> Mapping[str, Any]:
    """
    Return the members of a JSON object or a form; none of what is neither.
    """
    text = body.decode("utf-8-sig", "replace")
    try:
        content = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _form(text)
    return content if isinstance(content, dict) else {}


def _form(text: str) -> Mapping[str, str]:
    try:
        found = dict(parse_qsl(text.strip(), max_num_fields=100))
    except ValueError:
        return {}
    return found if "access_token" in found or "error" in found else {}


def _error(content: Mapping[str, Any]) -> str:
    """
    Return the code of an error, some of which are nested; empty if there is none.
    """
    error = content.get("error")
    if isinstance(error, dict):
        error = error.get("code") or error.get("type") or "error"
    if not error:
        return ""
    return error if isinstance(error, str) and _ERROR.fullmatch(error) else "an error"


def _missing_rest(response: Response) -> str:
    """
    Say why the body of a response is not whole.
    """
    if len(response.body) >= MAX_KEPT_BODY:
        return f"it is longer than {MAX_KEPT_BODY // 1024} KiB"
    seconds = (response.timings.total_us or 0) / 1_000_000
    return f"the rest of its body had not come after {shown_seconds(seconds)}"
