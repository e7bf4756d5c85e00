"""
The receivers that customers start from, each with real deliveries.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from pathlib import Path

import httpx
import pytest

from dispatch_service.payloads import example_event
from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.dispatch.v1 import attempt_pb2, delivery_service_pb2
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.customers import COMMANDS, Printed, customers_receiver
from tests.support.databases import free_port
from tests.support.pair import PATIENCE_SECONDS, Pair, eventually

pytestmark = [pytest.mark.anyio, pytest.mark.heavy, pytest.mark.timeout(300)]

ORDER = 71
OLD_SECONDS = 3600


def change(sequence: int) -> event_pb2.Event:
    """
    Make a change of the order; later ones have higher numbers.
    """
    event = example_event("orders/shipped")
    event.event_id = f"change-{sequence}"
    event.sequence = sequence
    event.order_status_changed.order.id = ORDER
    return event


def signed(secret: str, timestamp: int, body: bytes) -> dict[str, str]:
    """
    Return the headers of a request that is signed with a secret at a time.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"))
    text = f"dlv_1.{timestamp}.".encode() + body
    mac = base64.b64encode(hmac.digest(key, text, hashlib.sha256)).decode()
    return {
        "webhook-id": "dlv_1",
        "webhook-timestamp": str(timestamp),
        "webhook-signature": f"v1,{mac}",
    }


async def publish(pair: Pair, printed: Printed, sequence: int, expected: str) -> None:
    """
    Publish a change; wait until the receiver has done with it as expected.
    """
    await pair.publish(change(sequence))
    await eventually(lambda: printed.has(f"{expected} {ORDER} {sequence}"))


async def resend(pair: Pair, printed: Printed, delivery: str) -> None:
    """
    Send a delivery again; wait until the receiver recognises it.
    """
    line = f"duplicate {delivery.rpartition('/')[2]}"
    before = printed.lines().count(line)
    request = delivery_service_pb2.ResendDeliveryRequest(name=delivery, force=True)
    await pair.deliveries.ResendDelivery(request)
    await eventually(lambda: printed.lines().count(line) > before)


async def attempts_of(pair: Pair, count: int) -> list[attempt_pb2.Attempt]:
    """
    Return all attempts once there are as many: results are written behind the answers.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(attempts := await pair.all_attempts()) < count:
            await asyncio.sleep(0.05)
    assert len(attempts) == count
    return attempts


async def send_unknown(url: str, secret: str) -> None:
    """
    Send a signed body that is about no order: it is confirmed, and holds up nothing.
    """
    body = b'{"event":"webhooks/url_challenge","challenge":"c"}'
    async with httpx.AsyncClient() as client:
        answer = await client.post(
            url, content=body, headers=signed(secret, int(time.time()), body)
        )
    assert answer.status_code == 204


async def statuses(url: str, secret: str) -> list[int]:
    """
    Return the answers to a request without a signature, to one of another secret, to one with
    another body, and to an old one.
    """
    now, body = int(time.time()), b'{"event":"orders/shipped_v3"}'
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    sent = [
        ({}, body),
        (signed(other, now, body), body),
        (signed(secret, now, body), body + b" "),
        (signed(secret, now - OLD_SECONDS, body), body),
    ]
    async with httpx.AsyncClient() as client:
        return [
            (await client.post(url, content=content, headers=headers)).status_code
            for headers, content in sent
        ]


@pytest.mark.parametrize("language", COMMANDS)
async def test_receiver(language: str, pair: Pair, tmp_path: Path) -> None:
    """
    Deliveries are kept once and applied in order, an older change is not, forged and old requests
    are refused, a rotation of the secret is not noticed, and a restart forgets nothing.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}/webhooks"
    webhook = await pair.subscribe(url, "orders/shipped", "v3")
    await pair.known(webhook.name)
    secret = webhook.signing_secret
    with customers_receiver(language, tmp_path, port, secret) as printed:
        for sequence, expected in ((1, "applied"), (3, "applied"), (2, "stale")):
            await publish(pair, printed, sequence, expected)
        # What is resent while it is being sent is sent once.
        delivery = (await attempts_of(pair, 3))[0].name.partition("/attempts/")[0]
        await resend(pair, printed, delivery)
        assert await statuses(url, secret) == [401] * 4
        await pair.config.RotateSigningSecret(
            config_service_pb2.RotateSigningSecretRequest(name=webhook.name)
        )
        await publish(pair, printed, 4, "applied")
        await attempts_of(pair, 5)
    with customers_receiver(language, tmp_path, port, secret) as printed:
        await send_unknown(url, secret)
        await resend(pair, printed, delivery)
        await publish(pair, printed, 5, "applied")

    attempts = await attempts_of(pair, 7)
    assert {it.status for it in attempts} == {attempt_pb2.Attempt.STATUS_SUCCESS}
    assert {it.response_code for it in attempts} == {204}
