"""
The log of deliveries and attempts over the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from dispatch_service.api.events import EventMethods
from dispatch_service.api.figures import FigureMethods
from dispatch_service.api.forwards import ForwardMethods
from dispatch_service.api.replays import ReplayMethods
from dispatch_service.api.resends import ResendMethods
from dispatch_service.domain.errors import AttemptNotFound, BodyErased
from dispatch_service.log import across, read
from dispatch_service.log.exchanges import read_exchange
from dispatch_service.log.filters import (
    parse_attempt_filter,
    parse_delivery_filter,
)
from dispatch_service.log.messages import attempt_message, delivery_message
from dispatch_service.log.url_filters import Hash
from dispatch_service.log.watches.watch_poll import WatchPoll
from dispatch_service.log.whole_urls import whole_urls
from dispatch_service.resend.replay_events import ReplayReader
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage import associated_data
from dispatch_service.storage.sealing import DayKeys
from service_runtime.audit.log import AuditLog
from service_runtime.database.engine import reading
from service_runtime.rpc import names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.paging import PageTokens, page_size
from shipedge.webhooks.dispatch.v1 import (
    attempt_pb2,
    delivery_pb2,
    delivery_service_pb2,
    delivery_service_pb2_grpc,
)

if TYPE_CHECKING:
    from datetime import datetime

    import grpc
    from sqlalchemy.ext.asyncio import AsyncEngine

    Context = grpc.aio.ServicerContext[Any, Any]

CONTENT_TYPE = "application/json; charset=utf-8"


class DeliveryServicer(
    EventMethods,
    FigureMethods,
    ForwardMethods,
    ResendMethods,
    ReplayMethods,
    delivery_service_pb2_grpc.DeliveryServiceServicer,
):
    """
    Serves `DeliveryService`.

    *became_due* is called when deliveries became due, *job_created* when there is a job;
    *clock* gives the time of signatures.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        keys: DayKeys,
        tokens: PageTokens,
        subscriptions: SubscriptionIndex,
        *,
        audit: AuditLog,
        hashed: Hash,
        became_due: Callable[[], None],
        job_created: Callable[[], None],
        clock: Callable[[], datetime],
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._tokens = tokens
        self._subscriptions = subscriptions
        self._audit = audit
        self._hashed = hashed
        self._became_due = became_due
        self._job_created = job_created
        self._replay_reader = ReplayReader(engine, keys, subscriptions)
        self._watches = WatchPoll(engine)
        self._clock = clock

    async def GetDelivery(
        self, request: delivery_service_pb2.GetDeliveryRequest, context: Context
    ) -> delivery_pb2.Delivery:
        async with reading(self._engine) as db:
            return await self._delivery(db, request.name)

    async def ListDeliveries(
        self, request: delivery_service_pb2.ListDeliveriesRequest, context: Context
    ) -> delivery_service_pb2.ListDeliveriesResponse:
        owner = names.parse_parent(request.parent, wildcard=True)
        listed = across.list_deliveries if names.is_wildcard(owner) else read.list_deliveries
        async with reading(self._engine) as db:
            page = await listed(
                db,
                owner,
                parse_delivery_filter(request.filter),
                hashed=self._hashed,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
            urls = await whole_urls(db, self._keys.ring, page.rows)
        shown, last = page.fit([delivery_message(row, urls) for row in page.rows])
        return delivery_service_pb2.ListDeliveriesResponse(
            deliveries=shown, next_page_token=self._tokens.make(last, request)
        )

    async def GetDeliveryBody(
        self, request: delivery_service_pb2.GetDeliveryBodyRequest, context: Context
    ) -> delivery_service_pb2.GetDeliveryBodyResponse:
        """
        Return the payload of a delivery. Raises `BodyErased` where it is gone.
        """
        async with reading(self._engine) as db:
            row = await read.require_delivery(db, request.name)
            body = await read.read_body(db, self._keys, row)
        if body is None:
            raise BodyErased(request.name)
        await self._record_reading("GetDeliveryBody", request.name)
        return delivery_service_pb2.GetDeliveryBodyResponse(
            body=body, content_type=CONTENT_TYPE, sha256=(row.sha256 or b"").hex()
        )

    async def GetAttempt(
        self, request: delivery_service_pb2.GetAttemptRequest, context: Context
    ) -> attempt_pb2.Attempt:
        """
        Return an attempt; operators and admins see its request and response too.
        """
        name = names.parse("attempt", request.name)
        async with reading(self._engine) as db:
            row = await read.get_attempt(db, name.owner, name.id, name.number)
            if row is None:
                raise AttemptNotFound(request.name)
            urls = await whole_urls(db, self._keys.ring, [row])
        if row.sealed_exchange is None or not current_caller.get().has_role("operator", "admin"):
            return attempt_message(row, urls)
        associated = associated_data.exchange(name.owner, name.id, name.number)
        kept = read_exchange(await self._keys.open(row.sealed_exchange, associated))
        await self._record_reading("GetAttempt", request.name)
        return attempt_message(row, urls, kept)

    async def ListAttempts(
        self, request: delivery_service_pb2.ListAttemptsRequest, context: Context
    ) -> delivery_service_pb2.ListAttemptsResponse:
        """
        List the attempts of a delivery, of all deliveries of an owner, or those that failed of
        all owners.
        """
        parent = names.parse_or_all("delivery", request.parent, "parent")
        of_one = partial(read.list_attempts, delivery_id=parent.id)
        listed = across.list_attempts if names.is_wildcard(parent.owner) else of_one
        async with reading(self._engine) as db:
            page = await listed(
                db,
                parent.owner,
                comparisons=parse_attempt_filter(request.filter),
                hashed=self._hashed,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
            urls = await whole_urls(db, self._keys.ring, page.rows)
        shown, last = page.fit([attempt_message(row, urls) for row in page.rows])
        return delivery_service_pb2.ListAttemptsResponse(
            attempts=shown, next_page_token=self._tokens.make(last, request)
        )
