"""
The overview: how the webhooks of an owner fare, or those of all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.pages.paths import now_of, owner_of, services_of, webhook_of
from console.rpc.names import owner_and_id, subscription_name
from console.rpc.services import Services, answer
from console.web.rendering import page
from console.words import charts, spans
from console.words.spans import SPANS, Span
from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1.subscription_stats_pb2 import SubscriptionStats

_MOST = 20


@dataclass(frozen=True, slots=True)
class Failing:
    """
    The figures of a webhook with failures; the webhook itself unless it was purged.
    """

    owner: str
    id: str
    stats: SubscriptionStats
    webhook: Subscription | None


async def show(request: Request) -> Response:
    """
    Show the figures of an owner.
    """
    return await _show(request, owner_of(request))


async def show_all(request: Request) -> Response:
    """
    Show the figures of all accounts or all warehouses, to readers who may see these.
    """
    collection = request.path_params["collection"]
    if collection not in {"accounts", "warehouses"}:
        raise HTTPException(404)
    return await _show(request, f"{collection}/-")


async def show_webhook(request: Request) -> Response:
    """
    Show the figures of a webhook.
    """
    name = webhook_of(request)
    webhook = await services_of(request).webhook(name)
    return page(request, "figures.html", webhook=webhook, **await _figures(request, name))


async def _figures(request: Request, name: str) -> dict[str, Any]:
    """
    Return what pages show of the figures of a webhook, or of all, in the span that is chosen.
    """
    chosen, span = _span(request)
    asked = spans.asked(name, span, now_of(request))
    stats = await answer(services_of(request).deliveries.GetSubscriptionStats(asked))
    return {
        "stats": stats,
        "chart": charts.attempts(stats, span.period),
        "verdict": charts.verdict(stats.total),
        "spans": SPANS,
        "chosen": chosen,
        "words": span.words,
    }


def _span(request: Request) -> tuple[str, Span]:
    chosen = request.query_params.get("span", "")
    chosen = chosen if chosen in SPANS else spans.DAY
    return chosen, SPANS[chosen]


async def _show(request: Request, parent: str) -> Response:
    services = services_of(request)
    asked = spans.failing(parent, _span(request)[1], now_of(request), _MOST)
    listed = await answer(services.deliveries.ListSubscriptionStats(asked))
    waiting = pb.ListDeliveriesRequest(parent=parent, filter="state = PENDING", page_size=_MOST)
    found = await answer(services.deliveries.ListDeliveries(waiting))
    return page(
        request,
        "overview.html",
        parent=parent,
        failing=await _failing(services, listed.subscription_stats),
        more_failing=bool(listed.next_page_token),
        waiting=found.deliveries,
        more_waiting=bool(found.next_page_token),
        **await _figures(request, subscription_name(parent, "-")),
    )


async def _failing(services: Services, listed: Sequence[SubscriptionStats]) -> list[Failing]:
    webhooks = await asyncio.gather(*(_webhook(services, each.subscription) for each in listed))
    return [
        Failing(*owner_and_id(each.subscription), each, webhook)
        for each, webhook in zip(listed, webhooks, strict=True)
    ]


async def _webhook(services: Services, name: str) -> Subscription | None:
    try:
        return await services.webhook(name)
    except ApiError as refused:
        # Figures are kept longer than what was deleted.
        if refused.code != "NOT_FOUND":
            raise
        return None
