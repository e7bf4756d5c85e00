"""
One attempt to send a delivery: authentication, client certificate, the signed request, and the
outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime

from msgspec.structs import replace

from dispatch_service.delivery import request
from dispatch_service.domain import outcomes
from dispatch_service.domain.authentication import (
    ClientCredentials,
    ClientIdentity,
    CompiledCredential,
    Header,
    bearer,
    fixed_headers,
)
from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.outcomes import FailureKind, Outcome
from dispatch_service.domain.transitions import State, is_repetition
from dispatch_service.domain.work import Claimed
from dispatch_service.egress.oauth_tokens import OAuthTokens, TokenRefusedError
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest, Transport
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import SigningKey, Subscription
from service_runtime.observability.sampled_lines import SampledLines
from service_runtime.process.failures import FailureLog
from shipedge.webhooks.failures.causes import Cause

UNAUTHORIZED = 401

_REPORTED = frozenset({FailureKind.BLOCKED_ADDRESS, FailureKind.PROXY, FailureKind.INTERNAL})


class FinishedAttempt(Confidential, frozen=True, gc=False):
    """
    An attempt with its outcome; *shown_headers* are those of the request as the log may show them.

    It began *waited* seconds after its event was accepted, and took so many *seconds*.
    """

    claimed: Claimed
    subscription: Subscription
    outcome: Outcome
    shown_headers: tuple[Header, ...]
    start_time: datetime
    waited: float = 0.0
    seconds: float = 0.0

    def with_stale_token(self) -> FinishedAttempt:
        """
        Return the attempt as failed because of a token that was fetched too long ago.
        """
        error = Cause.STALE_TOKEN.text()
        outcome = replace(self.outcome, failure_kind=FailureKind.STALE_TOKEN, error=error)
        return replace(self, outcome=outcome)


class PreparedRequest(Confidential, frozen=True, gc=False):
    """
    The request of an attempt before it is authenticated and signed; *accepted_at*, *began* and
    *end* are on the monotonic clock.
    """

    claimed: Claimed
    subscription: Subscription
    body: bytes
    start_time: datetime
    accepted_at: float
    began: float
    end: float
    identity: ClientIdentity | None
    keys: Sequence[SigningKey]

    @property
    def seconds_left(self) -> float:
        """
        Return the rest of the deadline.
        """
        return self.end - time.monotonic()

    def failed(self, cause: Cause, why: str = "") -> FinishedAttempt:
        """
        Return the attempt as failed before a request was sent; *why* is shown to customers.
        """
        kind = FailureKind(cause.row.kind.lower())
        return self.finished(outcomes.failed(kind, cause.text(why)), ())

    def finished(self, outcome: Outcome, shown_headers: tuple[Header, ...]) -> FinishedAttempt:
        """
        Return the attempt with its outcome.
        """
        return FinishedAttempt(
            self.claimed,
            self.subscription,
            outcome,
            shown_headers,
            self.start_time,
            self.began - self.accepted_at,
            time.monotonic() - self.began,
        )


class FaultLines:
    """
    The log lines of what an operator can act on: blocked destinations, and faults of the egress
    proxy and of this service. What repeats is folded.
    """

    def __init__(self) -> None:
        self._bugs = FailureLog("delivery.fault")
        self._faults = SampledLines("delivery.fault")
        self._blocked = SampledLines("delivery.blocked")

    def bug(self, outbound: OutboundRequest, error: Exception) -> None:
        """
        Log an error that no transport should raise.
        """
        self._bugs.log(error, owner=outbound.owner)

    def failed(self, outbound: OutboundRequest, failure: ExchangeFailedError) -> None:
        """
        Log a failure, if it is one of these; a blocked destination with its address.
        """
        if failure.kind not in _REPORTED:
            return
        owner, endpoint, detail = outbound.owner, outbound.url.endpoint, failure.detail
        key = (owner, endpoint)
        if failure.kind is FailureKind.BLOCKED_ADDRESS:
            self._blocked.log(key, owner=owner, endpoint=endpoint, detail=detail)
        else:
            self._faults.log(key, owner=owner, endpoint=endpoint, detail=detail)


class AttemptSender:
    """
    Sends deliveries to receivers. *deadline* is in seconds and covers everything; *clock* gives
    the wall clock's time for signatures, `Retry-After` and the log.
    """

    def __init__(
        self,
        subscriptions: SubscriptionIndex,
        transport: Transport,
        tokens: OAuthTokens,
        *,
        clock: Callable[[], datetime],
        deadline: float,
    ) -> None:
        self._subscriptions = subscriptions
        self._transport = transport
        self._tokens = tokens
        self._clock = clock
        self._deadline = deadline
        self._lines = FaultLines()

    async def send(
        self, claimed: Claimed, subscription: Subscription, body: bytes, accepted_at: float
    ) -> FinishedAttempt:
        """
        Send a body to a subscription's URL. *accepted_at*, on the monotonic clock, is when the
        event was accepted. Raises nothing but cancellation.
        """
        now = time.monotonic()
        prepared = PreparedRequest(
            claimed,
            subscription,
            body,
            self._clock(),
            accepted_at,
            now,
            now + self._deadline,
            identity=self._subscriptions.identities.get(subscription.client_certificate),
            keys=self._subscriptions.keys_of(subscription),
        )
        if subscription.url is None:
            return prepared.failed(Cause.URL_REFUSED, subscription.url_problem)
        if subscription.client_certificate and prepared.identity is None:
            return prepared.failed(Cause.CERTIFICATE_UNKNOWN)
        if not prepared.keys:
            return prepared.failed(Cause.SIGNING_KEY_UNKNOWN)
        if not subscription.credential:
            return await self._send(prepared, ())
        credential = self._subscriptions.credentials.get(subscription.credential)
        return await self._authenticate(prepared, credential)

    async def _authenticate(
        self, prepared: PreparedRequest, credential: CompiledCredential | None
    ) -> FinishedAttempt:
        if credential is None:
            return prepared.failed(Cause.CREDENTIAL_UNKNOWN)
        if isinstance(credential, ClientCredentials):
            return await self._send_with_token(prepared, credential)
        return await self._send(prepared, fixed_headers(credential, prepared.body))

    async def _send_with_token(
        self, prepared: PreparedRequest, credential: ClientCredentials
    ) -> FinishedAttempt:
        """
        Send with a token. If the receiver answers 401 to one that was fetched for an earlier
        request, the attempt says so: it is repeated at once, with a new token.
        """
        claimed = prepared.claimed
        # Where there is no repetition a token must not turn out to be stale.
        is_last = is_repetition(claimed.last_failure) or claimed.state is State.SUCCEEDED
        try:
            token = await self._tokens.token(credential, prepared.seconds_left, new=is_last)
        except TokenRefusedError as refused:
            return prepared.finished(outcomes.failed(FailureKind.AUTH, str(refused)), ())
        attempt = await self._send(prepared, bearer(token.text))
        if attempt.outcome.status_code != UNAUTHORIZED:
            return attempt
        # A token may be revoked before it expires, and a 401 is the only sign of it.
        self._tokens.refused(credential, token)
        is_new = token.start >= prepared.began
        return attempt if is_last or is_new else attempt.with_stale_token()

    async def _send(
        self, prepared: PreparedRequest, authentication: tuple[Header, ...]
    ) -> FinishedAttempt:
        claimed, subscription = prepared.claimed, prepared.subscription
        seconds_left = prepared.seconds_left
        if seconds_left <= 0:
            # The token server took all of it.
            return prepared.failed(Cause.TOKEN_TIMEOUT, "no time was left for the request")
        outbound = request.build(
            claimed,
            subscription,
            prepared.body,
            now=prepared.start_time,
            deadline=seconds_left,
            keys=prepared.keys,
            authentication=authentication,
            identity=prepared.identity,
        )
        shown = outbound.headers
        if subscription.headers or authentication:
            shown = request.masked_headers(outbound, subscription, authentication)
        outcome = await exchange_outcome(self._transport, outbound, self._clock, self._lines)
        return prepared.finished(outcome, shown)


async def exchange_outcome(
    transport: Transport,
    outbound: OutboundRequest,
    clock: Callable[[], datetime],
    lines: FaultLines,
) -> Outcome:
    """
    Send a request and judge what came of it; *lines* tells operators of faults. Raises nothing
    but cancellation.
    """
    try:
        response = await transport.exchange(outbound)
    except ExchangeFailedError as failure:
        lines.failed(outbound, failure)
        return outcomes.failed(
            failure.shown_kind,
            failure.error,
            failure.timings,
            received=failure.received,
            remote_address=failure.remote_address,
        )
    except Exception as error:  # noqa: BLE001 - a bug must not end the worker
        # Its text may name what no customer may see.
        lines.bug(outbound, error)
        return outcomes.failed(FailureKind.INTERNAL, Cause.OWN_FAULT.text())
    return outcomes.from_response(response, clock)
