"""
Ask the URLs of unverified subscriptions to answer a challenge, and report what they did.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from dispatch_service.delivery.send import FaultLines, exchange_outcome
from dispatch_service.domain.outcomes import Outcome
from dispatch_service.egress.requests import Transport
from dispatch_service.feed import reports
from dispatch_service.health import challenge_rows
from dispatch_service.health.challenge import Challenge, not_asked
from dispatch_service.health.challenge_rows import Turn
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from service_runtime.database.engine import writing
from service_runtime.process.failures import FailureLog
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent
from shipedge.webhooks.failures.causes import Cause

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

INTERVAL_SECONDS = 1.0
AT_ONCE = 16
MARGIN_SECONDS = 20.0
"""
For so long beyond its deadline a process that asks may take to store the report; then another one
asks again.
"""

_TEXT_BYTES = 32

log = structlog.get_logger()


class UrlVerifier:
    """
    Asks each revision of an unverified subscription once, also where many processes run this.
    *deadline* is in seconds; *clock* gives the wall clock's time.
    """

    def __init__(
        self,
        store: AsyncEngine,
        subscriptions: SubscriptionIndex,
        transport: Transport,
        *,
        clock: Callable[[], datetime],
        deadline: float,
    ) -> None:
        self._store = store
        self._subscriptions = subscriptions
        self._transport = transport
        self._clock = clock
        self._deadline = deadline
        self._lines = FaultLines()
        self._failures = FailureLog("endpoint.verify_failed")
        # The revision of each that was looked at, and when it is looked at again.
        self._later: dict[str, tuple[int, float]] = {}

    async def run_once(self) -> bool:
        """
        Ask some of those that have not been asked; return whether there are more.
        """
        unverified = self._subscriptions.unverified
        if not (unverified or self._later):
            return False
        self._later = {name: it for name, it in self._later.items() if name in unverified}
        due = [it for it in unverified.values() if self._is_due(it)]
        async with asyncio.TaskGroup() as group:
            for subscription in due[:AT_ONCE]:
                group.create_task(self._isolated(subscription))
        return len(due) > AT_ONCE

    def _is_due(self, subscription: Subscription) -> bool:
        revision, at = self._later.get(subscription.name, (-1, 0.0))
        return revision != subscription.revision or time.monotonic() >= at

    async def _isolated(self, subscription: Subscription) -> None:
        again = time.monotonic() + self._deadline + MARGIN_SECONDS
        with self._failures.isolated(subscription=subscription.name):
            if await self._verify(subscription):
                again = math.inf
        self._later[subscription.name] = (subscription.revision, again)

    async def _verify(self, subscription: Subscription) -> bool:
        """
        Ask, unless another process does; return whether that is over.
        """
        lease = timedelta(seconds=self._deadline + MARGIN_SECONDS)
        async with writing(self._store) as db:
            turn = await challenge_rows.take(db, subscription, lease)
        if turn is not Turn.OWN:
            return turn is Turn.ENDED
        challenge = Challenge(subscription, new_id(), secrets.token_urlsafe(_TEXT_BYTES))
        report = challenge.report(await self._asked(challenge), self._clock())
        async with writing(self._store) as db:
            if await challenge_rows.end(db, subscription):
                await reports.put_reports(db, [(subscription.owner, report)])
        kind = EndpointEvent.Kind.Name(report.kind).removeprefix("KIND_")
        log.info(
            "endpoint.url_asked", subscription=subscription.name, kind=kind, detail=report.detail
        )
        return True

    async def _asked(self, challenge: Challenge) -> Outcome:
        subscription = challenge.subscription
        if subscription.url is None:
            return not_asked(Cause.URL_REFUSED, subscription.url_problem)
        keys = self._subscriptions.keys_of(subscription)
        if not keys:
            return not_asked(Cause.SIGNING_KEY_UNKNOWN)
        request = challenge.request(subscription.url, keys, self._clock(), self._deadline)
        return await exchange_outcome(self._transport, request, self._clock, self._lines)
