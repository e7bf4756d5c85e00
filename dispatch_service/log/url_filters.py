"""
The filter of the log by URL: a full URL and a shown one are found by their hash, an endpoint by
the beginning of what is shown. No full URL reaches the database.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import sqlalchemy as sa

from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import filters
from service_runtime.rules.addresses import AllowList
from service_runtime.rules.urls import UrlRefusedError, UrlRules, parse_url

Hash = Callable[[str], bytes]
"""
The keyed hash by which full URLs are found.
"""

# A search must find URLs that were configured under any rules.
_ANY_URL = UrlRules(
    allow_http=True, allow=AllowList.parse(("0.0.0.0/0:*", "[::/0]:*", "localhost:*"))
)

_HASH = re.compile(r"(?:[^#]*#)?([0-9a-f]{8}|[0-9a-f]{64})")
_BEGINNING = re.compile(r"(https?://[^/?#@\s]*/?)\*", re.IGNORECASE)
_FULL = re.compile(r"https?://[^#]*[^#*]", re.IGNORECASE)
_WHOLE_HASH_DIGITS = 64


def _is_url(value: str) -> bool:
    return any(form.fullmatch(value) for form in (_FULL, _HASH, _BEGINNING))


URLS = filters.text_that(
    "a full URL, a shown one or its hash, or the beginning of a URL up to its port and *, with"
    " http:// or https://",
    _is_url,
)


def url_condition(table: sa.Table, url: str, how: str, hashed: Hash) -> sa.ColumnElement[bool]:
    """
    Return the condition on a URL of *table*: by its hash, by the beginning of its hash, or on the
    beginning of the shown URL. *how* is `=` or `!=`.
    """
    found: sa.ColumnElement[bool]
    if begin := _BEGINNING.fullmatch(url):
        found = table.c.url_shown.startswith(begin[1].lower(), autoescape=True)
    elif named := _HASH.fullmatch(url):
        found = _has_hash(table.c.url_hash, named[1])
    else:
        found = table.c.url_hash == hashed(url)
    return found if how == "=" else sa.not_(found)


def _has_hash(column: sa.ColumnElement[bytes], digits: str) -> sa.ColumnElement[bool]:
    """
    Return the condition that a hash has all of *digits*, or begins with them.
    """
    if len(digits) == _WHOLE_HASH_DIGITS:
        return column == bytes.fromhex(digits)
    rest = (_WHOLE_HASH_DIGITS - len(digits)) // 2
    return column.between(
        bytes.fromhex(digits) + bytes(rest), bytes.fromhex(digits) + b"\xff" * rest
    )


def without_urls(source: str, hashed: Hash) -> str:
    """
    Return a filter that has the hashes of full URLs in their place. *source* has been parsed.
    """

    def hidden(url: str) -> str:
        return hashed(url).hex() if _FULL.fullmatch(url) else url

    return filters.with_values(source, "url", hidden)


def url_hash(ring: KeyRing) -> Hash:
    """
    Return the hash by which full URLs are found, in any spelling.
    """

    def hashed(url: str) -> bytes:
        with suppress(UrlRefusedError):
            url = parse_url(url, _ANY_URL).text
        return ring.keyed_hash("url", url)

    return hashed
