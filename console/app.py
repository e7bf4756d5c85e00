"""
Wires the pages of the console.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from console.pages import (
    actions,
    catalogue,
    events,
    failures,
    form,
    home,
    jobs,
    logs,
    resends,
    saved,
    webhooks,
)
from console.rpc.services import Services
from console.settings import Settings
from console.web.headers import SecurityHeaders
from console.web.sealing import KEY_BYTES, Sealer
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

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with Services.connected(
            settings.config_address, settings.dispatch_address
        ) as services:
            app.state.services = services
            app.state.now = utc_now
            app.state.sealer = Sealer(secrets.token_bytes(KEY_BYTES))
            yield

    return Starlette(
        routes=_routes(),
        lifespan=lifespan,
        exception_handlers={
            ApiError: failures.show,
            400: failures.refused,
            403: failures.refused,
            404: failures.missing,
        },
        # Other names could be made to lead here by a site that the reader visits.
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]"]),
            Middleware(SecurityHeaders),
        ],
    )


def _routes() -> list[Route | Mount]:
    return [
        Route("/", home.show),
        Mount("/static", StaticFiles(directory=_STATIC)),
        Route(_OWNER + "/webhooks", webhooks.show_list),
        Route(_OWNER + "/webhooks/new", form.show_new),
        Route(_OWNER + "/webhooks/new", form.create, methods=["POST"]),
        Route(_WEBHOOK, form.show_existing),
        Route(_WEBHOOK, form.update, methods=["POST"]),
        Route(_WEBHOOK + "/saved", saved.show),
        Route(_WEBHOOK + "/{action:str}", actions.ask),
        Route(_WEBHOOK + "/{action:str}", actions.act, methods=["POST"]),
        Route(_OWNER + "/logs", logs.show_list),
        Route(_DELIVERY + "/resend", resends.ask),
        Route(_DELIVERY + "/resend", resends.resend, methods=["POST"]),
        Route(_DELIVERY + "/{number:str}", logs.show_attempt),
        Route(_OWNER + "/resend", jobs.show_list),
        Route(_OWNER + "/resend", jobs.create, methods=["POST"]),
        Route(_OWNER + "/resend/ask", jobs.ask),
        Route(_JOB, jobs.show),
        Route(_JOB + "/cancel", jobs.cancel, methods=["POST"]),
        Route(_EVENTS, events.show_list),
        Route(_EVENTS + "/{event:str}", events.show),
        Route(_OWNER + "/catalogue", catalogue.show_list),
        Route(_OWNER + "/catalogue/{event_type:path}", catalogue.show),
    ]
