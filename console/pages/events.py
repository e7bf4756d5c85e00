"""
Events of an account: what came of each, for each webhook.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from google.protobuf.json_format import MessageToJson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.pages.paths import event_of, may_of, owner_of, services_of
from console.rpc.filters import days, texts
from console.rpc.services import answer
from console.web.rendering import page
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.dispatch.v1.payload_service_pb2 import (
    ExplainEventRequest,
    ExplainEventResponse,
)

_SENT = {"yes": "true", "no": "false"}
_MOST = 1_000


async def show_list(request: Request) -> Response:
    """
    Show the events of an account, newest first.
    """
    query = defaultdict(str, request.query_params)
    asked = pb.ListEventsRequest(
        parent=_account_of(request), filter=list_filter(query), page_token=query["page"]
    )
    answered = await answer(services_of(request).deliveries.ListEvents(asked))
    return page(
        request,
        "events.html",
        events=answered.events,
        query=query,
        next_page=answered.next_page_token,
    )


def list_filter(query: Mapping[str, str]) -> str:
    """
    Return the filter of a list of events. Days are whole days in UTC.
    """
    fields = {"order": "order_number", "resource": "resource", "kind": "kind"}
    parts = [*days(query, "accept_time"), *texts(query, fields)]
    if query.get("sent") in _SENT:
        parts.append(f"has_deliveries = {_SENT[query['sent']]}")
    return " AND ".join(parts)


async def show(request: Request) -> Response:
    """
    Show what became of an event for each webhook, and why.
    """
    _account_of(request)
    services, name = services_of(request), event_of(request)
    event = await answer(services.deliveries.GetEvent(pb.GetEventRequest(name=name)))
    explained = ExplainEventResponse()
    if may_of(request).operate:
        asked = ExplainEventRequest(name=name, page_size=_MOST)
        explained = await answer(services.payloads.ExplainEvent(asked))
    content = MessageToJson(event.content, preserving_proto_field_name=True)
    return page(
        request,
        "event.html",
        event=event,
        explanations=explained.explanations,
        more=bool(explained.next_page_token),
        content=content if event.HasField("content") else "",
    )


def _account_of(request: Request) -> str:
    owner = owner_of(request)
    if not owner.startswith("accounts/"):
        raise HTTPException(404)
    return owner
