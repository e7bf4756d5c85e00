"""
Claims due deliveries from the table: retries, deliveries for which there was no place in memory
when their event was accepted, and those whose lease a process lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from dispatch_service.delivery import request
from dispatch_service.delivery.endpoint_queue import MissingBody, Ready
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.delivery.held_leases import HeldLeases
from dispatch_service.delivery.results import ResultWriter
from dispatch_service.delivery.suspects import Suspects
from dispatch_service.domain.clock_watch import ClockWatch
from dispatch_service.domain.transitions import is_suspect
from dispatch_service.domain.work import Claimed, Lease, Requeue
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage import associated_data
from dispatch_service.storage.sealing import DayKeys
from service_runtime.keys.keyring import SealBrokenError
from service_runtime.observability.dispatch_metrics import observe_batch
from service_runtime.process.failpoints import reach
from service_runtime.process.failures import FailureLog

BATCH = 200
PER_ENDPOINT = 16
"""
How many deliveries of one endpoint one claim may take, so that all endpoints get their turn.
"""

HELD_DELAY = timedelta(seconds=5)
"""
When a delivery is due again that was claimed although this process holds it already.
"""

BYSTANDER_DELAY = timedelta(seconds=2)
"""
When a delivery is due again that one more interruption would make a suspect.
"""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Places:
    """
    Where a claimed delivery goes, and what this process holds already.
    """

    endpoint_queues: EndpointQueues
    suspects: Suspects
    results: ResultWriter
    held: HeldLeases


class Claimer:
    """
    Fills the endpoint queues from the table.
    """

    def __init__(
        self,
        queue: Queue,
        places: Places,
        endpoints: Endpoints,
        keys: DayKeys,
        lease: Lease,
        clock: ClockWatch | None = None,
    ) -> None:
        self._queue = queue
        self._places = places
        self._endpoints = endpoints
        self._keys = keys
        self._lease = lease
        self._clock = clock or ClockWatch()
        self._unread = FailureLog("delivery.body_unread")

    async def run_once(self) -> int:
        """
        Claim what the endpoint queues have room for; return how many deliveries that were.
        """
        places = self._places
        room = places.endpoint_queues.claim_room()
        limit = min(room.count - places.results.unwritten, BATCH)
        if limit <= 0:
            return 0
        now = time.monotonic()
        lease = replace(self._lease, trusted_until=self._clock.expected(now))
        full = {*places.endpoint_queues.full(), *self._endpoints.open_breakers()}
        claimed = await self._queue.claim(
            lease,
            limit=limit,
            per_endpoint=PER_ENDPOINT,
            full=full,
            full_owners=room.full_owners,
            held=places.held.overdue(now),
        )
        if claimed:
            reach("attempt.after_claim")
        observe_batch("claim", len(claimed), now)
        await self._pass_on(claimed, now)
        return len(claimed)

    async def _pass_on(self, claimed: Sequence[Claimed], now: float) -> None:
        suspects = []
        lease_end = now + self._lease.duration.total_seconds()
        places = self._places
        for it in self._taken(claimed, lease_end):
            accepted_at = now - it.age.total_seconds()
            ready = Ready(it, await self._body(it), lease_end, accepted_at=accepted_at)
            if is_suspect(it.interrupted):
                suspects.append(ready)
            elif is_suspect(it.interrupted + 1) and not places.endpoint_queues.starts_at_once(
                it.endpoint_key
            ):
                # If it waited in memory, the next crash would make it a suspect for nothing.
                places.results.release(Requeue(it, BYSTANDER_DELAY))
            else:
                places.endpoint_queues.admit(ready)
        if suspects:
            await self._places.suspects.take(suspects)

    def _taken(self, claimed: Sequence[Claimed], lease_end: float) -> Sequence[Claimed]:
        """
        Hold what was claimed; return it without what this process has in its hands already,
        which is claimed only if the database's clock has made a step.
        """
        taken = []
        for it in claimed:
            if it in self._places.held:
                self._places.results.release(Requeue(it, HELD_DELAY))
            else:
                self._places.held.add(it, lease_end)
                taken.append(it)
        return taken

    async def _body(self, claimed: Claimed) -> bytes | MissingBody:
        """
        Open the payload, or return why there is none. Raises nothing but cancellation: one that
        does not open must not keep the others of its claim from their queues.
        """
        if claimed.sealed_body is None:
            return MissingBody.GONE
        contract = (claimed.event_type, claimed.payload_version)
        associated = associated_data.body(
            claimed.owner, claimed.account, claimed.event_id, contract
        )
        try:
            return await self._keys.open(claimed.sealed_body, associated)
        except SealBrokenError as broken:
            log.error(
                "delivery.body_sealed", delivery=request.webhook_id(claimed), problem=str(broken)
            )
            return MissingBody.SEAL_BROKEN
        except Exception as error:  # noqa: BLE001 - whatever it is, it may be over at the next claim
            self._unread.log(error, delivery=request.webhook_id(claimed))
            return MissingBody.UNREAD
