"""
What the log keeps of the request and the response of an attempt: whole, shortened, or the least.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import TypeVar

import msgspec

from dispatch_service.domain.authentication import Header
from dispatch_service.domain.outcomes import Outcome
from dispatch_service.domain.work import Claimed
from dispatch_service.storage import associated_data
from dispatch_service.storage.sealing import Sealer

_Header = TypeVar("_Header", tuple[bytes, bytes], tuple[str, str])


class Detail(IntEnum):
    """
    How much is kept of an exchange.
    """

    WHOLE = 0  # all that was read of the response; the first attempt and the one that ends it
    SHORTENED = 1  # attempts between these
    LIMITED = 2  # the log of the owner has no more room today


MOST_BYTES = {Detail.SHORTENED: (1024, 2048), Detail.LIMITED: (0, 256)}
"""
The most bytes of headers, of the request and of the response each, and of the response's body.
"""


class KeptExchange(msgspec.Struct, frozen=True, array_like=True):
    """
    The request and the response of an attempt; *detail* says whether something was left out.

    Secrets in the request's headers are masked before. New fields go to the end: rows of earlier
    versions lack them.
    """

    request_headers: tuple[Header, ...]
    response_headers: tuple[tuple[str, str], ...]
    response_body: bytes
    body_truncated: bool
    detail: int = Detail.WHOLE


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(KeptExchange)


def detail_of(number: int, *, ends: bool, is_full: bool) -> Detail:
    """
    Return how much is kept of the attempt *number* of a delivery, which *ends* with it or goes on.
    *is_full* tells whether the log of its owner has no more room today.
    """
    if is_full:
        return Detail.LIMITED
    return Detail.WHOLE if number == 1 or ends else Detail.SHORTENED


def kept_exchange(
    request_headers: tuple[Header, ...], outcome: Outcome, detail: Detail
) -> KeptExchange:
    """
    Return what is kept of an exchange.
    """
    headers, body = outcome.response_headers, outcome.response_body
    if detail is Detail.WHOLE:
        return KeptExchange(request_headers, headers, body, outcome.body_truncated)
    most_headers, most_body = MOST_BYTES[detail]
    kept = KeptExchange(
        _first(request_headers, most_headers),
        _first(headers, most_headers),
        body[:most_body],
        outcome.body_truncated or len(body) > most_body,
        detail,
    )
    given = (request_headers, headers, body)
    if (kept.request_headers, kept.response_headers, kept.response_body) == given:
        return KeptExchange(*given, outcome.body_truncated)
    return kept


def _first(headers: Sequence[_Header], most: int) -> tuple[_Header, ...]:
    """
    Return the first headers whose names and values have no more than *most* bytes in all.
    """
    kept = []
    for name, value in headers:
        most -= len(name) + len(value)
        if most < 0:
            break
        kept.append((name, value))
    return tuple(kept)


def seal_exchange(
    claimed: Claimed,
    request_headers: tuple[Header, ...],
    outcome: Outcome,
    sealer: Sealer,
    detail: Detail = Detail.WHOLE,
) -> bytes:
    """
    Seal the request and the response of an attempt, as far as they are kept.
    """
    kept = kept_exchange(request_headers, outcome, detail)
    associated = associated_data.exchange(claimed.owner, claimed.delivery_id, claimed.number)
    return sealer.seal(_ENCODER.encode(kept), associated)


def read_exchange(plaintext: bytes) -> KeptExchange:
    """
    Read what was kept of an exchange.
    """
    return _DECODER.decode(plaintext)
