"""
The pages of the console, with a pair behind them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import httpx
import pytest

from console.app import create_app
from console.settings import Settings
from tests.support.pair import CONFIG, DISPATCH, PATIENCE_SECONDS, Pair
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

HOME = "/accounts/100"
NEW = f"{HOME}/webhooks/new?event_type=orders/shipped&version=v2"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{20,}")


@pytest.fixture
async def reader(pair: Pair) -> AsyncIterator[httpx.AsyncClient]:
    """
    Yield a reader's browser at the console of the pair.
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
    token = (await reader.get("/")).cookies["console_csrf"]
    return await reader.post(path, data={"csrf": token, **fields}, follow_redirects=True)


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


async def test_from_a_webhook_to_its_log(reader: httpx.AsyncClient, receiver: Receiver) -> None:
    """
    A webhook is added, tested, found in the log, read, resent, changed, deleted and restored.
    """
    empty = await reader.get(f"{HOME}/webhooks")
    form = await reader.get(NEW)
    saved = await send(reader, f"{HOME}/webhooks/new", **webhook(receiver))
    listed = await reader.get(f"{HOME}/webhooks")
    here = re.findall(rf'href="({HOME}/webhooks/[^/"]+)">Order shipped', listed.text)[0]
    edit = await reader.get(here)
    tested = await send(reader, f"{here}/test")
    log = await page_with(reader, f"{HOME}/logs?status=success", "HTTP 200")
    attempt = re.findall(rf'href="({HOME}/logs/[^/"]+/1)"', log)[0]
    shown = await reader.get(attempt)
    resent = await send(reader, f"{attempt}/resend")
    rotated = await send(reader, f"{here}/rotate")
    off = await send(reader, f"{here}/deactivate")
    deleted = await send(reader, f"{here}/delete")
    restored = await send(reader, f"{here}/undelete")

    assert "has no webhooks yet" in empty.text
    assert "orders/shipped_v2" in form.text
    assert len(SECRET.findall(saved.text)) == 1
    assert len(SECRET.findall(rotated.text)) == 1
    assert tested.status_code == resent.status_code == 200
    assert "All attempts of this delivery" in shown.text
    assert "Inactive" in off.text
    assert "has no webhooks yet" in deleted.text
    assert "Order shipped" in restored.text
    for page in (listed, edit, shown, restored):
        assert not SECRET.search(page.text)
        assert "not-for-anyone" not in page.text


async def test_errors_stand_at_their_fields(reader: httpx.AsyncClient, receiver: Receiver) -> None:
    """
    What the API refuses is shown at its field, in its words, with what else was typed but secrets.
    """
    refused = await send(
        reader, f"{HOME}/webhooks/new", **webhook(receiver, url="ftp://a.example/x")
    )
    unread = await send(reader, f"{HOME}/webhooks/new", **webhook(receiver, retry_schedule="soon"))

    assert refused.status_code == unread.status_code == 400
    assert 'id="url-problem"' in refused.text
    assert 'value="ftp://a.example/x"' in refused.text
    assert "not-for-anyone" not in refused.text
    assert 'id="retry_schedule-problem"' in unread.text


async def test_only_pages_of_the_console_send_forms(
    reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    """
    A form without the token of the reader's browser, or under another host name, is refused.
    """
    path = f"{HOME}/webhooks/new"
    without = await reader.post(path, data=webhook(receiver))
    wrong = await reader.post(
        path, data={"csrf": "b", **webhook(receiver)}, headers={"Cookie": "console_csrf=a"}
    )
    elsewhere = await reader.get("/", headers={"Host": "evil.example"})
    listed = await reader.get(f"{HOME}/webhooks")

    assert without.status_code == wrong.status_code == 403
    assert elsewhere.status_code == 400
    assert "has no webhooks yet" in listed.text


async def test_pages_load_nothing_from_elsewhere(reader: httpx.AsyncClient) -> None:
    """
    Pages have a strict policy, no script and no style of their own, and missing ones say so.
    """
    pages = [await reader.get(path) for path in ("/", f"{HOME}/webhooks/new", NEW, f"{HOME}/logs")]
    missing = await reader.get("/stores/1/webhooks")
    style = await reader.get("/static/console.css")

    assert missing.status_code == 404
    assert style.status_code == 200
    for page in (*pages, missing):
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not re.search(r"<script|<style| style=|https?://[^y]", page.text.split("<pre")[0])
        cookie = page.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
