"""
The console in a browser: every page and every form, with deliveries that succeed and that fail.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Page, expect

from console.app import create_app
from console.settings import Settings
from dispatch_service.payloads import example_event
from shipedge.webhooks.dispatch.v1.delivery_service_pb2 import ResendDeliveriesRequest
from tests.support.browsers import CHROMIUM, Inspector, chromium, served
from tests.support.console_reader import HOME
from tests.support.pair import CONFIG, DISPATCH, PATIENCE_SECONDS, Pair
from tests.support.receivers import Receiver, answering, https_receiver

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.heavy,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        CHROMIUM is None,
        reason="chromium is not installed: no page of the console was tried in a browser",
    ),
]

ATTEMPTS = 12


@pytest.fixture
async def inspector(pair: Pair) -> AsyncIterator[Inspector]:
    """
    Yield a browser at the console of the pair.
    """
    app = create_app(
        Settings(config_address=pair.address(CONFIG), dispatch_address=pair.address(DISPATCH))
    )
    async with served(app) as address, chromium() as browser:
        yield Inspector(browser, address)


@pytest.fixture
async def refusing() -> AsyncIterator[Receiver]:
    """
    Yield a receiver that refuses everything.
    """
    async with https_receiver(answering(503, b"on a break"), host="127.0.0.1") as running:
        yield running


async def publish(pair: Pair, receiver: Receiver, refusing: Receiver) -> dict[str, str]:
    """
    Publish four events for a webhook that works and one that fails twice; return the paths of
    what came of it.
    """
    works = await pair.subscribe(receiver.url, "orders/shipped", "v2", description="North")
    fails = await pair.subscribe(refusing.url, "orders/shipped", "v1", retry_seconds=[1])
    off = await pair.subscribe(receiver.url, "orders/canceled", "v1")
    await pair.set_status(off.name, off.STATUS_INACTIVE)
    await pair.known(works.name, fails.name)
    events = [example_event("orders/shipped") for _ in range(4)]
    for number, event in enumerate(events):
        event.event_id = f"shipped-{number}"
    await pair.publish(*events)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(await pair.attempts()) < ATTEMPTS:
            await asyncio.sleep(0.05)
    ended = {each.status: each.name.split("/") for each in await pair.attempts()}
    named = {"works": works, "fails": fails, "off": off}
    return {
        **{name: f"{HOME}/webhooks/{made.name.split('/')[3]}" for name, made in named.items()},
        **{f"attempt-{status}": f"{HOME}/logs/{it[3]}/{it[5]}" for status, it in ended.items()},
    }


async def test_every_page(
    pair: Pair, inspector: Inspector, receiver: Receiver, refusing: Receiver
) -> None:
    """
    No page has a fault for axe, asks for anything elsewhere, or is wider than a phone, in light
    and dark.
    """
    paths = await publish(pair, receiver, refusing)
    succeeded, failed = paths["attempt-1"], paths["attempt-2"]
    pages = {
        "home": "/",
        "webhooks": f"{HOME}/webhooks",
        "webhooks-none": f"{HOME}/webhooks?text=nothing-like-it",
        "choice": f"{HOME}/webhooks/new",
        "new": f"{HOME}/webhooks/new?event_type=orders/shipped_by_store&version=v2",
        "edit": paths["works"],
        "saved": f"{paths['works']}/saved",
        **{
            f"ask-{it}": f"{paths['works']}/{it}"
            for it in ("test", "rotate", "delete", "deactivate")
        },
        "ask-activate": f"{paths['off']}/activate",
        "ask-test-of-inactive": f"{paths['off']}/test",
        "logs": f"{HOME}/logs",
        "logs-none": f"{HOME}/logs?event=orders/canceled",
        "attempt-succeeded": succeeded,
        "attempt-failed": failed,
        "resend-one": f"{succeeded.rpartition('/')[0]}/resend",
        "resend": f"{HOME}/resend",
        "resend-none": f"{HOME}/resend?state=cancelled",
        "resend-ask": f"{HOME}/resend/ask?all=yes",
        "resend-nothing": f"{HOME}/resend/ask",
        "events": f"{HOME}/events",
        "event": f"{HOME}/events/shipped-0",
        "authentication": f"{HOME}/authentication",
        "audit": f"{HOME}/audit",
        "catalogue": f"{HOME}/catalogue",
        "event-type": f"{HOME}/catalogue/orders/shipped",
        "compared": f"{HOME}/catalogue/orders/shipped?from=v1&to=v2&event=shipped-0",
    }
    for name, path in pages.items():
        await inspector.inspect(name, path)
    asked = ResendDeliveriesRequest(parent=HOME[1:], filter="state = FAILED", rate_limit=1)
    job = (await pair.deliveries.ResendDeliveries(asked)).name.rpartition("/")[2]
    await inspector.inspect("job", f"{HOME}/resend/jobs/{job}?still=yes")
    await inspector.inspect("sign-in", "/sign-in")
    await inspector.inspect("missing", "/stores/1/webhooks", status=404)

    assert inspector.faults == []


async def test_from_a_webhook_to_a_resent_delivery(
    inspector: Inspector, receiver: Receiver, refusing: Receiver
) -> None:
    """
    Without a command line: a webhook is made, mended where the form says so, tested, its failure
    seen and understood, the address corrected, and the delivery resent.
    """
    page = await inspector.browser.new_page()
    await page.goto(inspector.address)
    await page.get_by_label("Number or id").fill("100")
    await page.get_by_role("button", name="Show").click()
    await page.get_by_role("link", name="Add new webhook").click()
    await page.get_by_role("link", name="Order shipped, v2").click()
    await page.get_by_label("Address").fill("ftp://127.0.0.1/hook")
    await page.get_by_label("Retry schedule").fill("1s")
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator("#url-problem")).to_be_visible()
    await page.get_by_label("Address").fill(refusing.url)
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".secret")).to_have_text(re.compile("^whsec_"))
    await page.reload()
    await expect(page.locator(".secret")).to_have_count(0)
    await page.get_by_role("link", name="Send a test").click()
    await page.get_by_role("button", name="Send the test").click()
    await seen(page, "HTTP 503")
    await page.locator("tbody a").first.click()
    await expect(page.get_by_text("What to do:")).to_be_visible()
    await expect(page.get_by_role("heading", name="Response 503")).to_be_visible()
    await page.get_by_role("link", name="Webhooks", exact=True).last.click()
    await page.get_by_role("link", name="Order shipped").click()
    await page.get_by_label("Address").fill(receiver.url)
    await page.get_by_role("button", name="Save").click()
    await resend(page)
    await page.get_by_role("link", name="Webhook logs", exact=True).click()
    await seen(page, "Success")
    await page.get_by_role("link", name="Webhooks", exact=True).last.click()
    await page.get_by_role("link", name="Switch off").click()
    await page.get_by_role("button", name="Switch it off").click()
    await expect(page.get_by_text("Inactive", exact=True).last).to_be_visible()
    await page.get_by_role("link", name="Order shipped").click()
    await page.get_by_role("link", name="Delete").click()
    await page.get_by_role("button", name="Delete it").click()

    await expect(page.get_by_text("has no webhooks yet")).to_be_visible()


async def resend(page: Page) -> None:
    """
    Choose the delivery that failed, resend it, and wait until the job is done.
    """
    await page.get_by_role("link", name="Resend webhooks").click()
    box = page.get_by_role("checkbox")
    await seen(page, "HTTP 503")
    await box.first.check()
    await page.get_by_role("button", name="Resend those chosen").click()
    await expect(page.get_by_role("heading", name="Resend 1 delivery?")).to_be_visible()
    await page.get_by_role("button", name="Resend it").click()
    await expect(page.get_by_text("Done", exact=True)).to_be_visible(
        timeout=PATIENCE_SECONDS * 1000
    )


async def seen(page: Page, text: str) -> None:
    """
    Load a page again until it shows *text*.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while text not in await page.content():
            await asyncio.sleep(0.1)
            await page.reload()


async def test_the_keyboard_is_enough(inspector: Inspector) -> None:
    """
    The first thing that Tab reaches leads past the head of the page, and the whole form of the
    first page is filled with keys alone.
    """
    page = await inspector.browser.new_page()
    await page.goto(f"{inspector.address}{HOME}/webhooks")
    await page.keyboard.press("Tab")
    skip = await page.evaluate("document.activeElement.textContent")
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    inside = await page.evaluate("document.querySelector('main').contains(document.activeElement)")
    await page.goto(inspector.address)
    await page.keyboard.type("7")
    await page.keyboard.press("Enter")

    await expect(page.get_by_role("heading", name="Webhooks", exact=True)).to_be_visible()
    assert skip == "To the content"
    assert inside
    assert page.url.endswith("/accounts/7/webhooks")
