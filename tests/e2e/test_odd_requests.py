"""
Whatever a caller sends to any method: an answer or a refusal with a reason, never a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.test_pair import shipped
from tests.support.odd_requests import Answers, OddRequests, call_all
from tests.support.pair import CONFIG, DISPATCH, Pair, environment_of, eventually, running_pair
from tests.support.receivers import Receiver
from tests.support.templates import PostgresTemplates
from tests.unit.service_runtime.rpc.test_access import METHODS

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

ROUNDS = 8
SEED = 7


async def existing(pair: Pair, receiver: Receiver) -> list[str]:
    """
    Make a subscription, and an event that is delivered; return their names and their owner's.
    """
    owner = "accounts/100"
    webhook = await pair.subscribe(receiver.url, "orders/shipped", "v3", owner)
    await pair.known(webhook.name)
    await pair.publish(shipped("e-1"))
    await eventually(lambda: len(receiver.requests) > 0)
    delivery = (await pair.log_of(owner))[0]
    return [owner, webhook.name, delivery.name, f"{owner}/deliveries/-", delivery.event]


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(
    request: pytest.FixtureRequest, postgres_templates: PostgresTemplates
) -> Iterator[dict[str, str]]:
    """
    Yield the settings that choose migrated databases of both services.
    """
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield {}
        else:
            yield {
                "SHIPEDGE_CONFIG_DATABASE_URL": stack.enter_context(
                    postgres_templates.copy(CONFIG)
                ),
                "SHIPEDGE_DISPATCH_DATABASE_URL": stack.enter_context(
                    postgres_templates.copy(DISPATCH)
                ),
            }


async def test_no_request_is_a_fault(
    tmp_path: Path, receiver: Receiver, databases: dict[str, str]
) -> None:
    """
    No method answers INTERNAL or UNKNOWN, and every refusal has its reason.
    """
    answers = Answers()
    async with running_pair({**environment_of(tmp_path, receiver), **databases}) as pair:
        requests = OddRequests(await existing(pair, receiver), seed=SEED)
        for package, word in ((CONFIG, ".config."), (DISPATCH, ".dispatch.")):
            methods = {path: method for path, method in METHODS.items() if word in path}
            await call_all(pair.channels[package], methods, ROUNDS, requests, answers)

    assert answers.unexpected == []
    assert answers.codes["INVALID_ARGUMENT"] > 0
