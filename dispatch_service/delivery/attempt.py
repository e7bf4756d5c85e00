"""
One leased delivery: the decision about it, and the attempt from request to result.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from datetime import timedelta

from dispatch_service.delivery import request
from dispatch_service.delivery.endpoint_queue import MissingBody, Ready
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.replicas import Liveness
from dispatch_service.delivery.results import ResultWriter
from dispatch_service.delivery.send import AttemptSender, FinishedAttempt
from dispatch_service.delivery.suspect_attempts import SuspectAttempts
from dispatch_service.domain import transitions
from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.leases import SETTLING_SECONDS
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.domain.transitions import LONGEST_LIFETIME, Transition
from dispatch_service.domain.work import Claimed, Release, Requeue, Settlement, Suspend
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from service_runtime.observability.dispatch_metrics import ATTEMPTS
from service_runtime.observability.sampled_lines import SampledLines
from service_runtime.process.failpoints import reach
from service_runtime.process.failures import FailureLog
from service_runtime.rpc.gate.log_context import current_subject, trace_id_of

UNREAD_DELAY = timedelta(seconds=30)
"""
When a delivery is due again whose payload could not be opened: by then its key may be known
here, or another process claims it.
"""

STORING_SECONDS = 2.0
"""
How long the attempt of a suspect waits until it is stored.
"""

UNSTORED_DELAY = timedelta(seconds=1)
"""
When a suspect is due again whose attempt could not be stored.
"""


class AttemptSubject:
    """
    What the log lines of an attempt are about.
    """

    __slots__ = ("_claimed",)

    def __init__(self, claimed: Claimed) -> None:
        self._claimed = claimed

    def log_fields(self) -> Mapping[str, object]:
        """
        Return the fields of the lines of this attempt.
        """
        claimed = self._claimed
        return {
            "owner": claimed.owner,
            "delivery": request.webhook_id(claimed),
            "attempt": claimed.number,
            "trace_id": trace_id_of(claimed.trace_parent),
        }


_MISSING = {
    MissingBody.GONE: FailureKind.BODY_ERASED,
    MissingBody.SEAL_BROKEN: FailureKind.BODY_DAMAGED,
}


class Attempt(Confidential, frozen=True, gc=False):
    """
    The decision to send.
    """

    subscription: Subscription
    body: bytes


def plan(
    ready: Ready,
    subscription: Subscription | None,
    *,
    held: int | None,
    lease_left: float,
    deadline: float,
) -> Attempt | Transition | Release:
    """
    Decide what to do with a leased delivery; the spans are in seconds, *held* is the revision
    at which the subscription is held.

    It is ended if its receiver has used up its time, if too many processes have died of it or if
    nobody wants it; its lease is released if the subscription is held or Inactive, if its payload
    cannot be opened for now or if too little of the lease is left.
    """
    claimed = ready.claimed
    if held is not None and not claimed.cancelled:
        return Suspend(claimed, held, hold=LONGEST_LIFETIME)
    if claimed.cancelled:
        return transitions.cancel(claimed.retries_used)
    if subscription is None or subscription.deleted:
        return transitions.cancel(claimed.retries_used, FailureKind.SUBSCRIPTION_DELETED)
    if not subscription.active and claimed.expired:
        return transitions.cancel(claimed.retries_used, FailureKind.SUBSCRIPTION_INACTIVE)
    if (spent := _spent(ready)) is not None:
        return transitions.fail(claimed.retries_used, spent)
    if not subscription.active:
        return Suspend(claimed, subscription.revision)
    if ready.body is MissingBody.UNREAD:
        return Requeue(claimed, UNREAD_DELAY)
    if isinstance(ready.body, MissingBody):
        return transitions.fail(claimed.retries_used, _MISSING[ready.body])
    if lease_left < deadline + SETTLING_SECONDS:
        # The lease might end while the request is under way, and the delivery be sent twice.
        return Requeue(claimed)
    return Attempt(subscription, ready.body)


def _spent(ready: Ready) -> FailureKind | None:
    """
    Return why a delivery is not attempted again, whoever wants it.
    """
    if ready.claimed.used_up:
        return FailureKind.EXPIRED
    return FailureKind.POISON if ready.deaths >= transitions.POISON_DEATHS else None


class AttemptWorker:
    """
    Makes attempts and passes on their results. *deadline* is that of a request, in seconds.
    None begins while *liveness* does not allow it, where other processes share the database.
    """

    def __init__(
        self,
        subscriptions: SubscriptionIndex,
        sender: AttemptSender,
        results: ResultWriter,
        endpoints: Endpoints,
        suspect_attempts: SuspectAttempts,
        *,
        deadline: float,
        liveness: Liveness | None = None,
    ) -> None:
        self._subscriptions = subscriptions
        self._sender = sender
        self._results = results
        self._endpoints = endpoints
        self._suspect_attempts = suspect_attempts
        self._deadline = deadline
        self._liveness = liveness
        self._unstored = FailureLog("delivery.suspect_unstored")
        self._errors = FailureLog("delivery.attempt_error")
        self._failed = SampledLines("delivery.attempt_failed")

    async def deliver(self, ready: Ready) -> bool:
        """
        Attempt a leased delivery, end it, or release its lease; return whether the breaker of its
        endpoint opened. Raises nothing but cancellation.
        """
        outer = current_subject.set(AttemptSubject(ready.claimed))
        try:
            finished = await self._deliver(ready)
            return finished is not None and self._judged(finished)
        except Exception as error:  # noqa: BLE001 - a bug
            # Its lease runs out and it is claimed again; one that always ends here fails as
            # poison, so it cannot occupy the queue for ever.
            self._errors.log(error, delivery=request.webhook_id(ready.claimed))
            self._results.drop(ready.claimed)
            return False
        finally:
            current_subject.reset(outer)

    async def _deliver(self, ready: Ready) -> FinishedAttempt | None:
        claimed = ready.claimed
        if self._liveness is None:
            lease_left = ready.lease_end - time.monotonic()
        else:
            lease_left = await self._liveness.lease_left(ready.lease_end)
        key = (claimed.owner, claimed.subscription)
        subscription = self._subscriptions.by_key.get(key)
        # One that is held is not active.
        is_active = subscription is not None and subscription.active
        step = plan(
            ready,
            subscription,
            held=None if is_active else self._subscriptions.held_revision(key),
            lease_left=lease_left,
            deadline=self._deadline,
        )
        if isinstance(step, Attempt):
            return await self._attempt(claimed, step, ready.accepted_at)
        self._endpoints.probe_not_sent(claimed.endpoint_key)
        match step:
            case Requeue() | Suspend():
                self._results.release(step)
            case Transition():
                self._results.settle(Settlement(claimed, step, None))
        return None

    async def _attempt(
        self, claimed: Claimed, attempt: Attempt, accepted_at: float
    ) -> FinishedAttempt | None:
        suspected = transitions.is_suspect(claimed.interrupted)
        if suspected and not await self._stored_as_suspect(claimed):
            self._results.release(Requeue(claimed, UNSTORED_DELAY))
            return None
        reach("attempt.before_send", claimed.event_id)
        subscription, body = attempt.subscription, attempt.body
        finished = await self._sender.send(claimed, subscription, body, accepted_at)
        reach("attempt.after_response")
        # Before all else: an error in what follows must not lose what the receiver has said.
        self._results.settle(finished)
        return finished

    async def _stored_as_suspect(self, claimed: Claimed) -> bool:
        """
        Store that a suspect is on the wire; return False if the store did not take it in time.
        """
        with self._unstored.isolated() as stored:
            async with asyncio.timeout(STORING_SECONDS):
                await self._suspect_attempts.begin(claimed)
        return stored.error is None

    def _judged(self, finished: FinishedAttempt) -> bool:
        """
        Take the outcome of an attempt into account; return whether it opened the breaker of its
        endpoint.
        """
        claimed, subscription = finished.claimed, finished.subscription
        opened = False
        if subscription.endpoint == claimed.endpoint:
            # Otherwise the URL has changed since the claim: the outcome says nothing of the
            # endpoint in whose queue this delivery waited.
            key = (claimed.owner, claimed.endpoint)
            opened = self._endpoints.record_outcome(key, finished.outcome, finished.seconds)
        ATTEMPTS.add(finished.outcome.failure_kind or "success")
        if not finished.outcome.succeeded:
            self._log_failure(finished)
        return opened

    def _log_failure(self, finished: FinishedAttempt) -> None:
        subscription, outcome = finished.subscription, finished.outcome
        endpoint = subscription.endpoint
        self._failed.log(
            (subscription.owner, endpoint),
            owner=subscription.owner,
            endpoint=endpoint,
            subscription=subscription.name,
            failure_kind=outcome.failure_kind,
            response_code=outcome.status_code,
            detail=outcome.error,
        )
