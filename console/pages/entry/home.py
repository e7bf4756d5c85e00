"""
The first page: whose webhooks to show.
"""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.web.rendering import page


async def show(request: Request) -> Response:
    """
    Ask for an account or a warehouse, and go to its webhooks.
    """
    collection = request.query_params.get("collection", "")
    owner = request.query_params.get("id", "").strip()
    if owner and collection in {"accounts", "warehouses"}:
        return RedirectResponse(f"/{collection}/{quote(owner, safe='')}/webhooks", 303)
    return page(request, "home.html")
