"""
The pages of the console, with a pair behind them.
"""

from __future__ import annotations

import re
import uuid

import httpx
import pytest

from dispatch_service.payloads import example_event
from tests.support.console_reader import HOME, page_with, send, webhook
from tests.support.pair import Pair
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

NEW = f"{HOME}/webhooks/new?event_type=orders/shipped&version=v2"
SECRET = re.compile(r"whsec_[A-Za-z0-9+/=]{20,}")


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
    resent = await send(reader, f"{attempt.rpartition('/')[0]}/resend", force="yes")
    rotated = await send(reader, f"{here}/rotate", grace="1")
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


async def test_a_page_asks_first(pair: Pair, reader: httpx.AsyncClient, receiver: Receiver) -> None:
    """
    What sends, ends or replaces something is asked for first, with what follows from it; to ask
    changes nothing.
    """
    made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
    here = f"{HOME}/webhooks/{made.name.rpartition('/')[2]}"
    asked = {
        action: (await reader.get(f"{here}/{action}")).text
        for action in ("test", "rotate", "delete", "deactivate")
    }
    unknown = await reader.get(f"{here}/explode")
    without_id = await send(reader, f"{here}/delete", request_id="")
    off = await send(reader, f"{here}/deactivate")
    test_of_inactive = await send(reader, f"{here}/test")
    on = (await reader.get(f"{here}/activate")).text

    assert "No delivery waits now" in asked["delete"]
    assert "shown once" in asked["rotate"]
    assert "marked as a test" in asked["test"]
    for action, page in asked.items():
        assert f'action="{here}/{action}"' in page
    assert unknown.status_code == 404
    assert without_id.status_code == 400
    assert receiver.requests == []
    assert "Order shipped" in off.text
    assert test_of_inactive.status_code == 409
    assert "Switch it on first" in test_of_inactive.text
    assert "what waits is sent" in on


