"""
From attempts as they ended to what is written of them: what each delivery becomes,
and the entry in the log with the sealed exchange.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime

import structlog

from dispatch_service.delivery.request import webhook_id
from dispatch_service.domain.confidential import Confidential
from dispatch_service.domain.credentials import Header
from dispatch_service.domain.deliveries import Transition, decide
from dispatch_service.domain.outcomes import Outcome
from dispatch_service.domain.work import AttemptRecord, Claimed, Settlement
from dispatch_service.log.attempts import attempt_record, seal_exchange
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.sealing import DayKeys, Sealer

log = structlog.get_logger()


class Made(Confidential, frozen=True, gc=False):
    """
    An attempt that was made and is not written down yet.
    """

    claimed: Claimed
    subscription: Subscription
    outcome: Outcome
    shown_headers: tuple[Header, ...]
    start_time: datetime


class Recorder:
    """
    Works out what is written of attempts.
    """

    def __init__(self, subscriptions: SubscriptionIndex, keys: DayKeys) -> None:
        self._subscriptions = subscriptions
        self._keys = keys

    async def record(self, made: Sequence[Made]) -> list[Settlement]:
        """
        Return what ends the leases of attempts.

        A step at a time over all of them, as events are prepared, and for the same reason. One
        that a fault of ours keeps from being written is left out: its lease brings it back, and
        if it always ends here, it becomes poison. Raises what `DayKeys.today` raises.
        """
        if not made:
            return []
        sealer = await self._keys.today()
        try:
            return self._recorded(made, sealer)
        except Exception:  # noqa: BLE001 - each is looked at by itself, which tells whose it is
            return [it for one in made for it in self._alone(one, sealer)]

    def _recorded(self, made: Sequence[Made], sealer: Sealer) -> list[Settlement]:
        transitions = [self._decided(it) for it in made]
        sealed = [seal_exchange(it.claimed, it.shown_headers, it.outcome, sealer) for it in made]
        return [
            Settlement(it.claimed, transition, _entry(it, exchange), it.outcome.status_code)
            for it, transition, exchange in zip(made, transitions, sealed, strict=True)
        ]

    def _alone(self, made: Made, sealer: Sealer) -> Sequence[Settlement]:
        try:
            return self._recorded([made], sealer)
        except Exception:
            log.exception("delivery.attempt_broke", delivery=webhook_id(made.claimed))
            return ()

    def _decided(self, made: Made) -> Transition:
        claimed = made.claimed
        return decide(
            made.outcome,
            state=claimed.state,
            retries_used=claimed.retries_used,
            # A test answers at once: it is not tried again for days.
            schedule=() if claimed.test else self._subscriptions.schedule_of(made.subscription),
            chance=random.random(),  # noqa: S311 - jitter is no secret
        )


def _entry(made: Made, sealed_exchange: bytes) -> AttemptRecord:
    return attempt_record(
        made.claimed,
        made.subscription,
        made.outcome,
        start_time=made.start_time,
        sealed_exchange=sealed_exchange,
    )
