"""
The tabs Resend webhooks, Events and Event catalogue of the console, with failed deliveries.
"""

from __future__ import annotations

import html
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from dispatch_service.payloads import example_event
from shipedge.webhooks.config.v1.config_service_pb2 import CreateCredentialRequest
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.config.v1.signing_key_pb2 import CreateSigningKeyRequest, SigningKey
from tests.support.console_reader import HOME, page_with, send
from tests.support.pair import Pair, environment_of, running_pair
from tests.support.receivers import Receiver, Switch, https_receiver

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]


@pytest.fixture
def switch() -> Switch:
    """
    Return a script that refuses everything until its status is changed.
    """
    return Switch(503)


@pytest.fixture
async def refusing(switch: Switch) -> AsyncIterator[Receiver]:
    """
    Yield a receiver with that script.
    """
    async with https_receiver(switch, host="127.0.0.1") as running:
        yield running


@pytest.fixture
async def pair(tmp_path: Path, refusing: Receiver) -> AsyncIterator[Pair]:
    """
    Yield both services with a webhook of that receiver, and three events for it.
    """
    async with running_pair(environment_of(tmp_path, refusing)) as running:
        made = await running.subscribe(refusing.url, "orders/shipped", "v2", retry_seconds=[1])
        await running.known(made.name)
        events = [example_event("orders/shipped") for _ in range(3)]
        for number, event in enumerate(events):
            event.event_id = f"shipped-{number}"
        await running.publish(*events)
        yield running


async def failed(reader: httpx.AsyncClient) -> str:
    """
    Return the list of what can be resent when all three have failed.
    """
    listed = ""
    while listed.count('name="delivery"') != 3:
        listed = await page_with(reader, f"{HOME}/resend", 'name="delivery"')
    return listed


async def test_all_that_match_are_resent(
    reader: httpx.AsyncClient, refusing: Receiver, switch: Switch
) -> None:
    """
    Failed deliveries are counted by reason, asked for, sent again by a job that is started once,
    and the job's page shows how far it is.
    """
    listed = await failed(reader)
    asked = await reader.get(f"{HOME}/resend/ask?all=yes")
    where = html.unescape(re.findall(r'name="filter" value="([^"]*)"', asked.text)[0])
    before, switch.status = len(refusing.requests), 200
    once = {"request_id": str(uuid.uuid4()), "filter": where}
    started = [await send(reader, f"{HOME}/resend", **once) for _ in range(2)]
    done = await page_with(reader, started[0].url.path, ">Done<")
    log = await page_with(reader, f"{HOME}/logs?status=success", "HTTP 200")
    jobs = await reader.get(f"{HOME}/resend")

    assert "HTTP 503" in listed
    assert "Resend 3 deliveries?" in asked.text
    assert started[0].url == started[1].url
    assert "3 of 3" in done
    assert "refresh" not in (await reader.get(started[0].url.path)).headers
    assert log
    assert "3 of 3" in jobs.text
    assert len(refusing.requests) > before


async def test_chosen_deliveries_are_resent_slowly_until_cancelled(
    reader: httpx.AsyncClient, refusing: Receiver
) -> None:
    """
    Ticked deliveries are resent alone; a slow job refreshes its page, goes on without it, and
    can be cancelled, twice too.
    """
    chosen = re.findall(r'name="delivery" value="([^"]+)"', await failed(reader))
    nothing = await reader.get(f"{HOME}/resend/ask")
    asked = await reader.get(f"{HOME}/resend/ask?delivery={chosen[0]}&delivery={chosen[1]}")
    token = (await reader.get("/")).cookies["console_csrf"]
    form = {
        "csrf": token,
        "request_id": str(uuid.uuid4()),
        "delivery": chosen[:2],
        "filter": "",
        "rate": "1",
    }
    job = (await reader.post(f"{HOME}/resend", data=form)).headers["location"]
    running = await reader.get(job)
    still = await reader.get(f"{job}?still=yes")
    for _ in range(2):
        cancelled = await send(reader, f"{job}/cancel")
    unreadable = await send(reader, f"{HOME}/resend", filter="state = ASLEEP")
    fast = await send(reader, f"{HOME}/resend", filter="state = FAILED", rate="fast")

    assert "Nothing was chosen" in nothing.text
    assert "Resend 2 deliveries?" in asked.text
    assert "of 2" in running.text
    if ">Running<" in running.text:
        assert running.headers["refresh"] == "2"
        assert "Cancel the job" in running.text
    assert "refresh" not in still.headers
    assert ">Cancelled<" in cancelled.text or ">Done<" in cancelled.text
    assert unreadable.status_code == fast.status_code == 400
    assert len(refusing.requests) >= 6


