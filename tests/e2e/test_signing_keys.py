"""
A shop with one URL: 34 webhooks by one call and one key, verified by the official libraries
through a rotation.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from standardwebhooks import Webhook, WebhookVerificationError

from dispatch_service.payloads import CONTRACTS
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1 import owner_settings_pb2, signing_key_pb2
from shipedge.webhooks.config.v1.subscription_pb2 import SubscriptionFilter
from shipedge.webhooks.dispatch.v1 import payload_service_pb2
from shipedge.webhooks.events.v1 import catalogue_pb2
from tests.e2e.test_payload_service import payloads
from tests.e2e.test_sample_receivers import _FILTERS
from tests.support.node_packages import modules, program
from tests.support.pair import Pair, Subscription, eventually
from tests.support.receivers import Received, Receiver

__all__ = ["modules"]

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

OWNER = "accounts/100"
PROGRAM = """
const { Webhook } = require('standardwebhooks');
for (const [secret, body, headers] of JSON.parse(require('fs').readFileSync(0, 'utf8')))
  new Webhook(secret).verify(body, headers);
"""


def wanted(receiver: Receiver, key: str) -> list[pb.CreateSubscriptionRequest]:
    """
    Ask for a webhook of each event type at one URL, signed by one key.
    """
    types = dict.fromkeys(
        event_type
        for (event_type, _), contract in CONTRACTS.items()
        if not contract.event_type.system
    )
    return [
        pb.CreateSubscriptionRequest(
            subscription=Subscription(
                event_type=name,
                payload_version="v2",
                url=receiver.url,
                status=Subscription.STATUS_ACTIVE,
                signing_key=key,
                filter=SubscriptionFilter(
                    **_FILTERS.get(CATALOGUE.event_types[name].filter_kind, {})
                ),
            )
        )
        for name in types
    ]


async def sent(pair: Pair, receiver: Receiver, names: Sequence[str]) -> list[Received]:
    """
    Send a test event to each webhook; return the requests.
    """
    before = len(receiver.requests)
    for name in names:
        request = payload_service_pb2.SendTestEventRequest(subscription=name)
        await payloads(pair).SendTestEvent(request)
    await eventually(lambda: len(receiver.requests) == before + len(names))
    return receiver.requests[before:]


def verifies(secret: str, request: Received) -> bool:
    """
    Tell whether the Python library accepts a request.
    """
    try:
        Webhook(secret).verify(request.body.decode(), headers_of(request))
    except WebhookVerificationError:
        return False
    return True


def headers_of(request: Received) -> dict[str, str]:
    """
    Return the headers of a request by their names in lower case.
    """
    return {name.lower(): value for name, value in request.headers.items()}


def javascript_verifies(modules: Path, secret: str, requests: Sequence[Received]) -> None:
    """
    Let the JavaScript library verify all requests.
    """
    rows = [[secret, it.body.decode(), headers_of(it)] for it in requests]
    done = subprocess.run(
        [program("node"), "-e", PROGRAM],
        input=json.dumps(rows).encode(),
        env={"NODE_PATH": str(modules)},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()


async def test_one_key_signs_a_whole_shop(pair: Pair, receiver: Receiver, modules: Path) -> None:
    """
    During the grace both secrets verify, after a rotation without one the new secret alone; each
    request says which subscription it belongs to.
    """
    settings = owner_settings_pb2.OwnerSettings(
        name=f"{OWNER}/settings", features=[catalogue_pb2.OWNER_FEATURE_INVENTORY_MIRROR]
    )
    await pair.config.UpdateOwnerSettings(pb.UpdateOwnerSettingsRequest(settings=settings))
    given: Any = {"display_name": "shop"}
    key = await pair.config.CreateSigningKey(
        signing_key_pb2.CreateSigningKeyRequest(
            parent=OWNER, signing_key=signing_key_pb2.SigningKey(**given)
        )
    )
    requests = wanted(receiver, key.name)
    made = await pair.config.BatchCreateSubscriptions(
        pb.BatchCreateSubscriptionsRequest(parent=OWNER, requests=requests)
    )
    names = [it.name for it in made.subscriptions]
    assert len(names) == 34

    first = await sent(pair, receiver, names)
    assert all(verifies(key.secret, it) for it in first)
    javascript_verifies(modules, key.secret, first)
    ids = {headers_of(it)["x-shipedge-subscription-id"] for it in first}
    assert ids == {name.rpartition("/")[2] for name in names}

    new = await rotated(pair, key.name, timedelta(hours=1))
    second = await sent(pair, receiver, names)
    for secret in (key.secret, new):
        assert all(verifies(secret, it) for it in second)
        javascript_verifies(modules, secret, second)

    newest = await rotated(pair, key.name, timedelta())
    third = await sent(pair, receiver, names[:3])
    assert all(verifies(newest, it) for it in third)
    javascript_verifies(modules, newest, third)
    assert not any(verifies(new, it) for it in third)


async def rotated(pair: Pair, name: str, grace: timedelta) -> str:
    """
    Rotate a signing key; return its new secret.
    """
    period = Duration()
    period.FromTimedelta(grace)
    request = signing_key_pb2.RotateSigningKeyRequest(name=name, grace_period=period)
    answer = await pair.config.RotateSigningKey(request)
    return str(answer.secret)
