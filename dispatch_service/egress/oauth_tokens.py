"""
OAuth 2.0 access tokens: fetched through the guarded transport, cached until shortly before they
expire.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field
from typing import Any

import msgspec
import structlog

from dispatch_service.domain.authentication import ClientCredentials
from dispatch_service.domain.outcomes import FailureKind, Response
from dispatch_service.egress.answers.reader import MAX_KEPT_BODY
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest, Transport
from service_runtime.observability.tasks import start_awaited
from shipedge.webhooks.failures.causes import Cause
from shipedge.webhooks.failures.rows import shown_seconds

log = structlog.get_logger()

MARGIN_SECONDS = 60.0
"""
For so long before it expires a token is no longer used.
"""

DEFAULT_LIFETIME_SECONDS = 300.0
"""
The assumed lifetime of a token if its server names none.
"""

MAX_LIFETIME_SECONDS = 24 * 3600.0
REFUSAL_SECONDS = 5.0
"""
For so long a refusal is cached, so that a backlog does not flood the server.
"""

MAX_CACHED = 10_000

_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
_ERROR = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]{1,100}")
_OK = 200


class TokenRefusedError(Exception):
    """
    There is no token. Customers may read the text.
    """


@dataclass(frozen=True, slots=True)
class Token:
    """
    A token, or the reason why there is none; valid until *end* on the monotonic clock.
    """

    text: str = field(repr=False)
    end: float
    refusal: str = ""


class OAuthTokens:
    """
    Fetch and cache the tokens of all credentials. For one event loop.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._cached: dict[str, Token] = {}
        self._fetching: dict[str, asyncio.Task[Token]] = {}

    async def token(self, credential: ClientCredentials, deadline_seconds: float) -> str:
        """
        Return a token, fetched within the deadline if there is none; raise `TokenRefusedError`.

        Deliveries that need a token of one credential at the same time share one request.
        """
        token = self._cached.get(credential.id)
        if token is None or token.end <= time.monotonic():
            token = await self._fetched(credential, deadline_seconds)
        if token.refusal:
            raise TokenRefusedError(token.refusal)
        return token.text

    def refused(self, credential: ClientCredentials, token: str) -> None:
        """
        Drop a token that the receiver did not accept.
        """
        cached = self._cached.get(credential.id)
        if cached is not None and cached.text == token:
            del self._cached[credential.id]

    async def _fetched(self, credential: ClientCredentials, deadline_seconds: float) -> Token:
        fetching = self._fetching.get(credential.id)
        if fetching is None:
            fetching = start_awaited(self._fetch(credential, deadline_seconds), "token")
            self._fetching[credential.id] = fetching
            fetching.add_done_callback(lambda _: self._fetching.pop(credential.id, None))
        try:
            async with asyncio.timeout(deadline_seconds):
                return await asyncio.shield(fetching)
        except TimeoutError:
            why = f"no token came within {shown_seconds(deadline_seconds)}"
            raise TokenRefusedError(Cause.TOKEN_TIMEOUT.text(why)) from None

    async def _fetch(self, credential: ClientCredentials, deadline_seconds: float) -> Token:
        request = OutboundRequest(
            owner=credential.owner,
            url=credential.token_url,
            headers=credential.headers,
            body=credential.form,
            deadline_seconds=deadline_seconds,
            fresh=True,
            needs_body=True,
        )
        started_at = time.monotonic()
        try:
            token = read_token(await self._transport.exchange(request), started_at)
        except ExchangeFailedError as failure:
            if failure.kind is FailureKind.BLOCKED_ADDRESS:
                log.warning(
                    "delivery.blocked",
                    owner=request.owner,
                    endpoint=request.url.endpoint,
                    detail=failure.detail,
                )
            is_late = failure.kind is FailureKind.TIMEOUT
            cause = Cause.TOKEN_TIMEOUT if is_late else Cause.TOKEN_UNREACHABLE
            token = _refusal(started_at, cause, failure.happened)
        if len(self._cached) >= MAX_CACHED:
            self._cached.clear()
        self._cached[credential.id] = token
        return token


def read_token(response: Response, started_at: float) -> Token:
    """
    Read the response of a token endpoint to a request of *started_at*: RFC 6749, section 5.
    """
    content = _object(response.body)
    if response.status_code != _OK:
        code = content.get("error")
        shown = f", {code}" if isinstance(code, str) and _ERROR.fullmatch(code) else ""
        why = f"HTTP {response.status_code}{shown}"
        return _refusal(started_at, Cause.TOKEN_REFUSED, why)
    text, kind = content.get("access_token"), content.get("token_type", "bearer")
    if not content and response.body_truncated:
        return _refusal(started_at, Cause.TOKEN_INCOMPLETE, _missing_rest(response))
    if not isinstance(text, str) or not text:
        return _refusal(started_at, Cause.TOKEN_UNREADABLE)
    if not _TOKEN.fullmatch(text):
        return _refusal(started_at, Cause.TOKEN_UNUSABLE)
    if not isinstance(kind, str) or kind.lower() != "bearer":
        return _refusal(started_at, Cause.TOKEN_OF_OTHER_TYPE)
    return Token(text, started_at + _useful_seconds(content.get("expires_in")))


def _useful_seconds(expires_in: object) -> float:
    """
    Return for how long a token is used: its lifetime less a margin, or half of a short lifetime.
    """
    try:
        seconds = float(str(expires_in)) if expires_in is not None else DEFAULT_LIFETIME_SECONDS
    except ValueError:
        seconds = DEFAULT_LIFETIME_SECONDS
    if not 0 <= seconds <= MAX_LIFETIME_SECONDS:
        seconds = MAX_LIFETIME_SECONDS if seconds > 0 else 0.0
    return max(seconds - MARGIN_SECONDS, seconds / 2)


def _missing_rest(response: Response) -> str:
    """
    Say why the body of a response is not whole.
    """
    if len(response.body) >= MAX_KEPT_BODY:
        return f"it is longer than {MAX_KEPT_BODY // 1024} KiB"
    seconds = (response.timings.total_us or 0) / 1_000_000
    return f"the rest of its body had not come after {shown_seconds(seconds)}"


def _refusal(started_at: float, cause: Cause, why: str = "") -> Token:
    return Token("", started_at + REFUSAL_SECONDS, cause.text(why))


def _object(body: bytes) -> dict[str, Any]:
    try:
        content = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
