"""
The tour of the README: its commands, run in order against both services.

grpcurl runs them if it is installed, otherwise buf. Both need server reflection only.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from shipedge.webhooks.dispatch.v1 import delivery_pb2
from tests.e2e.test_pair import settled
from tests.support.documented.grpcurl import translated
from tests.support.pair import CONFIG, DISPATCH, Pair, eventually
from tests.support.receivers import Receiver

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parent.parent.parent
URL = "http://127.0.0.1:9443/webhooks"


def commands() -> list[str]:
    """
    Return the commands of the tour, which are for grpcurl.
    """
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    return [block.strip() for block in blocks if block.startswith("grpcurl")]


def fields(answer: Any) -> Any:
    """
    Convert names of fields to snake case: buf prints camel case.
    """
    if isinstance(answer, dict):
        return {
            re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", name): fields(value)
            for name, value in answer.items()
        }
    return [fields(element) for element in answer] if isinstance(answer, list) else answer


async def run(command: str) -> str:
    """
    Run a command of the tour; return its output.
    """
    words = shlex.split(command)
    if shutil.which("grpcurl") is None:
        words = translated(words[1:])
    process = await asyncio.create_subprocess_exec(
        *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    out, problem = await process.communicate()
    assert process.returncode == 0, problem.decode()
    return out.decode()


async def test_tour(pair: Pair, receiver: Receiver) -> None:
    """
    Each command of the README has the result that its text describes.
    """
    delivery = ""

    def ready(command: str) -> str:
        command = command.replace("127.0.0.1:50051", pair.address(CONFIG))
        command = command.replace("127.0.0.1:50052", pair.address(DISPATCH))
        return command.replace(URL, receiver.url).replace("$DELIVERY", delivery)

    services, types, create, publish, log, body, resend, explain = commands()

    assert "shipedge.webhooks.config.v1.ConfigService" in await run(ready(services))
    assert "orders/shipped_v3" in await run(ready(types))
    created = fields(json.loads(await run(ready(create))))
    assert "whsec_" in created["signing_secret"]
    await pair.known(created["name"])
    accepted = json.loads(await run(ready(publish)))["results"][0]["accepted"]
    await eventually(lambda: len(receiver.requests) == 1)
    await settled(pair, delivery_pb2.Delivery.STATE_SUCCEEDED)
    (attempt,) = json.loads(await run(ready(log)))["attempts"]
    assert attempt["event"] == accepted["name"]
    delivery = attempt["name"].partition("/attempts/")[0]
    sent = base64.b64decode(json.loads(await run(ready(body)))["body"])
    assert sent == receiver.requests[0].body
    await run(ready(resend))
    await eventually(lambda: len(receiver.requests) == 2)
    assert receiver.requests[1].body == sent
    (explanation,) = json.loads(await run(ready(explain)))["explanations"]
    assert (explanation["verdict"], explanation["delivery"]) == ("VERDICT_DELIVERED", delivery)


async def test_documented_body(pair: Pair, receiver: Receiver) -> None:
    """
    The order of the tour is delivered as the documented body.
    """
    golden = ROOT / "tests/unit/dispatch_service/payloads/golden/orders_shipped_v2.json"
    made = await pair.subscribe(receiver.url, "orders/shipped", "v2")
    assert made.topic == "orders/shipped_v2"
    await pair.known(made.name)
    publish = commands()[3].replace("127.0.0.1:50052", pair.address(DISPATCH))

    await run(publish)

    await eventually(lambda: len(receiver.requests) == 1)
    body = receiver.requests[0].body
    assert json.loads(body, parse_float=str) == json.loads(golden.read_text(), parse_float=str)
