"""
Guests, who come by a portal link and see the pages of one owner.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.pages.paths import owner_of
from console.rpc.services import Services, answer
from console.rpc.tokens import is_link, is_text
from console.web import sessions
from console.web.rendering import page
from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.config.v1.config_service_pb2 import ListSubscriptionsRequest

_REFUSALS = frozenset({"UNAUTHENTICATED", "PERMISSION_DENIED"})


async def enter(request: Request) -> Response:
    """
    Begin the session of a guest if the services know the link.
    """
    token, owner = request.query_params.get("token", ""), owner_of(request)
    inside = RedirectResponse(f"/{owner}/webhooks", 303)
    if not request.app.state.production:
        return inside
    if not is_link(token) or not is_text(token) or not await _is_good(request, token, owner):
        return ended(request)
    sessions.begin_guest(request, inside, token, owner)
    return inside


async def _is_good(request: Request, token: str, owner: str) -> bool:
    services = Services.over(request.app.state.channels, token)
    asked = ListSubscriptionsRequest(parent=owner, page_size=1)
    try:
        await answer(services.config.ListSubscriptions(asked))
    except ApiError as refused:
        if refused.code not in _REFUSALS:
            raise
        return False
    return True


def ended(request: Request) -> Response:
    """
    Say that a link is not good, or not good any more.
    """
    return page(request, "link_ended.html", status=401, owner="", signed_in=False)
