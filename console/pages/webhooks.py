"""
The tab Webhooks: the list.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime

from starlette.requests import Request
from starlette.responses import Response

from console.pages.paths import now_of, owner_of, services_of
from console.rpc.filters import texts
from console.rpc.services import Services, answer
from console.web.rendering import page
from console.words import charts, results, spans
from console.words.charts import Chart
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.dispatch.v1.subscription_stats_pb2 import SubscriptionStats

HEALTH = ("Healthy", "Failing", "No reports", "Inactive")
_STATUSES = {"active": "ACTIVE", "inactive": "INACTIVE"}
_MOST = 1_000
_WITH_FIGURES = 50


async def show_list(request: Request) -> Response:
    """
    Show the webhooks of an owner, by event, status, health and text.
    """
    services, query = services_of(request), defaultdict(str, request.query_params)
    titles = {each.type: each.title for each in await services.event_types()}
    asked = pb.ListSubscriptionsRequest(
        parent=owner_of(request),
        filter=list_filter(query),
        show_deleted=query["status"] == "deleted",
        page_token=query["page"],
    )
    searched = bool(query["text"].strip() or query["health"])
    found, next_page = await (_all if searched else _page)(services, asked)
    shown = [each for each in found if is_shown(each, query, titles)]
    return page(
        request,
        "webhooks.html",
        webhooks=shown,
        figures=await _figures(services, shown[:_WITH_FIGURES], now_of(request)),
        titles=titles,
        healths=HEALTH,
        query=query,
        next_page=next_page,
    )


async def _figures(
    services: Services, webhooks: Sequence[Subscription], now: datetime
) -> dict[str, tuple[SubscriptionStats, Chart]]:
    """
    Return the figures of the last 24 hours by the names of webhooks.
    """
    span = spans.SPANS[spans.DAY]
    calls = [
        answer(services.deliveries.GetSubscriptionStats(spans.asked(each.name, span, now)))
        for each in webhooks
    ]
    found = await asyncio.gather(*calls)
    return {each.subscription: (each, charts.attempts(each, span.period)) for each in found}


async def _page(
    services: Services, asked: pb.ListSubscriptionsRequest
) -> tuple[Sequence[Subscription], str]:
    answered = await answer(services.config.ListSubscriptions(asked))
    return answered.subscriptions, answered.next_page_token


async def _all(
    services: Services, asked: pb.ListSubscriptionsRequest
) -> tuple[Sequence[Subscription], str]:
    """
    Return all pages as one: the API compares neither health nor parts of texts. How many there
    can be is bounded for each owner.
    """
    found: list[Subscription] = []
    asked.page_size, asked.page_token = _MOST, ""
    while True:
        some, asked.page_token = await _page(services, asked)
        found.extend(some)
        if not asked.page_token:
            return found, ""


def list_filter(query: Mapping[str, str]) -> str:
    """
    Return the filter of a list of webhooks.
    """
    parts = texts(query, {"event": "event_type"})
    if query.get("status", "") in _STATUSES:
        parts.append(f"status = {_STATUSES[query['status']]}")
    return " AND ".join(parts)


def is_shown(webhook: Subscription, query: Mapping[str, str], titles: Mapping[str, str]) -> bool:
    """
    Tell whether a webhook matches what the API does not compare: text, health, and that it is
    deleted. Case does not matter.
    """
    if query.get("status") == "deleted" and not webhook.HasField("delete_time"):
        return False
    if query.get("health") and results.health(webhook).word != query["health"]:
        return False
    shown = (
        titles.get(webhook.event_type, ""),
        webhook.event_type,
        webhook.url,
        webhook.description,
        webhook.name.rpartition("/")[2],
    )
    wanted = query.get("text", "").strip().casefold()
    return not wanted or any(wanted in each.casefold() for each in shown)
