"""
One leased delivery: the decision about it, and the attempt from request to result.
"""

from __future__ import annotations

import time
from datetime import timedelta

import structlog

from dispatch_service.delivery import request
from dispatch_service.delivery.endpoint_queue import MissingBody, Ready
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.results import ResultWriter
from dispatch_service.delivery.send import AttemptSender
from dispatch_service.domain import transitions
from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import Transition
from dispatch_service.domain.work import Claimed, Release, Requeue, Settlement, Suspend
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from service_runtime.observability import metrics
from service_runtime.process.failpoints import reach

SETTLING_SECONDS = 5.0
"""
What must be left of a lease beyond the deadline when a request is sent.
"""

UNREAD_DELAY = timedelta(seconds=30)
"""
When a delivery is due again whose payload could not be opened: by then its key may be known
here, or another process claims it.
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

    It is ended if its time is up, if it has been interrupted too often or if nobody wants it;
    its lease is released if the subscription is Inactive, if its payload cannot be opened for
    now or if too little of the lease is left.
    """
    claimed = ready.claimed
    if claimed.cancelled or subscription is None or subscription.deleted:
        return transitions.cancel(claimed.retries_used)
    if claimed.expired:
        return transitions.fail(claimed.retries_used, FailureKind.EXPIRED)
    if claimed.interrupted >= transitions.POISON_INTERRUPTIONS:
        return transitions.fail(claimed.retries_used, FailureKind.POISON)
    if not subscription.active:
        return Suspend(claimed, subscription.revision)
    if ready.body is MissingBody.UNREAD:
        return Requeue(claimed, UNREAD_DELAY)
    if isinstance(ready.body, MissingBody):
        # The contract has one kind for every payload that is not there, whatever the cause.
        return transitions.fail(claimed.retries_used, FailureKind.RENDER)
    if lease_left < deadline + SETTLING_SECONDS:
        # The lease might end while the request is under way, and the delivery be sent twice.
        return Requeue(claimed)
    return Attempt(subscription, ready.body)


class AttemptWorker:
    """
    Makes attempts and passes on their results. *deadline* is that of a request, in seconds.
    """

    def __init__(
        self,
        subscriptions: SubscriptionIndex,
        sender: AttemptSender,
        results: ResultWriter,
        endpoints: Endpoints,
        *,
        deadline: float,
    ) -> None:
        self._subscriptions = subscriptions
        self._sender = sender
        self._results = results
        self._endpoints = endpoints
        self._deadline = deadline

    async def deliver(self, ready: Ready) -> bool:
        """
        Attempt a leased delivery, end it, or release its lease; return whether the breaker of its
        endpoint opened. Raises nothing but cancellation.
        """
        try:
            return await self._deliver(ready)
        except Exception:
            # A bug. Its lease runs out and it is claimed again; one that always ends here fails
            # as poison, so it cannot occupy the queue for ever.
            log.exception("delivery.attempt_error", delivery=request.webhook_id(ready.claimed))
            return False

    async def _deliver(self, ready: Ready) -> bool:
        claimed = ready.claimed
        step = plan(
            ready,
            self._subscriptions.by_key.get((claimed.owner, claimed.subscription)),
            lease_left=ready.lease_end - time.monotonic(),
            deadline=self._deadline,
        )
        match step:
            case Attempt():
                return await self._attempt(claimed, step)
            case Requeue() | Suspend():
                self._results.release(step)
            case Transition():
                self._results.settle(Settlement(claimed, step, None))
        return False

    async def _attempt(self, claimed: Claimed, attempt: Attempt) -> bool:
        subscription = attempt.subscription
        reach("attempt.before_send")
        finished = await self._sender.send(claimed, subscription, attempt.body)
        reach("attempt.after_response")
        opened = False
        if subscription.endpoint == claimed.endpoint:
            # Otherwise the URL has changed since the claim: the outcome says nothing of the
            # endpoint in whose queue this delivery waited.
            key = (claimed.owner, claimed.endpoint)
            opened = self._endpoints.record_outcome(key, finished.outcome)
        metrics.count_attempt(finished.outcome.failure_kind)
        self._results.settle(finished)
        return opened
