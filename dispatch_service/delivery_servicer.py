"""
The log over the wire, and what people do about it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from dispatch_service import delivery_log, resends
from dispatch_service.attempt_log import exchange_place, read_exchange
from dispatch_service.convert import attempt_message, delivery_message
from dispatch_service.deliveries import lifetime
from dispatch_service.errors import AttemptNotFound, BodyErased, DeliveryNotFound
from dispatch_service.ids import DELIVERY_PREFIX
from dispatch_service.log_filters import parse_attempt_filter, parse_delivery_filter
from dispatch_service.sealing import DayKeys
from dispatch_service.subscriptions import SubscriptionIndex
from shipedge.webhooks.dispatch.v1 import (
    attempt_pb2,
    delivery_pb2,
    delivery_service_pb2,
    delivery_service_pb2_grpc,
)
from shipedge.webhooks.rpc import names
from shipedge.webhooks.rpc.callers import current_caller
from shipedge.webhooks.rpc.page_bytes import fitting
from shipedge.webhooks.rpc.paging import PageTokens, page_size
from shipedge.webhooks.rpc.request_ids import check_request_id
from shipedge.webhooks.runtime.database import reading, writing

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    Context = grpc.aio.ServicerContext[Any, Any]

CONTENT_TYPE = "application/json; charset=utf-8"


class DeliveryServicer(delivery_service_pb2_grpc.DeliveryServiceServicer):
    """
    Serves `DeliveryService`. *claim_soon* is called when something became due.

    Methods that are not here are not in this release: `UNIMPLEMENTED`.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        keys: DayKeys,
        tokens: PageTokens,
        subscriptions: SubscriptionIndex,
        *,
        hashed: Callable[[str], bytes],
        claim_soon: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._tokens = tokens
        self._subscriptions = subscriptions
        self._hashed = hashed
        self._claim_soon = claim_soon

    async def GetDelivery(
        self, request: delivery_service_pb2.GetDeliveryRequest, context: Context
    ) -> delivery_pb2.Delivery:
        """
        Return a delivery.
        """
        async with reading(self._engine) as db:
            return delivery_message(await _found(db, request.name))

    async def ListDeliveries(
        self, request: delivery_service_pb2.ListDeliveriesRequest, context: Context
    ) -> delivery_service_pb2.ListDeliveriesResponse:
        """
        List the deliveries of an owner.
        """
        owner = names.parse_parent(request.parent)
        async with reading(self._engine) as db:
            page = await delivery_log.list_deliveries(
                db,
                owner,
                parse_delivery_filter(request.filter),
                hashed=self._hashed,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
        shown = fitting([delivery_message(row) for row in page.rows])
        last = page.last_of(len(shown))
        return delivery_service_pb2.ListDeliveriesResponse(
            deliveries=shown, next_page_token=self._tokens.make(last, request) if last else ""
        )

    async def GetDeliveryBody(
        self, request: delivery_service_pb2.GetDeliveryBodyRequest, context: Context
    ) -> delivery_service_pb2.GetDeliveryBodyResponse:
        """
        Return the payload of a delivery.
        """
        async with reading(self._engine) as db:
            row = await _found(db, request.name)
            body = await delivery_log.read_body(db, self._keys, row)
        if body is None:
            raise BodyErased(request.name)
        return delivery_service_pb2.GetDeliveryBodyResponse(
            body=body, content_type=CONTENT_TYPE, sha256=row.sha256.hex()
        )

    async def GetAttempt(
        self, request: delivery_service_pb2.GetAttemptRequest, context: Context
    ) -> attempt_pb2.Attempt:
        """
        Return an attempt with its request and response.
        """
        name = names.parse("attempt", request.name)
        delivery_id = name.id.removeprefix(DELIVERY_PREFIX)
        async with reading(self._engine) as db:
            row = await delivery_log.get_attempt(db, name.owner, delivery_id, name.number)
        if row is None:
            raise AttemptNotFound(request.name)
        if row.sealed_exchange is None or not current_caller.get().has_role("operator", "admin"):
            return attempt_message(row)
        place = exchange_place(name.owner, delivery_id, name.number)
        kept = read_exchange(await self._keys.open(row.sealed_exchange, place))
        return attempt_message(row, kept)

    async def ListAttempts(
        self, request: delivery_service_pb2.ListAttemptsRequest, context: Context
    ) -> delivery_service_pb2.ListAttemptsResponse:
        """
        List the attempts of a delivery or of an owner.
        """
        parent = names.parse_attempts_parent(request.parent)
        async with reading(self._engine) as db:
            page = await delivery_log.list_attempts(
                db,
                parent.owner,
                parent.id.removeprefix(DELIVERY_PREFIX),
                parse_attempt_filter(request.filter),
                hashed=self._hashed,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
            )
        shown = fitting([attempt_message(row) for row in page.rows])
        last = page.last_of(len(shown))
        return delivery_service_pb2.ListAttemptsResponse(
            attempts=shown, next_page_token=self._tokens.make(last, request) if last else ""
        )

    async def ResendDelivery(
        self, request: delivery_service_pb2.ResendDeliveryRequest, context: Context
    ) -> delivery_pb2.Delivery:
        """
        Send a delivery again.
        """
        check_request_id(request.request_id)
        async with writing(self._engine) as db:
            row = await _found(db, request.name)
            wish = resends.ResendRequest(
                row.owner,
                row.delivery_id,
                request.force,
                current_caller.get().name,
                request.request_id,
            )
            if await resends.remember(db, wish):
                name = f"{row.owner}/subscriptions/{row.subscription}"
                subscription = resends.checked(wish, row, self._subscriptions.by_name.get(name))
                schedule = self._subscriptions.schedule_of(subscription)
                await resends.resend(db, wish, row, lifetime(schedule))
            after = await _found(db, request.name)
        self._claim_soon()
        return delivery_message(after)


async def _found(db: AsyncConnection, name: str) -> Any:
    parsed = names.parse("delivery", name)
    delivery_id = parsed.id.removeprefix(DELIVERY_PREFIX)
    row = await delivery_log.get_delivery(db, parsed.owner, delivery_id)
    if row is None:
        raise DeliveryNotFound(name)
    return row
