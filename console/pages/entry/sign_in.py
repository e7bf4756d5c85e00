"""
Signing in with a caller's token, and what a page needs of the reader.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.pages.entry import portal
from console.pages.failures import FORBIDDEN
from console.pages.paths import owner_of
from console.rpc.abilities import Abilities
from console.rpc.services import Services
from console.rpc.tokens import is_link, is_text
from console.web import sessions
from console.web.forms import read_form, text
from console.web.rendering import page
from shipedge.webhooks.client.errors import ApiError

Endpoint = Callable[[Request], Awaitable[Response]]


def signed_in(endpoint: Endpoint, needs: str = "") -> Endpoint:
    """
    Let *endpoint* answer readers only who have signed in and, with *needs*, may `administer`,
    `operate` or `audit`; others get 403. Guests find the pages of their owner alone: others get
    404, and those of no owner lead there.
    """

    async def of_reader(request: Request) -> Response:
        session = sessions.session_of(request)
        services = Services.over(request.app.state.channels, session.token)
        request.state.services = services
        if session.owner and "owner_id" not in request.path_params:
            return RedirectResponse(f"/{session.owner}/webhooks", 303)
        if "owner_id" in request.path_params:
            if session.owner and session.owner != owner_of(request):
                raise HTTPException(404)
            request.state.may = await _abilities(request, services, session.token)
        if needs and not getattr(request.state.may, needs):
            raise HTTPException(403, FORBIDDEN)
        return await endpoint(request)

    return of_reader


async def _abilities(request: Request, services: Services, token: str) -> Abilities:
    if not request.app.state.production:
        return Abilities()
    found = await request.app.state.abilities.of(services, token, owner_of(request))
    assert isinstance(found, Abilities)  # noqa: S101 - for the type checker
    return found


async def show(request: Request) -> Response:
    """
    Ask for the token.
    """
    target = sessions.safe_path(request.query_params.get("next", "/"))
    return page(request, "sign_in.html", target=target, problem="")


async def sign_in(request: Request) -> Response:
    """
    Begin a session if the services know the token.
    """
    form = await read_form(request)
    token, target = text(form, "token"), sessions.safe_path(text(form, "next"))
    if not await _is_known(request, token):
        problem = "The services do not know this token: it is wrong, or has expired."
        return page(request, "sign_in.html", status=401, target=target, problem=problem)
    answer = RedirectResponse(target, 303)
    sessions.begin(request, answer, token)
    return answer


async def _is_known(request: Request, token: str) -> bool:
    # Links lead to one owner's pages, by a page of their own.
    if not is_text(token) or is_link(token):
        return False
    try:
        await Services.over(request.app.state.channels, token).event_types()
    except ApiError as refused:
        if refused.code != "UNAUTHENTICATED":
            raise
        return False
    return True


async def sign_out(request: Request) -> Response:
    """
    End the session.
    """
    await read_form(request)
    answer = RedirectResponse("/sign-in", 303)
    sessions.end(request, answer)
    return answer


async def ask(request: Request, _error: Exception | None = None) -> Response:
    """
    Lead to the page that asks for a token, and back from there. A guest needs another link.
    """
    if sessions.is_guest(request):
        return portal.ended(request)
    here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    target = here if request.method == "GET" else "/"
    answer = RedirectResponse(f"/sign-in?next={quote(target, safe='')}", 303)
    sessions.end(request, answer)
    return answer
