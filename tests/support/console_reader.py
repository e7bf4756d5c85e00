"""
What a reader of the console does in a browser, without one.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from console.app import create_app
from console.settings import Settings
from tests.support.pair import CONFIG, DISPATCH, PATIENCE_SECONDS, Pair
from tests.support.receivers import Receiver

HOME = "/accounts/100"


@asynccontextmanager
async def console_of(pair: Pair) -> AsyncIterator[httpx.AsyncClient]:
    """
    Yield a reader's browser at a console of *pair*.
    """
    app = create_app(
        Settings(config_address=pair.address(CONFIG), dispatch_address=pair.address(DISPATCH))
    )
    transport = httpx.ASGITransport(app=app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
    ):
        yield client


async def send(reader: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """
    Send a form as a page of the console does.
    """
    token = (await reader.get("/sign-in")).cookies["console_csrf"]
    form = {"csrf": token, "request_id": str(uuid.uuid4()), **fields}
    return await reader.post(path, data=form, follow_redirects=True)


def webhook(receiver: Receiver, **changes: str) -> dict[str, str]:
    """
    Return the fields of the form of a webhook.
    """
    return {
        "event_type": "orders/shipped",
        "payload_version": "v2",
        "url": receiver.url,
        "status": "active",
        "custom_headers": "X-Token: not-for-anyone",
        **changes,
    }


async def page_with(reader: httpx.AsyncClient, path: str, text: str) -> str:
    """
    Return a page as soon as it has *text*.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while text not in (page := (await reader.get(path)).text):
            await asyncio.sleep(0.05)
    return page
