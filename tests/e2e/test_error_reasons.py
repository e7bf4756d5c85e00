"""
Every reason of the contract, provoked: its code, its domain and the keys of its metadata are those
that `error_reason.proto` documents.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from google.protobuf.descriptor import MethodDescriptor

from shipedge.webhooks.config.v1.subscription_pb2 import CustomHeader
from tests.contract.test_field_behaviours import required_of
from tests.support.loops import BACKEND
from tests.support.pair import environment_of, running_pair
from tests.support.provocations import config_service, dispatch_service, gate, incomplete
from tests.support.provocations.documented import documented, names, seen, violations
from tests.support.provocations.scene import SETTINGS, Scene, prepared, shipped, status_of
from tests.support.receivers import answering, https_receiver

pytestmark = pytest.mark.anyio

BACKLOG_FULL = "BACKLOG_FULL"
DOCUMENTED = documented()


@pytest.fixture(scope="module")
def anyio_backend() -> object:
    """
    Run all tests of this module on one event loop, because they share a pair.
    """
    return BACKEND


@pytest.fixture(scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    """
    Yield a pair with resources in all the states that calls are refused for.
    """
    async with https_receiver(answering(200), host="127.0.0.1") as receiver:
        environment = environment_of(tmp_path_factory.mktemp("pair"), receiver, **SETTINGS)
        async with running_pair(environment) as pair:
            yield await prepared(pair, receiver.url)


def test_each_reason_is_provoked() -> None:
    """
    Each reason stands in exactly one of the tables of this module.
    """
    tables = [config_service.CALLS, dispatch_service.CALLS, dispatch_service.EVENTS, gate.CALLS]
    provoked = [BACKLOG_FULL, *(reason for table in tables for reason in table)]

    assert sorted(provoked) == sorted(names())


@pytest.mark.parametrize("reason", config_service.CALLS)
async def test_config_service(scene: Scene, reason: str) -> None:
    """
    The config service refuses calls as documented.
    """
    status = await status_of(config_service.CALLS[reason](scene))

    assert seen(status) == (reason, DOCUMENTED[reason])


@pytest.mark.parametrize("reason", dispatch_service.CALLS)
async def test_dispatch_service(scene: Scene, reason: str) -> None:
    """
    The dispatch service refuses calls as documented.
    """
    status = await status_of(dispatch_service.CALLS[reason](scene))

    assert seen(status) == (reason, DOCUMENTED[reason])


@pytest.mark.parametrize("reason", dispatch_service.EVENTS)
async def test_events_of_a_batch(scene: Scene, reason: str) -> None:
    """
    Events are refused by themselves as documented.
    """
    status = await dispatch_service.result(scene, dispatch_service.EVENTS[reason]())

    assert seen(status) == (reason, DOCUMENTED[reason])


@pytest.mark.parametrize("reason", gate.CALLS)
async def test_gate(reason: str) -> None:
    """
    Calls are refused before their method, or end in spite of it, as documented.
    """
    assert seen(await gate.CALLS[reason]()) == (reason, DOCUMENTED[reason])


async def test_full_backlog(tmp_path: Path) -> None:
    """
    An account that has its share of the backlog is refused as documented.
    """
    status = await gate.full_backlog(tmp_path)

    assert seen(status) == (BACKLOG_FULL, DOCUMENTED[BACKLOG_FULL])


async def test_each_fault_of_a_subscription_has_its_reason(scene: Scene) -> None:
    """
    With several faults in one request the reasons of all are there; that of the call is the first
    by the order of the fields.
    """
    subscription = config_service.wanted(
        event_type="orders/sent",
        url="ftp://example.com",
        custom_headers=[CustomHeader(name="Host", value="x")],
        description="x" * 501,
    )

    status = await status_of(config_service.created(scene, subscription))

    assert violations(status) == {
        "subscription.event_type": "EVENT_TYPE_UNKNOWN",
        "subscription.url": "URL_INVALID",
        "subscription.custom_headers[0].name": "HEADER_INVALID",
        "subscription.description": "FIELD_INVALID",
    }
    assert seen(status)[0] == "EVENT_TYPE_UNKNOWN"


async def test_each_fault_of_a_preview_has_its_reason(scene: Scene) -> None:
    """
    So it is with an event that is previewed in a version that is not offered.
    """
    event = shipped("previewed")
    event.order_status_changed.order.ClearField("id")

    status = await status_of(
        dispatch_service.previewed(scene, "orders/shipped", version="v9", event=event)
    )

    assert violations(status) == {
        "payload_version": "PAYLOAD_VERSION_UNKNOWN",
        "event.order_status_changed.order.id": "EVENT_INVALID",
    }


@pytest.mark.parametrize("lacking", incomplete.LACKING, ids=lambda it: f"{it.method}-{it.path}")
async def test_resource_without_a_required_field(scene: Scene, lacking: incomplete.Lacking) -> None:
    """
    A resource without a field that the contract declares required is refused, and named.
    """
    status = await status_of(incomplete.called_without(scene, lacking))

    assert lacking.path in violations(status)


@pytest.mark.parametrize(
    ("package", "method"),
    [(package, it) for package, methods in incomplete.METHODS.items() for it in methods],
    ids=lambda it: it if isinstance(it, str) else it.name,
)
async def test_request_without_its_required_fields(
    scene: Scene, package: str, method: MethodDescriptor
) -> None:
    """
    An empty request of a method that has required fields is refused, and names one of them.
    """
    status = await status_of(incomplete.called_empty(scene, package, method))

    named = {re.split(r"[.\[]", field)[0] for field in violations(status)}
    assert named, status
    assert named <= required_of(method.input_type)