async def test_an_event_says_what_became_of_it(pair: Pair, reader: httpx.AsyncClient) -> None:
    """
    An event is found by the number of its order, and says for each webhook what became of it and
    why; a warehouse has no such page.
    """
    other = await pair.subscribe("https://127.0.0.1:1/hook", "orders/canceled", "v1")
    await failed(reader)
    number = example_event("orders/shipped").order_status_changed.order.number
    found = await reader.get(f"{HOME}/events", params={"order": number})
    none = await reader.get(f"{HOME}/events?order=NO-SUCH")
    of_other = await reader.get(f"{HOME}/logs?webhook={other.name.rpartition('/')[2]}")
    event = await reader.get(f"{HOME}/events/shipped-0")
    compared = await reader.get(f"{HOME}/catalogue/orders/shipped?event=shipped-0&from=v1&to=v2")
    warehouse = await reader.get("/warehouses/1/events")

    assert found.text.count("/events/shipped-") == 3
    assert "Failed: 1" in found.text
    assert "No events match" in none.text
    assert "No attempts match" in of_other.text
    assert ">Failed</span>" in event.text
    assert ">Not sent</span>" in event.text
    assert other.name.rpartition("/")[2] in event.text
    assert "What changes from v1 to v2" in compared.text
    assert number in compared.text
    assert warehouse.status_code == 404


async def test_the_catalogue_compares_versions(reader: httpx.AsyncClient) -> None:
    """
    The catalogue shows every event type with its payload, and what changes between versions.
    """
    listed = await reader.get(f"{HOME}/catalogue")
    types = re.findall(rf'href="{HOME}/catalogue/([^"]+)"', listed.text)
    shown = await reader.get(f"{HOME}/catalogue/orders/shipped")
    compared = await reader.get(f"{HOME}/catalogue/orders/shipped?from=v1&to=v2")
    missing = await reader.get(f"{HOME}/catalogue/orders/no_such")
    strange = await reader.get(f"{HOME}/catalogue/orders/shipped?event=no-such&from=v1&to=v2")

    assert len(types) > 30
    assert "JSON Schema" in shown.text
    assert "What changes from v1 to v2" in compared.text
    assert missing.status_code == 404
    assert 'role="alert"' in strange.text


async def test_authentication_and_audit(pair: Pair, reader: httpx.AsyncClient) -> None:
    """
    Credentials and signing keys are listed without their secrets; the audit log says who changed
    what, and shows no secret either.
    """
    credential = Credential(display_name="Back office")
    credential.basic.username, credential.basic.password = "oms", "not-for-anyone"
    await pair.config.CreateCredential(
        CreateCredentialRequest(parent=HOME[1:], credential=credential)
    )
    key = SigningKey(display_name="All of us")
    made = await pair.config.CreateSigningKey(
        CreateSigningKeyRequest(parent=HOME[1:], signing_key=key)
    )
    shown = await reader.get(f"{HOME}/authentication")
    audit = await reader.get(f"{HOME}/audit")
    one = await reader.get(f"{HOME}/audit?method=CreateCredential")
    none = await reader.get(f"{HOME}/audit?about=deliveries&method=CreateCredential")

    assert "HTTP Basic" in shown.text
    assert "All of us" in shown.text
    assert "0 webhooks" in shown.text
    assert "CreateSigningKey" in audit.text
    assert "CreateSigningKey" not in one.text.partition("<tbody>")[2]
    assert "Back office" in one.text
    assert "No entries match" in none.text
    for page in (shown, audit, one):
        assert "not-for-anyone" not in page.text
        assert made.secret not in page.text
