"""
OAuth 2.0 access tokens: fetched through the same guard as everything else that
goes to a customer's server, kept until shortly before they expire.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec

from dispatch_service.domain.credentials import ClientCredentials
from dispatch_service.domain.outcomes import Response
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.egress.sender import Transport

MARGIN_SECONDS = 60.0
"""
How long before its end a token is no longer used.
"""

USUAL_SECONDS = 300.0
"""
How long a token is taken to live whose server does not say.
"""

LONGEST_SECONDS = 24 * 3600.0
REFUSAL_SECONDS = 5.0
"""
How long a refusal is remembered, so that a backlog does not flood the server.
"""

MOST_KEPT = 10_000

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_ERROR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}")
_OK = 200


class TokenRefusedError(Exception):
    """
    There is no token; the text is fit for customers.
    """


@dataclass(frozen=True, slots=True)
class Token:
    """
    A token, or why there is none, until *end* on the monotonic clock.
    """

    text: str = field(repr=False)
    end: float
    refusal: str = ""


class OAuthTokens:
    """
    The tokens of all credentials. For one event loop.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._kept: dict[str, Token] = {}
        self._fetching: dict[str, asyncio.Task[Token]] = {}

    async def token(self, credential: ClientCredentials, deadline_seconds: float) -> str:
        """
        Return a token that is good for a while, fetched within the deadline if need be.

        Deliveries that need one at the same time share one request. Raises
        `TokenRefusedError`.
        """
        kept = self._kept.get(credential.id)
        if kept is None or kept.end <= time.monotonic():
            kept = await self._fetched(credential, deadline_seconds)
        if kept.refusal:
            raise TokenRefusedError(kept.refusal)
        return kept.text

    def refused(self, credential: ClientCredentials, token: str) -> None:
        """
        Forget a token that the receiver did not accept.
        """
        kept = self._kept.get(credential.id)
        if kept is not None and kept.text == token:
            del self._kept[credential.id]

    async def _fetched(self, credential: ClientCredentials, deadline_seconds: float) -> Token:
        fetching = self._fetching.get(credential.id)
        if fetching is None:
            fetching = asyncio.ensure_future(self._fetch(credential, deadline_seconds))
            self._fetching[credential.id] = fetching
            fetching.add_done_callback(lambda _: self._fetching.pop(credential.id, None))
        try:
            async with asyncio.timeout(deadline_seconds):
                return await asyncio.shield(fetching)
        except TimeoutError:
            raise TokenRefusedError("the token endpoint did not answer in time") from None

    async def _fetch(self, credential: ClientCredentials, deadline_seconds: float) -> Token:
        request = OutboundRequest(
            owner=credential.owner,
            url=credential.token_url,
            headers=credential.headers,
            body=credential.form,
            deadline_seconds=deadline_seconds,
        )
        begun = time.monotonic()
        try:
            token = read_answer(await self._transport.exchange(request), begun)
        except ExchangeFailedError as failure:
            refusal = f"the token endpoint could not be asked: {failure.kind}"
            token = Token("", begun + REFUSAL_SECONDS, refusal)
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        self._kept[credential.id] = token
        return token


def read_answer(answer: Response, begun: float) -> Token:
    """
    Read what a token endpoint answered to a request that *begun*: RFC 6749, section 5.
    """
    content = _object(answer.body)
    if answer.status_code != _OK:
        code = content.get("error")
        shown = f": {code}" if isinstance(code, str) and _ERROR.fullmatch(code) else ""
        return _refusal(begun, f"the token endpoint answered {answer.status_code}{shown}")
    text, kind = content.get("access_token"), content.get("token_type", "bearer")
    if not isinstance(text, str) or not _TOKEN.fullmatch(text):
        return _refusal(begun, "the token endpoint gave no usable access_token")
    if not isinstance(kind, str) or kind.lower() != "bearer":
        return _refusal(begun, "the token endpoint gave a token of another type than bearer")
    return Token(text, begun + _useful_seconds(content.get("expires_in")))


def _useful_seconds(expires_in: object) -> float:
    """
    Return how long a token is used: never to its very end, and half of a short life.
    """
    try:
        seconds = float(str(expires_in)) if expires_in is not None else USUAL_SECONDS
    except ValueError:
        seconds = USUAL_SECONDS
    if not 0 <= seconds <= LONGEST_SECONDS:
        seconds = LONGEST_SECONDS if seconds > 0 else 0.0
    return max(seconds - MARGIN_SECONDS, seconds / 2)


def _refusal(begun: float, text: str) -> Token:
    return Token("", begun + REFUSAL_SECONDS, text)


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
