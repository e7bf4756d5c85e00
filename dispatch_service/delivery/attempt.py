"""
One attempt, from a leased delivery to its outcome.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from dispatch_service.delivery import request
from dispatch_service.delivery.endpoint_queue import Ready
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.recorder import Made
from dispatch_service.delivery.results import Settler
from dispatch_service.delivery.send import Courier
from dispatch_service.domain import deliveries
from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.deliveries import Transition
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.work import Claimed, Release, Settlement
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from service_runtime.observability import metrics
from service_runtime.process.failpoints import reach
from service_runtime.rpc import names

SETTLING_SECONDS = 5.0
"""
What must be left of a lease beside the deadline when a request leaves.
"""

log = structlog.get_logger()


class Attempt(Confidential, frozen=True, gc=False):
    """
    The decision to send.
    """

    subscription: Subscription
    body: bytes


def plan(
    ready: Ready, subscription: Subscription | None, *, lease_left: float, deadline: float
) -> Attempt | Transition | Release:
    """
    Decide what to do with a leased delivery; the spans are in seconds.

    It is given up where its time is up, where it has been interrupted too
    often or where nobody wants it; it is let go where the subscription is
    Inactive or too little of the lease is left.
    """
    claimed = ready.claimed
    if claimed.cancelled or subscription is None or subscription.deleted:
        return deliveries.cancel(claimed.retries_used)
    if claimed.expired:
        return deliveries.fail(claimed.retries_used, FailureKind.EXPIRED)
    if claimed.interrupted >= deliveries.POISON_INTERRUPTIONS:
        return deliveries.fail(claimed.retries_used, FailureKind.POISON)
    if not subscription.active:
        return Release(claimed, None, subscription.revision)
    if ready.body is None:
        return deliveries.fail(claimed.retries_used, FailureKind.RENDER)
    if lease_left < deadline + SETTLING_SECONDS:
        return Release(claimed, timedelta())
    return Attempt(subscription, ready.body)


class Worker:
    """
    Makes attempts. *clock* gives the wall clock's time for signatures and the log.
    """

    def __init__(
        self,
        subscriptions: SubscriptionIndex,
        courier: Courier,
        settler: Settler,
        endpoints: Endpoints,
        *,
        clock: Callable[[], datetime],
        deadline: float,
    ) -> None:
        self._subscriptions = subscriptions
        self._courier = courier
        self._settler = settler
        self._endpoints = endpoints
        self._clock = clock
        self._deadline = deadline

    async def deliver(self, ready: Ready) -> bool:
        """
        Do what is to be done with a leased delivery. Never raises but for cancellation.

        Return whether the breaker of its endpoint opened.
        """
        try:
            return await self._deliver(ready)
        except Exception:
            # The lease brings it back; a delivery that always ends here becomes poison.
            log.exception("delivery.attempt_broke", delivery=request.webhook_id(ready.claimed))
            return False

    async def _deliver(self, ready: Ready) -> bool:
        claimed = ready.claimed
        name = names.subscription(claimed.owner, claimed.subscription)
        step = plan(
            ready,
            self._subscriptions.by_name.get(name),
            lease_left=ready.lease_end - time.monotonic(),
            deadline=self._deadline,
        )
        match step:
            case Attempt():
                return await self._attempt(claimed, step)
            case Release():
                self._settler.release(step)
            case Transition():
                self._settler.settle(Settlement(claimed, step, None))
        return False

    async def _attempt(self, claimed: Claimed, attempt: Attempt) -> bool:
        subscription = attempt.subscription
        reach("attempt.before_send")
        start_time = self._clock()
        sent = await self._courier.carry(claimed, subscription, attempt.body, start_time)
        reach("attempt.after_response")
        outcome = sent.outcome
        metrics.count_attempt(outcome.failure_kind)
        self._settler.settle(Made(claimed, subscription, outcome, sent.shown_headers, start_time))
        if subscription.endpoint != claimed.endpoint:
            # The URL has changed: the outcome says nothing of the endpoint it was claimed for.
            return False
        return self._endpoints.note(claimed.endpoint_key, outcome)
