"""
Replaying events to a subscription over the wire.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from dispatch_service.domain.errors import SubscriptionNotFound
from dispatch_service.log.messages import replay_job_message
from dispatch_service.resend import jobs, known_requests, replays, resends
from dispatch_service.resend.replay_events import ReplayReader
from dispatch_service.resend.replays import Span
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.ids import new_id
from service_runtime.audit.entries import AuditChange
from service_runtime.audit.log import AuditLog
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import database_now
from service_runtime.rpc import names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.request_ids import check_request_id
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import replay_job_pb2

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    Context = grpc.aio.ServicerContext[Any, Any]


class ReplayMethods:
    """
    The methods of `DeliveryService` about replays. *job_created* is called when there is a job.
    """

    _engine: AsyncEngine
    _tokens: PageTokens
    _subscriptions: SubscriptionIndex
    _audit: AuditLog
    _replay_reader: ReplayReader
    _job_created: Callable[[], None]

    async def ReplayEvents(
        self, request: pb.ReplayEventsRequest, context: Context
    ) -> replay_job_pb2.ReplayJob:
        """
        Create a job that makes the deliveries which a subscription lacks, or with `validate_only`
        count them.
        """
        check_request_id(request.request_id)
        jobs.checked_rate(request.rate_limit)
        subscription = self._replayable(request.subscription)
        async with reading(self._engine) as db:
            span = await replays.in_order(db, await _span(db, request))
        if request.validate_only:
            total = await self._replay_reader.count(subscription, span)
            return _validated(request, span, total)
        async with writing(self._engine) as db:
            row = await replays.JOBS.get(db, await self._replay(db, request, subscription, span))
        self._job_created()
        return replay_job_message(row)

    def _replayable(self, name: str) -> Subscription:
        """
        Return the subscription *name*. Raises `InvalidArgument`, `SubscriptionNotFound`,
        `SubscriptionDeleted`, `SubscriptionInactive`.
        """
        names.parse("subscription", name, "subscription")
        known = self._subscriptions.by_name.get(name)
        if known is None:
            raise SubscriptionNotFound(name)
        return resends.active(name, known)

    async def _replay(
        self,
        db: AsyncConnection,
        request: pb.ReplayEventsRequest,
        subscription: Subscription,
        span: Span,
    ) -> str:
        """
        Return the name of the request's job: a new one, unless an earlier call created it.
        """
        owner, job_id = subscription.owner, new_id()
        name = names.replay_job(owner, job_id)
        earlier = await known_requests.earlier_job(db, owner, request, replays.METHOD, name)
        if earlier is not None:
            return earlier
        late = replays.late_of(subscription, self._subscriptions)
        total = await replays.count(db, span, replays.wanted_by(late, span.kinds))
        await replays.create(
            db,
            job_id,
            subscription,
            span,
            total,
            rate=request.rate_limit,
            requested_by=current_caller.get().name,
        )
        changes = [
            AuditChange("subscription", "", subscription.name),
            AuditChange("total_count", "", str(total)),
        ]
        await self._audit.record(db, replays.METHOD, name, changes)
        return name

    async def GetReplayJob(
        self, request: pb.GetReplayJobRequest, context: Context
    ) -> replay_job_pb2.ReplayJob:
        async with reading(self._engine) as db:
            return replay_job_message(await replays.JOBS.get(db, request.name))

    async def ListReplayJobs(
        self, request: pb.ListReplayJobsRequest, context: Context
    ) -> pb.ListReplayJobsResponse:
        """
        List the jobs of an owner, or of all.
        """
        parent = names.parse_parent(request.parent, wildcard=True)
        begin_after = self._tokens.read(request.page_token, request)
        async with reading(self._engine) as db:
            page = await replays.JOBS.list(db, parent, page_size(request.page_size), begin_after)
        shown, last = page.fit([replay_job_message(row) for row in page.rows])
        return pb.ListReplayJobsResponse(
            replay_jobs=shown, next_page_token=self._tokens.make(last, request)
        )

    async def CancelReplayJob(
        self, request: pb.CancelReplayJobRequest, context: Context
    ) -> replay_job_pb2.ReplayJob:
        """
        Stop a job; deliveries that it made are still sent.
        """
        async with writing(self._engine) as db:
            row = await replays.JOBS.get(db, request.name)
            await replays.JOBS.cancel(db, (row.owner, row.job_id))
            await self._audit.record(db, "CancelReplayJob", request.name)
            return replay_job_message(await replays.JOBS.get(db, request.name))


async def _span(db: AsyncConnection, request: pb.ReplayEventsRequest) -> Span:
    now = (await db.execute(sa.select(database_now()))).scalar_one()
    return replays.chosen_span(
        _instant(request, "accept_start_time"),
        _instant(request, "accept_end_time"),
        request.kinds,
        request.names,
        now,
    )


def _instant(request: pb.ReplayEventsRequest, field: str) -> datetime | None:
    """
    Read a time of a request, None if it is unset. Raises `InvalidArgument`.
    """
    given = getattr(request, field)
    if not (given.seconds or given.nanos):
        return None
    try:
        read: datetime = given.ToDatetime(tzinfo=UTC)
    except (ValueError, OverflowError):
        fault = FieldFault(field, "must be a time of the years 1 to 9999")
        raise InvalidArgument("The request is not valid.", faults=[fault]) from None
    return read


def _validated(request: pb.ReplayEventsRequest, span: Span, total: int) -> replay_job_pb2.ReplayJob:
    """
    Describe the job that a request would create.
    """
    message = replay_job_pb2.ReplayJob(
        subscription=request.subscription,
        state=replay_job_pb2.ReplayJob.STATE_VALIDATED,
        kinds=span.kinds,
        events=[names.event(*key) for key in span.keys or ()],
        total_count=total,
        rate_limit=request.rate_limit,
    )
    if span.keys is None:
        message.accept_start_time.FromDatetime(span.start)
        message.accept_end_time.FromDatetime(span.end)
    return message