async def test_a_form_that_is_sent_twice_is_done_once(
    reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    """
    A reload of what a form leads to changes nothing, and shows no secret a second time; the same
    form with other content is refused.
    """
    once = {"request_id": str(uuid.uuid4())}
    first = await send(reader, f"{HOME}/webhooks/new", **webhook(receiver, **once))
    reloaded = await reader.get(first.url.path)
    again = await send(reader, f"{HOME}/webhooks/new", **webhook(receiver, **once))
    changed = await send(
        reader, f"{HOME}/webhooks/new", **webhook(receiver, payload_version="v1", **once)
    )
    here = first.url.path.removesuffix("/saved")
    rotate = {"grace": "0", "request_id": str(uuid.uuid4())}
    rotated = [await send(reader, f"{here}/rotate", **rotate) for _ in range(2)]
    test = {"request_id": str(uuid.uuid4())}
    tested = [await send(reader, f"{here}/test", **test) for _ in range(2)]
    listed = await reader.get(f"{HOME}/webhooks")

    assert SECRET.search(first.text)
    assert again.url.path == first.url.path
    for page in (reloaded, again, rotated[1]):
        assert page.status_code == 200
        assert not SECRET.search(page.text)
        assert "shown once before" in page.text
    assert SECRET.search(rotated[0].text)
    assert tested[0].url == tested[1].url
    assert changed.status_code == 409
    assert once["request_id"] not in changed.text
    assert listed.text.count(">Order shipped</a>") == 1


async def test_the_secret_belongs_to_its_page(
    reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    """
    The cookie that carries a secret to its page is sealed, and no other page shows it.
    """
    made = await send(reader, f"{HOME}/webhooks/new", **webhook(receiver))
    other = await send(reader, f"{HOME}/webhooks/new", **webhook(receiver, payload_version="v1"))
    token = (await reader.get("/")).cookies["console_csrf"]
    here = made.url.path.removesuffix("/saved")
    rotate = {"csrf": token, "grace": "0", "request_id": str(uuid.uuid4())}
    rotated = await reader.post(f"{here}/rotate", data=rotate)
    cookie = rotated.cookies["console_once"]
    reader.cookies.delete("console_once")
    elsewhere = await reader.get(other.url.path, headers={"Cookie": f"console_once={cookie}"})
    spoiled = await reader.get(made.url.path, headers={"Cookie": f"console_once={cookie[:-8]}"})
    there = await reader.get(made.url.path, headers={"Cookie": f"console_once={cookie}"})

    assert not SECRET.search(elsewhere.text)
    assert not SECRET.search(spoiled.text)
    secret = SECRET.findall(there.text)[0]
    assert secret not in cookie
    assert 'console_once="";' in there.headers["set-cookie"]


async def test_a_resend_repeats_a_success_only_where_it_said_so(
    reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    """
    A delivery that succeeded is sent once more only by a page that has said that it succeeded.
    """
    made = await send(reader, f"{HOME}/webhooks/new", **webhook(receiver))
    await send(reader, f"{made.url.path.removesuffix('/saved')}/test")
    log = await page_with(reader, f"{HOME}/logs?status=success", "HTTP 200")
    delivery = re.findall(rf'href="({HOME}/logs/[^/"]+)/1"', log)[0]
    asked = await reader.get(f"{delivery}/resend")
    unforced = await send(reader, f"{delivery}/resend")
    forced = await send(reader, f"{delivery}/resend", force="yes")
    await page_with(reader, forced.url.raw_path.decode(), '/2"')

    assert "has confirmed this delivery" in asked.text
    assert 'name="force" value="yes"' in asked.text
    assert unforced.status_code == 409
    assert "has confirmed this delivery" in unforced.text
    assert len(receiver.requests) == 2


async def test_webhooks_are_found_by_text_and_health(
    pair: Pair, reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    """
    The list is searched by a part of what it shows, in any case, and by health.
    """
    await pair.subscribe(receiver.url, "orders/shipped", "v2", description="Warehouse north")
    await pair.subscribe(receiver.url, "orders/canceled", "v1")
    by_text = await reader.get(f"{HOME}/webhooks?text=NORTH")
    by_title = await reader.get(f"{HOME}/webhooks?text=shipped")
    by_health = await reader.get(f"{HOME}/webhooks?health=No+reports")
    failing = await reader.get(f"{HOME}/webhooks?health=Failing")

    assert by_text.text.count("<code>orders/") == by_title.text.count("<code>orders/") == 1
    assert by_health.text.count("<code>orders/") == 2
    assert "No webhook matches" in failing.text


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


@pytest.mark.heavy
async def test_the_overview_shows_what_fails(
    pair: Pair, reader: httpx.AsyncClient, receiver: Receiver
) -> None:
    """
    Once attempts are counted, an owner's overview and that of all accounts name the webhook that
    fails, and its own page and the list have its figures.
    """
    quiet = await reader.get(f"{HOME}/overview")
    made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
    failing = await pair.subscribe(
        "https://127.0.0.1:1/x", "orders/shipped", "v2", retry_seconds=[3600]
    )
    await pair.known(made.name, failing.name)
    event = example_event("orders/shipped")
    event.account_id = 100
    await pair.publish(event)
    await page_with(reader, f"{HOME}/overview?span=1h", "1 of 2 attempts failed")
    here = failing.name.rpartition("/")[2]
    pages = [
        (await reader.get(path)).text
        for path in (
            f"{HOME}/overview",
            "/overview/accounts?span=7d",
            f"{HOME}/webhooks/{here}/figures",
            f"{HOME}/webhooks",
        )
    ]

    assert "no attempt ended" in quiet.text
    assert "No webhook failed" in quiet.text
    assert "Nothing waits" in quiet.text
    for page in pages[:2]:
        assert f"/webhooks/{here}" in page
        assert "50 %" in page
        assert "next attempt of its retry schedule" in page
    assert "1 of 1 attempts failed" in pages[2]
    assert 'class="spark"' in pages[3]
    assert (await reader.get("/overview/callers")).status_code == 404
