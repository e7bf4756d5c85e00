"""
Claims due deliveries from the table: retries, deliveries for which there was no place in memory
when their event was accepted, and those whose lease a process lost.
"""

from __future__ import annotations

import time

import structlog

from dispatch_service.delivery import request
from dispatch_service.delivery.endpoint_queue import MissingBody, Ready
from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.delivery.endpoints import Endpoints
from dispatch_service.domain.work import Claimed, Lease
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage import associated_data
from dispatch_service.storage.sealing import DayKeys
from service_runtime.keys.keyring import SealBrokenError
from service_runtime.process.failpoints import reach
from service_runtime.process.failures import FailureLog

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
        self._unread = FailureLog("delivery.body_unread")

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
