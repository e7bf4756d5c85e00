"""
Figures of subscriptions over the wire.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from dispatch_service.domain.figures import Figures, Unit, percentile
from dispatch_service.figures import stats
from dispatch_service.figures.roll_up import ALL
from dispatch_service.figures.stats import Span, Stats
from service_runtime.database.engine import reading
from service_runtime.rpc import names
from service_runtime.rpc.paging import PageTokens, page_size
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import subscription_stats_pb2

if TYPE_CHECKING:
    import grpc
    from google.protobuf.timestamp_pb2 import Timestamp
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    Context = grpc.aio.ServicerContext[Any, Any]
    Request = pb.GetSubscriptionStatsRequest | pb.ListSubscriptionStatsRequest

_PERCENTILES = (("p50_duration", 0.5), ("p95_duration", 0.95), ("p99_duration", 0.99))


class FigureMethods:
    """
    The methods of `DeliveryService` that show figures.
    """

    _engine: AsyncEngine
    _tokens: PageTokens

    async def GetSubscriptionStats(
        self, request: pb.GetSubscriptionStatsRequest, context: Context
    ) -> subscription_stats_pb2.SubscriptionStats:
        """
        Return the figures of a subscription, or of all subscriptions together, period by period.
        """
        name = names.parse_or_all("subscription", request.name)
        key = (name.owner, name.id or ALL)
        async with reading(self._engine) as db:
            span = await _span(db, request)
            found = await stats.stats_of(db, [key], span)
            through = await stats.counted_through(db)
        message = _message(key, found[key], span, through)
        for start, figures in found[key].periods:
            period = message.periods.add(figures=_figures_message(figures))
            period.start_time.FromDatetime(start)
        return message

    async def ListSubscriptionStats(
        self, request: pb.ListSubscriptionStatsRequest, context: Context
    ) -> pb.ListSubscriptionStatsResponse:
        """
        List the figures of the subscriptions that fail, those with most failures first.
        """
        parent = names.parse_parent(request.parent, wildcard=True)
        async with reading(self._engine) as db:
            span = await _span(db, request)
            page = await stats.list_failing(
                db,
                parent,
                span,
                size=min(page_size(request.page_size), stats.MOST_LISTED),
                begin_after=self._tokens.read(request.page_token, request),
            )
            keys = [(row.owner, row.subscription) for row in page.rows]
            found = await stats.stats_of(db, keys, span)
            through = await stats.counted_through(db)
        shown, last = page.fit([_message(key, found[key], span, through) for key in keys])
        return pb.ListSubscriptionStatsResponse(
            subscription_stats=shown, next_page_token=self._tokens.make(last, request)
        )


async def _span(db: AsyncConnection, request: Request) -> Span:
    kind = subscription_stats_pb2.Granularity
    given = request.granularity
    unit = Unit(kind.Name(given).removeprefix("GRANULARITY_")) if given else None
    start = _instant(request.start_time) if request.HasField("start_time") else None
    end = _instant(request.end_time) if request.HasField("end_time") else None
    return stats.span_of(start, end, unit, await stats.clock(db))


def _instant(stamp: Timestamp) -> datetime:
    return stamp.ToDatetime(tzinfo=UTC)


def _message(
    key: tuple[str, str], found: Stats, span: Span, through: datetime | None
) -> subscription_stats_pb2.SubscriptionStats:
    message = subscription_stats_pb2.SubscriptionStats(
        subscription=names.subscription(*key),
        granularity=subscription_stats_pb2.Granularity.Value(f"GRANULARITY_{span.unit}"),
        total=_figures_message(found.total),
    )
    message.start_time.FromDatetime(span.start)
    message.end_time.FromDatetime(span.end)
    if through is not None:
        message.counted_through_time.FromDatetime(through)
    for stamp, time in (
        (message.last_success_time, found.total.last_success_time),
        (message.last_failure_time, found.total.last_failure_time),
    ):
        if time is not None:
            stamp.FromDatetime(time)
    return message


def _figures_message(figures: Figures) -> subscription_stats_pb2.AttemptFigures:
    message = subscription_stats_pb2.AttemptFigures(
        success_count=figures.success_count,
        failure_count=figures.failure_count,
        interrupted_count=figures.interrupted_count,
        success_rate=figures.success_rate,
    )
    for name, share in _PERCENTILES:
        found = percentile(figures.durations, share)
        if found is not None:
            getattr(message, name).FromMicroseconds(found)
    return message
