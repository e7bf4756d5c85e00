"""
One request to a receiver with all that belongs to it: authentication, client
certificate, and a second try with a fresh token where the first was refused.
"""

from __future__ import annotations

import time
from datetime import datetime

import msgspec

from dispatch_service.delivery import request as outbound
from dispatch_service.domain import outcomes
from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.credentials import (
    ClientCredentials,
    ClientIdentity,
    CompiledCredential,
    Header,
    bearer,
    fixed_headers,
)
from dispatch_service.domain.outcomes import FailureKind, Outcome
from dispatch_service.domain.work import Claimed
from dispatch_service.egress.oauth_tokens import OAuthTokens, TokenRefusedError
from dispatch_service.egress.sender import Sender
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription

UNAUTHORIZED = 401


class Sent(msgspec.Struct, frozen=True, gc=False):
    """
    What became of a request, and its headers as the log may show them.
    """

    outcome: Outcome
    shown_headers: tuple[Header, ...] = ()


class _Parcel(Confidential, frozen=True, gc=False):
    """
    What is sent to whom by when; *end* is on the monotonic clock.
    """

    claimed: Claimed
    subscription: Subscription
    body: bytes
    now: datetime
    end: float
    identity: ClientIdentity | None

    @property
    def seconds_left(self) -> float:
        """
        What is left of the deadline.
        """
        return self.end - time.monotonic()


class Courier:
    """
    Carries bodies to receivers. *deadline* is in seconds and covers everything.
    """

    def __init__(
        self,
        subscriptions: SubscriptionIndex,
        sender: Sender,
        tokens: OAuthTokens,
        *,
        deadline: float,
    ) -> None:
        self._subscriptions = subscriptions
        self._sender = sender
        self._tokens = tokens
        self._deadline = deadline

    async def carry(
        self, claimed: Claimed, subscription: Subscription, body: bytes, now: datetime
    ) -> Sent:
        """
        Send a body to a subscription's URL. Only cancellation is raised.
        """
        if subscription.url is None:
            return _failed(FailureKind.INVALID_URL, subscription.url_problem)
        identity = self._subscriptions.identities.get(subscription.client_certificate)
        if subscription.client_certificate and identity is None:
            return _failed(FailureKind.CERTIFICATE, "the client certificate is not known here")
        end = time.monotonic() + self._deadline
        parcel = _Parcel(claimed, subscription, body, now, end, identity)
        if not subscription.credential:
            return await self._send(parcel, ())
        credential = self._subscriptions.credentials.get(subscription.credential)
        return await self._authenticated(parcel, credential)

    async def _authenticated(self, parcel: _Parcel, credential: CompiledCredential | None) -> Sent:
        if credential is None:
            return _failed(FailureKind.AUTH, "the credential is not known here")
        if isinstance(credential, ClientCredentials):
            return await self._with_token(parcel, credential)
        return await self._send(parcel, fixed_headers(credential, parcel.body))

    async def _with_token(self, parcel: _Parcel, credential: ClientCredentials) -> Sent:
        """
        Send with a token; where the receiver answers 401, once more with a fresh one.
        """
        try:
            token = await self._tokens.token(credential, parcel.seconds_left)
            sent = await self._send(parcel, bearer(token))
            if sent.outcome.status_code != UNAUTHORIZED or parcel.seconds_left <= 0:
                return sent
            self._tokens.refused(credential, token)
            fresh = await self._tokens.token(credential, parcel.seconds_left)
        except TokenRefusedError as refused:
            return _failed(FailureKind.AUTH, str(refused))
        return sent if fresh == token else await self._send(parcel, bearer(fresh))

    async def _send(self, parcel: _Parcel, authentication: tuple[Header, ...]) -> Sent:
        if parcel.seconds_left <= 0:
            return _failed(FailureKind.TIMEOUT, "no time was left for the request")
        request = outbound.build(
            parcel.claimed,
            parcel.subscription,
            parcel.body,
            now=parcel.now,
            deadline=parcel.seconds_left,
            authentication=authentication,
            identity=parcel.identity,
        )
        shown = outbound.shown_headers(request, parcel.subscription, authentication)
        return Sent(await self._sender.send(request), shown)


def _failed(kind: FailureKind, error: str) -> Sent:
    return Sent(outcomes.failed(kind, error))
