"""
The audit log: who did what, what it was before and what it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from console.pages.paths import owner_of, services_of
from console.rpc.filters import days, texts
from console.rpc.services import answer
from console.web.rendering import page
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as config
from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2 as dispatch

OF_DELIVERIES = "deliveries"
"""
What the dispatch service has recorded; otherwise what the config service has.
"""


async def show(request: Request) -> Response:
    """
    Show the changes of an owner's configuration, or what was done to its deliveries by hand.
    """
    services, owner = services_of(request), owner_of(request)
    query = defaultdict(str, request.query_params)
    where, token = list_filter(query), query["page"]
    if query["about"] == OF_DELIVERIES:
        recorded = dispatch.ListAuditEntriesRequest(parent=owner, filter=where, page_token=token)
        listed = await answer(services.dispatch_admin.ListAuditEntries(recorded))
        entries, next_page = listed.audit_entries, listed.next_page_token
    else:
        changed = config.ListAuditEntriesRequest(parent=owner, filter=where, page_token=token)
        found = await answer(services.admin.ListAuditEntries(changed))
        entries, next_page = found.audit_entries, found.next_page_token
    return page(request, "audit.html", entries=entries, query=query, next_page=next_page)


def list_filter(query: Mapping[str, str]) -> str:
    """
    Return the filter of a list of audit entries. Days are whole days in UTC.
    """
    fields = {name: name for name in ("caller", "method", "resource")}
    return " AND ".join([*days(query, "create_time"), *texts(query, fields)])
