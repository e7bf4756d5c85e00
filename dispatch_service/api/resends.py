"""
Resending and cancelling deliveries over the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.transitions import State, lifetime
from dispatch_service.log import read
from dispatch_service.log.messages import delivery_message, resend_job_message
from dispatch_service.log.url_filters import Hash
from dispatch_service.log.whole_urls import whole_urls
from dispatch_service.queue.observability.measures import count_end
from dispatch_service.resend import cancellations, jobs, known_requests, late_bodies, resends
from dispatch_service.resend.jobs import Choice
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.storage.ids import new_id
from dispatch_service.storage.rows import DeliveryRow
from dispatch_service.storage.sealing import DayKeys
from service_runtime.audit.entries import AuditChange
from service_runtime.audit.log import AuditLog
from service_runtime.database.conflicts import retry_on_conflict
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import database_now
from service_runtime.process.failpoints import reach
from service_runtime.rpc import names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.request_ids import check_request_id
from shipedge.webhooks.dispatch.v1 import delivery_pb2, resend_job_pb2
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    Context = grpc.aio.ServicerContext[Any, Any]


class ResendMethods:
    """
    The methods of `DeliveryService` that change something.

    *became_due* is called when deliveries became due, *job_created* when there is a job.
    """

    _engine: AsyncEngine
    _keys: DayKeys
    _tokens: PageTokens
    _subscriptions: SubscriptionIndex
    _audit: AuditLog
    _hashed: Hash
    _became_due: Callable[[], None]
    _job_created: Callable[[], None]

    async def ResendDelivery(
        self, request: pb.ResendDeliveryRequest, context: Context
    ) -> delivery_pb2.Delivery:
        check_request_id(request.request_id)
        await self._keys.today()
        after = await self._resent(request)
        reach("resend.after_commit")
        self._became_due()
        return after

    @retry_on_conflict
    async def _resent(self, request: pb.ResendDeliveryRequest) -> delivery_pb2.Delivery:
        async with writing(self._engine) as db:
            row = await read.require_delivery(db, request.name)
            use = (request.request_id, resends.METHOD, request.name)
            if not await known_requests.seen(db, row.owner, *use):
                await self._resend(db, request.name, row, force=request.force)
            return await self._delivery(db, request.name)

    async def _delivery(self, db: AsyncConnection, name: str) -> delivery_pb2.Delivery:
        row = await read.require_delivery(db, name)
        return delivery_message(row, await whole_urls(db, self._keys.ring, [row]))

    async def _resend(
        self, db: AsyncConnection, name: str, row: DeliveryRow, *, force: bool
    ) -> None:
        known = self._subscriptions.by_key.get((row.owner, row.subscription))
        if known is not None and late_bodies.is_missing(row):
            await late_bodies.render(db, self._keys, self._keys.newest(), row, known)
            row = await read.require_delivery(db, name)
        subscription = resends.checked(name, row, known, force=force)
        schedule = self._subscriptions.schedule_of(subscription)
        caller, new_lifetime = current_caller.get().name, lifetime(schedule)
        await resends.make_due(db, row.owner, [row.delivery_id], caller, new_lifetime)
        change = AuditChange("state", row.state, "due now")
        await self._audit.record(db, resends.METHOD, name, [change])

    async def CancelDelivery(
        self, request: pb.CancelDeliveryRequest, context: Context
    ) -> delivery_pb2.Delivery:
        """
        Cancel a delivery. An attempt that is being made goes on, and its success counts.
        """
        after = await self._cancelled(request)
        if after.state == delivery_pb2.Delivery.STATE_CANCELLED:
            count_end(State.CANCELLED, "")
        self._became_due()
        return after

    @retry_on_conflict
    async def _cancelled(self, request: pb.CancelDeliveryRequest) -> delivery_pb2.Delivery:
        async with writing(self._engine) as db:
            row = await read.require_delivery(db, request.name)
            before = await cancellations.cancel(db, row, current_caller.get().name)
            change = AuditChange("state", before.value, State.CANCELLED.value)
            await self._audit.record(db, cancellations.METHOD, request.name, [change])
            return await self._delivery(db, request.name)

    async def ResendDeliveries(
        self, request: pb.ResendDeliveriesRequest, context: Context
    ) -> resend_job_pb2.ResendJob:
        """
        Create a job that resends many deliveries, or with `validate_only` count them.
        """
        check_request_id(request.request_id)
        owner = names.parse_parent(request.parent)
        jobs.checked_rate(request.rate_limit)
        async with writing(self._engine) as db:
            now = (await db.execute(sa.select(database_now()))).scalar_one()
            choice = jobs.choose(
                owner,
                request.filter,
                request.names,
                force=request.force,
                now=now,
                hashed=self._hashed,
            )
            if request.validate_only:
                total = await jobs.count(db, choice, self._hashed)
                return resend_job_pb2.ResendJob(
                    filter=choice.filter,
                    state=resend_job_pb2.ResendJob.STATE_VALIDATED,
                    total_count=total,
                    rate_limit=request.rate_limit,
                )
            row = await jobs.JOBS.get(db, await self._job(db, request, choice))
        self._job_created()
        return resend_job_message(row)

    async def _job(
        self, db: AsyncConnection, request: pb.ResendDeliveriesRequest, choice: Choice
    ) -> str:
        """
        Return the name of the request's job: a new one, unless an earlier call created it.
        """
        owner, job_id = choice.owner, new_id()
        name = names.resend_job(owner, job_id)
        earlier = await known_requests.earlier_job(db, owner, request, jobs.METHOD, name)
        if earlier is not None:
            return earlier
        total = await jobs.count(db, choice, self._hashed)
        await jobs.create(
            db,
            job_id,
            choice,
            total,
            force=request.force,
            rate=request.rate_limit,
            requested_by=current_caller.get().name,
        )
        await self._audit.record(
            db, jobs.METHOD, name, [AuditChange("total_count", "", str(total))]
        )
        return name

    async def GetResendJob(
        self, request: pb.GetResendJobRequest, context: Context
    ) -> resend_job_pb2.ResendJob:
        async with reading(self._engine) as db:
            return resend_job_message(await jobs.JOBS.get(db, request.name))

    async def ListResendJobs(
        self, request: pb.ListResendJobsRequest, context: Context
    ) -> pb.ListResendJobsResponse:
        """
        List the jobs of an owner, or of all.
        """
        parent = names.parse_parent(request.parent, wildcard=True)
        begin_after = self._tokens.read(request.page_token, request)
        async with reading(self._engine) as db:
            page = await jobs.JOBS.list(db, parent, page_size(request.page_size), begin_after)
        shown, last = page.fit([resend_job_message(row) for row in page.rows])
        return pb.ListResendJobsResponse(
            resend_jobs=shown, next_page_token=self._tokens.make(last, request)
        )

    async def CancelResendJob(
        self, request: pb.CancelResendJobRequest, context: Context
    ) -> resend_job_pb2.ResendJob:
        """
        Stop a job; deliveries that it made due are still sent.
        """
        async with writing(self._engine) as db:
            row = await jobs.JOBS.get(db, request.name)
            await jobs.JOBS.cancel(db, (row.owner, row.job_id))
            await self._audit.record(db, "CancelResendJob", request.name)
            return resend_job_message(await jobs.JOBS.get(db, request.name))
