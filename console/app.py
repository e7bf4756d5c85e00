"""
Wires the pages of the console.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from console.overview import pages as overview
from console.pages import (
    actions,
    audit,
    authentication,
    catalogue,
    events,
    failures,
    form,
    jobs,
    logs,
    resends,
    saved,
    webhooks,
)
from console.pages.entry import home, portal, sign_in
from console.rpc.abilities import KnownAbilities
from console.rpc.services import Channels
from console.settings import Settings, read_key
from console.web.headers import SecurityHeaders
from console.web.sealing import KEY_BYTES, Sealer
from console.web.sessions import NotSignedInError
from shipedge.webhooks.client.errors import ApiError

utc_now = partial(datetime.now, UTC)  # noqa: TID251 - the one place where the clock is read
_STATIC = Path(__file__).parent / "web" / "static"
_OWNER = "/{collection:str}/{owner_id:str}"
_WEBHOOK = _OWNER + "/webhooks/{webhook:str}"
_EVENTS = _OWNER + "/events"
_JOB = _OWNER + "/resend/jobs/{job:str}"
_DELIVERY = _OWNER + "/logs/{delivery:str}"


def create_app(settings: Settings) -> Starlette:
    """
    Return the console as an ASGI application.
    """
    app = Starlette(
        routes=_routes(),
        lifespan=_lifespan(settings),
        exception_handlers={
            ApiError: _api_error,
            NotSignedInError: sign_in.ask,
            400: failures.refused,
            403: failures.refused,
            404: failures.missing,
        },
        # Other names could be made to lead here by a site that the reader visits.
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=settings.names()),
            Middleware(SecurityHeaders, secure=settings.production),
        ],
    )
    app.state.production = settings.production
    app.state.now = utc_now
    app.state.abilities = KnownAbilities()
    key = read_key(settings.key_file) if settings.key_file else secrets.token_bytes(KEY_BYTES)
    app.state.sealer = Sealer(key)
    return app


def _lifespan(settings: Settings) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with Channels.connected(
            settings.config_address, settings.dispatch_address, settings.ca_file
        ) as channels:
            app.state.channels = channels
            yield

    return lifespan


async def _api_error(request: Request, error: Exception) -> Response:
    """
    Ask for a token anew where the services do not know it any more; show other errors.
    """
    unknown = isinstance(error, ApiError) and error.code == "UNAUTHENTICATED"
    if unknown and request.app.state.production:
        return await sign_in.ask(request)
    return await failures.show(request, error)


def _routes() -> list[Route | Mount]:
    return [
        Mount("/static", StaticFiles(directory=_STATIC)),
        Route("/sign-in", sign_in.show),
        Route("/sign-in", sign_in.sign_in, methods=["POST"]),
        Route("/sign-out", sign_in.sign_out, methods=["POST"]),
        Route(_OWNER + "/portal", portal.enter),
        _page("/", home.show),
        _page("/overview/{collection:str}", overview.show_all),
        _page(_OWNER + "/overview", overview.show),
        _page(_OWNER + "/webhooks", webhooks.show_list),
        _page(_OWNER + "/webhooks/new", form.show_new, needs="administer"),
        _post(_OWNER + "/webhooks/new", form.create, needs="administer"),
        _page(_WEBHOOK, form.show_existing),
        _post(_WEBHOOK, form.update, needs="administer"),
        _page(_WEBHOOK + "/saved", saved.show),
        _page(_WEBHOOK + "/figures", overview.show_webhook),
        _page(_WEBHOOK + "/{action:str}", actions.ask),
        _post(_WEBHOOK + "/{action:str}", actions.act),
        _page(_OWNER + "/logs", logs.show_list),
        _page(_DELIVERY + "/resend", resends.ask, needs="operate"),
        _post(_DELIVERY + "/resend", resends.resend, needs="operate"),
        _page(_DELIVERY + "/{number:str}", logs.show_attempt),
        _page(_OWNER + "/resend", jobs.show_list),
        _post(_OWNER + "/resend", jobs.create, needs="operate"),
        _page(_OWNER + "/resend/ask", jobs.ask, needs="operate"),
        _page(_JOB, jobs.show),
        _post(_JOB + "/cancel", jobs.cancel, needs="operate"),
        _page(_EVENTS, events.show_list),
        _page(_EVENTS + "/{event:str}", events.show),
        _page(_OWNER + "/authentication", authentication.show),
        _page(_OWNER + "/audit", audit.show, needs="audit"),
        _page(_OWNER + "/catalogue", catalogue.show_list),
        _page(_OWNER + "/catalogue/{event_type:path}", catalogue.show),
    ]


def _page(path: str, endpoint: sign_in.Endpoint, *, needs: str = "") -> Route:
    return Route(path, sign_in.signed_in(endpoint, needs))


def _post(path: str, endpoint: sign_in.Endpoint, *, needs: str = "") -> Route:
    return Route(path, sign_in.signed_in(endpoint, needs), methods=["POST"])
