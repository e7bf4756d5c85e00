"""
`stats`: how attempts ended and how long they took, of a webhook or of those that fail most.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

import typer

from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import subscription_stats_pb2
from webhooksctl.options.flags import Limit, Output, Owner
from webhooksctl.options.session import Session, session_of, understood
from webhooksctl.output.formats import Format, row_of, show_list, show_message, show_rows
from webhooksctl.words import times

_COUNTS: Final = (
    ("Succeeded", "success_count"),
    ("Failed", "failure_count"),
    ("Rate", "success_rate"),
    ("p50", "p50_duration"),
    ("p95", "p95_duration"),
    ("p99", "p99_duration"),
)
COLUMNS: Final = (
    ("Id", "subscription"),
    *((title, f"total.{path}") for title, path in _COUNTS),
    ("Last success", "last_success_time"),
    ("Last failure", "last_failure_time"),
)
PERIOD_COLUMNS: Final = (
    ("From", "start_time"),
    *((title, f"figures.{path}") for title, path in _COUNTS),
)

Request = pb.GetSubscriptionStatsRequest | pb.ListSubscriptionStatsRequest


class Period(StrEnum):
    """
    What `--by` takes.
    """

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


def stats(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="Id or name; none: those that fail most.")] = "",
    *,
    owner: Owner = "",
    since: Annotated[str, typer.Option("--since", help="From then on: 2h (ago), a date.")] = "",
    until: Annotated[str, typer.Option("--until", help="Before then, as --since.")] = "",
    by: Annotated[Period | None, typer.Option("--by", help="How long each period is.")] = None,
    limit: Limit = 0,
    output: Output = Format.TABLE,
) -> None:
    """
    Show attempts by result and their durations in the last hour, or in another span.
    """
    session = session_of(ctx)
    if not name:
        parent = session.owner(owner)
        asked = pb.ListSubscriptionStatsRequest(parent=parent)
        _set_span(asked, session, since, until, by)
        found = session.found(session.services.deliveries.ListSubscriptionStats, asked, limit)
        show_list(found, COLUMNS, output, parent)
        return
    request = pb.GetSubscriptionStatsRequest(name=session.name("subscriptions", owner, name))
    _set_span(request, session, since, until, by)
    show_stats(session.services.deliveries.GetSubscriptionStats(request), output)


def _set_span(
    request: Request, session: Session, since: str, until: str, by: Period | None
) -> None:
    now = session.clock()
    for field, flag, text in (("start_time", "--since", since), ("end_time", "--until", until)):
        if text:
            moment = understood(flag, lambda given: times.moment(given, now), text)
            getattr(request, field).FromDatetime(moment)
    if by:
        value = f"GRANULARITY_{by.upper()}"
        request.granularity = subscription_stats_pb2.Granularity.Value(value)


def show_stats(found: subscription_stats_pb2.SubscriptionStats, output: Format) -> None:
    """
    Show the figures of a webhook: the sum, then each period.
    """
    if output is not Format.TABLE:
        show_message(found, output)
        return
    periods = list(found.periods)
    del found.periods[:]
    show_message(found, output)
    if periods:
        titles = [title for title, _ in PERIOD_COLUMNS]
        show_rows(titles, [row_of(it, PERIOD_COLUMNS) for it in periods])
