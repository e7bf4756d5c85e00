"""
OAuth 2.0 access tokens: fetched through the guarded transport, cached until shortly before they
expire.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from dispatch_service.domain.authentication import ClientCredentials
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.answers.tokens import TokenAnswer, read_answer
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest, Transport
from service_runtime.observability.tasks import start_awaited
from shipedge.webhooks.failures.causes import Cause
from shipedge.webhooks.failures.rows import shown_seconds

log = structlog.get_logger()

REFUSAL_SECONDS = 5.0
"""
For so long a refusal is cached, so that a backlog does not flood the server.
"""

NEW_SECONDS = 5.0
"""
For so long a token counts as new: where a token was refused, many that wait take one newer one.
"""

MAX_CACHED = 10_000


class TokenRefusedError(Exception):
    """
    There is no token. Customers may read the text.
    """


@dataclass(frozen=True, slots=True)
class Token:
    """
    A token, or the reason why there is none, requested at *start* and valid until *end*, both on
    the monotonic clock.
    """

    text: str = field(repr=False)
    start: float
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

    async def token(
        self, credential: ClientCredentials, deadline_seconds: float, *, new: bool = False
    ) -> Token:
        """
        Return a token, fetched within the deadline if there is none; raise `TokenRefusedError`.
        A *new* one has just been fetched.

        Deliveries that need a token of one credential at the same time share one request.
        """
        now = time.monotonic()
        token = self._cached.get(credential.id)
        if token is None or token.end <= now or (new and token.start < now - NEW_SECONDS):
            token = await self._fetched(credential, deadline_seconds)
        if token.refusal:
            raise TokenRefusedError(token.refusal)
        return token

    def refused(self, credential: ClientCredentials, token: Token) -> None:
        """
        Drop a token that the receiver did not accept.
        """
        if self._cached.get(credential.id) == token:
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
        start = time.monotonic()
        try:
            answer = read_answer(await self._transport.exchange(request))
        except ExchangeFailedError as failure:
            answer = _unanswered(request, failure)
        seconds = REFUSAL_SECONDS if answer.refusal else answer.seconds
        token = Token(answer.text, start, start + seconds, answer.refusal)
        if len(self._cached) >= MAX_CACHED:
            self._cached.clear()
        self._cached[credential.id] = token
        return token


def _unanswered(request: OutboundRequest, failure: ExchangeFailedError) -> TokenAnswer:
    """
    Return the refusal where a token server did not answer; operators learn of blocked ones.
    """
    if failure.kind is FailureKind.BLOCKED_ADDRESS:
        log.warning(
            "delivery.blocked",
            owner=request.owner,
            endpoint=request.url.endpoint,
            detail=failure.detail,
        )
    is_late = failure.kind is FailureKind.TIMEOUT
    cause = Cause.TOKEN_TIMEOUT if is_late else Cause.TOKEN_UNREACHABLE
    return TokenAnswer(refusal=cause.text(failure.happened))
