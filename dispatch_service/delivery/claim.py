"""
Claims due deliveries from the table: retries, deliveries for which there was no place in memory
when their event was accepted, and those whose lease a process lost.
"""

from __future__ import annotations

import time

import structlog

from dispatch_service.delivery.endpoint_queue import MissingBody, Ready
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.work import Claimed, Lease
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage import associated_data
from dispatch_service.storage.sealing import DayKeys
from service_runtime.keys.keyring import SealBrokenError, UnknownKeyError
from service_runtime.process.failpoints import reach

BATCH = 200
PER_ENDPOINT = 16
"""
How many deliveries of one endpoint one claim may take, so that all endpoints get their turn.
"""

log = structlog.get_logger()


class Claimer:
    """
    Fills the endpoint queues from the table.
    """

    def __init__(
        self,
        queue: Queue,
        endpoint_queues: EndpointQueues,
        endpoints: Endpoints,
        keys: DayKeys,
        lease: Lease,
    ) -> None:
        self._queue = queue
        self._endpoint_queues = endpoint_queues
        self._endpoints = endpoints
        self._keys = keys
        self._lease = lease

    async def run_once(self) -> int:
        """
        Claim what the endpoint queues have room for; return how many deliveries that were.
        """
        room = min(self._endpoint_queues.room, BATCH)
        if room == 0:
            return 0
        lease_end = time.monotonic() + self._lease.duration.total_seconds()
        full = {*self._endpoint_queues.full(), *self._endpoints.open_breakers()}
        claimed = await self._queue.claim(
            self._lease, limit=room, per_endpoint=PER_ENDPOINT, full=full
        )
        if claimed:
            reach("attempt.after_claim")
        for it in claimed:
            self._endpoint_queues.admit(Ready(it, await self._body(it), lease_end))
        return len(claimed)

    async def _body(self, claimed: Claimed) -> bytes | MissingBody:
        """
        Open the payload, or return why there is none; one that does not open is logged.
        """
        if claimed.sealed_body is None:
            return MissingBody.GONE
        contract = (claimed.event_type, claimed.payload_version)
        associated = associated_data.body(
            claimed.owner, claimed.account, claimed.event_id, contract
        )
        try:
            return await self._keys.open(claimed.sealed_body, associated)
        except UnknownKeyError as unknown:
            _log_sealed(claimed, unknown)
            return MissingBody.KEY_UNKNOWN
        except SealBrokenError as broken:
            _log_sealed(claimed, broken)
            return MissingBody.SEAL_BROKEN


def _log_sealed(claimed: Claimed, error: Exception) -> None:
    log.error("delivery.body_sealed", delivery=claimed.delivery_id, problem=str(error))
