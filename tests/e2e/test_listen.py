"""
Deliveries on a developer's own machine, through `webhooksctl listen`.
"""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from standardwebhooks import Webhook

from dispatch_service.payloads import example_event
from tests.support.command_line import CommandLine, environment
from tests.support.pair import Pair
from tests.support.receivers import Receiver, answering, http_receiver

pytestmark = [pytest.mark.anyio, pytest.mark.slow]


async def test_deliveries_come_beside_the_real_endpoint(
    pair: Pair, tmp_path: Path, receiver: Receiver
) -> None:
    """
    The developer's machine gets the same bodies under the same ids, signed with the printed secret
    alone; its answers are shown and change nothing.
    """
    run = CommandLine(environment(pair, tmp_path))
    identifier = await run.subscribe(receiver.url, "--header", "X-Token: env:WEBHOOKSCTL_OWNER")
    await pair.known(f"accounts/100/subscriptions/{identifier}")
    async with http_receiver(answering(500), host="127.0.0.1") as local:
        url = ("--forward-to", local.url, "--account", "100", "--event", "orders/shipped")
        listening = asyncio.create_task(run("listen", *url, "--count", "2"))
        for number in range(1_000):
            if listening.done():
                break
            event = example_event("orders/shipped")
            event.account_id, event.event_id = 100, f"forwarded-{number}"
            await pair.publish(event)
            await asyncio.sleep(0.05)
        result = await listening

    (secret,) = re.findall(r"whsec_\S+", result.stderr)
    lines = result.stdout.splitlines()
    real = {it.headers["webhook-id"]: it for it in receiver.requests}
    assert len(local.requests) == len(lines) == 2
    for copy, line in zip(local.requests, lines, strict=True):
        sent = real[copy.headers["webhook-id"]]
        Webhook(secret).verify(copy.body, copy.headers)
        assert copy.body == sent.body
        assert copy.headers["webhook-signature"] != sent.headers["webhook-signature"]
        assert "x-token" in sent.headers
        assert "x-token" not in copy.headers
        assert "500" in line
    assert {it.response_code for it in await pair.all_attempts()} == {200}
