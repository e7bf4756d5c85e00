"""
The payload service: previews, differences, test events and explanations.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from jsonschema import Draft202012Validator

from dispatch_service.payloads import CONTRACTS, example_body, example_event
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_service_pb2, event_type_pb2
from shipedge.webhooks.dispatch.v1 import (
    delivery_service_pb2,
    dispatch_admin_service_pb2,
    dispatch_admin_service_pb2_grpc,
    payload_service_pb2_grpc,
)
from shipedge.webhooks.dispatch.v1 import payload_service_pb2 as pb
from tests.e2e.test_pair import decided, shipped
from tests.support.loops import BACKEND
from tests.support.pair import (
    DISPATCH,
    PATIENCE_SECONDS,
    Pair,
    Subscription,
    environment_of,
    eventually,
    running_pair,
)
from tests.support.receivers import Receiver, answering, https_receiver

pytestmark = pytest.mark.anyio

Reason = pb.Explanation.Reason
Verdict = pb.Explanation.Verdict
Kind = pb.FieldDifference.Kind


@pytest.fixture(scope="module")
def anyio_backend() -> object:
    """
    Run all tests of this module on one event loop, because they share a pair.
    """
    return BACKEND


@pytest.fixture(scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    """
    Yield a pair for tests that change nothing.
    """
    async with https_receiver(answering(200), host="127.0.0.1") as receiver:
        async with running_pair(environment_of(tmp_path_factory.mktemp("pair"), receiver)) as pair:
            yield pair


def payloads(pair: Pair) -> Any:
    return payload_service_pb2_grpc.PayloadServiceStub(pair.channels[DISPATCH])


async def refused(call: Any) -> Any:
    """
    Return the error of a call that must fail.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return read_error(raised.value)


async def explained(pair: Pair, event_id: str, **more: Any) -> dict[str, pb.Explanation]:
    """
    Explain an event of account 100; return the explanations by subscription id.
    """
    request = pb.ExplainEventRequest(name=f"accounts/100/events/{event_id}", **more)
    answer = await payloads(pair).ExplainEvent(request)
    return {it.subscription.rpartition("/")[2]: it for it in answer.explanations}


async def test_event_types_come_with_schema_and_example(shared: Pair) -> None:
    """
    Every payload version has a schema and an example, and the example is the rendered one.
    """
    listed = await shared.config.ListEventTypes(
        config_service_pb2.ListEventTypesRequest(page_size=1000)
    )
    seen = 0
    for event_type in listed.event_types:
        found: event_type_pb2.EventType = await shared.config.GetEventType(
            config_service_pb2.GetEventTypeRequest(name=event_type.name)
        )
        for version in found.payload_versions:
            example = json.loads(version.example)
            # The schemas themselves are judged by a test of theirs, which takes longer.
            Draft202012Validator(json.loads(version.json_schema)).validate(example)
            assert version.example.encode() == example_body(event_type.type, version.version)
            assert example["event"] == version.topic
            seen += 1
    assert seen == len(CONTRACTS)


async def test_preview_is_what_is_sent(pair: Pair, receiver: Receiver) -> None:
    """
    A preview has the bytes that the receiver gets, and they satisfy the schema.
    """
    event = shipped("previewed")
    preview = await payloads(pair).PreviewPayload(
        pb.PreviewPayloadRequest(event=event, event_type="orders/shipped", payload_version="v3")
    )
    Draft202012Validator(json.loads(preview.json_schema)).validate(json.loads(preview.body))
    assert preview.text.encode() == preview.body
    assert not preview.over_100_kb

    await subscribed(pair, receiver, "orders/shipped", "v3")
    await pair.publish(event)
    await eventually(lambda: preview.body in [it.body for it in receiver.requests])


async def subscribed(pair: Pair, receiver: Receiver, event_type: str, version: str) -> Subscription:
    """
    Create a subscription; wait until the dispatch service knows it.
    """
    made = await pair.subscribe(receiver.url, event_type, version)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await payloads(pair).SendTestEvent(pb.SendTestEventRequest(subscription=made.name))
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
            else:
                return made


async def test_preview_says_what_is_wrong(shared: Pair) -> None:
    """
    An invalid event, an unknown event type or version, and another event type are refused.

    The error names the allowed values.
    """
    event = shipped("refused")
    preview = payloads(shared).PreviewPayload

    def asked(event_type: str, version: str) -> pb.PreviewPayloadRequest:
        return pb.PreviewPayloadRequest(event=event, event_type=event_type, payload_version=version)

    assert (await refused(preview(asked("orders/sent", "v1")))).reason == "EVENT_TYPE_UNKNOWN"
    version = await refused(preview(asked("orders/shipped", "v9")))
    assert (version.reason, version.metadata["offered"]) == (
        "PAYLOAD_VERSION_UNKNOWN",
        "v1, v2, v3",
    )
    other = await refused(preview(asked("orders/canceled", "v1")))
    assert (other.code, other.reason) == ("FAILED_PRECONDITION", "EVENT_TYPE_NOT_RAISED")
    event.order_status_changed.order.id = 0
    bad = await refused(preview(asked("orders/shipped", "v1")))
    assert (bad.reason, bad.faults[0].field) == (
        "EVENT_INVALID",
        "event.order_status_changed.order.id",
    )


async def test_versions_are_compared_on_the_customers_event(shared: Pair) -> None:
    """
    The differences between versions show values of the given event, otherwise of the example.
    """
    event = shipped("compared")
    event.order_status_changed.order.number = "ORD-777"
    request = pb.DiffPayloadVersionsRequest(
        event=event, event_type="orders/shipped", from_version="v2", to_version="v3"
    )
    answer = await payloads(shared).DiffPayloadVersions(request)
    number = next(found for found in answer.differences if found.from_path == "order_number")
    assert number.kind == Kind.KIND_RENAMED
    assert number.to_path == "data.order.number"
    assert number.from_value == number.to_value == '"ORD-777"'
    assert json.loads(answer.from_text)["order_number"] == "ORD-777"

    request.ClearField("event")
    example = await payloads(shared).DiffPayloadVersions(request)
    assert example.from_text.encode() == example_body("orders/shipped", "v2")


@pytest.mark.parametrize("owner", ["accounts/100", "warehouses/wh1"])
async def test_test_event_is_marked(pair: Pair, receiver: Receiver, owner: str) -> None:
    """
    A test event goes to one subscription, and header and log mark it.
    """
    made = await pair.subscribe(receiver.url, "orders/shipped", "v2", owner=owner)
    await pair.subscribe(receiver.url, "orders/shipped", "v1", owner=owner)
    request = pb.SendTestEventRequest(subscription=made.name, request_id=str(uuid.uuid4()))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                sent = await payloads(pair).SendTestEvent(request)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
            else:
                break
    again = await payloads(pair).SendTestEvent(request)

    assert again.delivery == sent.delivery
    await eventually(lambda: len(receiver.requests) == 1)
    (received,) = receiver.requests
    assert received.headers["x-shipedge-test"] == "true"
    assert json.loads(received.body)["event"] == "orders/shipped_v2"
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (logged := await pair.attempts(owner)):
            await asyncio.sleep(0.05)
    assert [it.trigger for it in logged] == [type(logged[0]).TRIGGER_TEST]
    (delivery,) = await pair.log_of(owner)
    assert (delivery.name, delivery.test) == (sent.delivery, True)
    admin = dispatch_admin_service_pb2_grpc.DispatchAdminServiceStub(pair.channels[DISPATCH])
    audited = await admin.ListAuditEntries(
        dispatch_admin_service_pb2.ListAuditEntriesRequest(parent=owner)
    )
    assert [(it.method, it.resource) for it in audited.audit_entries] == [
        ("SendTestEvent", made.name)
    ]


async def test_own_event_is_sent_as_a_test(pair: Pair, receiver: Receiver) -> None:
    """
    One that is given, and one that was accepted before: to the one subscription, with its filter
    and order left aside, under an id of its own.
    """
    made = await subscribed(pair, receiver, "orders/shipped", "v2")
    send = payloads(pair).SendTestEvent
    given = shipped("not used")
    given.order_status_changed.order.number = "MINE-1"
    await send(pb.SendTestEventRequest(subscription=made.name, event=given))
    given.event_id, given.order_status_changed.order.number = "kept", "MINE-2"
    await pair.publish(given)
    again = pb.SendTestEventRequest(
        subscription=made.name, accepted_event="accounts/100/events/kept"
    )
    await send(again)

    await eventually(lambda: len(receiver.requests) == 4)
    sent = [it for it in receiver.requests if b"MINE" in it.body]
    tests = [it for it in sent if it.headers.get("x-shipedge-test") == "true"]
    tests.sort(key=lambda it: b"MINE-2" in it.body)
    assert [json.loads(it.body)["order_number"] for it in tests] == ["MINE-1", "MINE-2"]
    assert all(it.headers["x-shipedge-event-id"].startswith("test_") for it in tests)
    (published,) = [it for it in sent if it not in tests]
    assert published.body == tests[1].body
    admin = dispatch_admin_service_pb2_grpc.DispatchAdminServiceStub(pair.channels[DISPATCH])
    audited = await admin.ListAuditEntries(
        dispatch_admin_service_pb2.ListAuditEntriesRequest(parent="accounts/100", page_size=1)
    )
    (change,) = audited.audit_entries[0].changes
    assert (change.field, change.after) == ("accepted_event", "accounts/100/events/kept")

    again.accepted_event = "accounts/100/events/nobody"
    assert (await refused(send(again))).reason == "EVENT_NOT_FOUND"
    again.accepted_event = "kept"
    assert [it.field for it in (await refused(send(again))).faults] == ["accepted_event"]
    given.account_id = 200
    again.event.CopyFrom(given)
    assert [it.field for it in (await refused(send(again))).faults] == ["event.account_id"]
    await admin.EraseCustomerData(
        dispatch_admin_service_pb2.EraseCustomerDataRequest(parent="accounts/100", event_id="kept")
    )
    again.accepted_event = "accounts/100/events/kept"
    assert (await refused(send(again))).reason == "BODY_ERASED"


async def test_test_event_needs_an_active_subscription(pair: Pair, receiver: Receiver) -> None:
    """
    An Inactive or unknown subscription gets no test event.
    """
    made = await subscribed(pair, receiver, "orders/shipped", "v2")
    await pair.set_status(made.name, Subscription.STATUS_INACTIVE)
    request = pb.SendTestEventRequest(subscription=made.name)
    await decided(pair, made.name, Reason.REASON_INACTIVE)
    assert (await refused(payloads(pair).SendTestEvent(request))).reason == "SUBSCRIPTION_INACTIVE"
    request.subscription = "accounts/100/subscriptions/nobody"
    assert (await refused(payloads(pair).SendTestEvent(request))).reason == "SUBSCRIPTION_NOT_FOUND"


async def test_event_is_explained(pair: Pair, receiver: Receiver) -> None:
    """
    The explanation of a subscription is its delivery, or the reason why there is none.
    """
    sent = await subscribed(pair, receiver, "orders/shipped", "v2")
    other = await subscribed(pair, receiver, "orders/canceled", "v2")
    inactive = await subscribed(pair, receiver, "orders/shipped", "v1")
    await pair.set_status(inactive.name, Subscription.STATUS_INACTIVE)
    await decided(pair, inactive.name, Reason.REASON_INACTIVE)
    await pair.publish(shipped("to-explain"))
    later = await subscribed(pair, receiver, "orders/shipped", "v3")

    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await explained(pair, "to-explain")
            if Verdict.VERDICT_WAITING not in {it.verdict for it in found.values()}:
                break
            await asyncio.sleep(0.05)

    reasons = {
        name: found[subscription.name.rpartition("/")[2]].reason
        for name, subscription in {
            "sent": sent,
            "other": other,
            "inactive": inactive,
            "later": later,
        }.items()
    }
    assert reasons == {
        "sent": Reason.REASON_UNSPECIFIED,
        "other": Reason.REASON_EVENT_TYPE_DIFFERS,
        "inactive": Reason.REASON_INACTIVE,
        "later": Reason.REASON_CREATED_LATER,
    }
    assert found[sent.name.rpartition("/")[2]].verdict == Verdict.VERDICT_DELIVERED
    explained_by = found[sent.name.rpartition("/")[2]].delivery
    request = delivery_service_pb2.GetDeliveryRequest(name=explained_by)
    delivery = await pair.deliveries.GetDelivery(request)
    assert (delivery.event, delivery.subscription) == ("accounts/100/events/to-explain", sent.name)
    only = await explained(pair, "to-explain", subscription=other.name)
    assert len(only) == 1
    wanted = pb.ExplainEventRequest(name="accounts/100/events/to-explain", page_size=3)
    first = await payloads(pair).ExplainEvent(wanted)
    wanted.page_token = first.next_page_token
    second = await payloads(pair).ExplainEvent(wanted)
    assert (len(first.explanations), len(second.explanations)) == (3, 1)
    assert second.next_page_token == ""
    assert "orders/shipped" in first.event_types


async def test_event_that_waits_or_failed_is_explained(pair: Pair) -> None:
    """
    Of an event whose receiver is away, the explanation is that its delivery waits, and why; then
    that it failed. A subscription that was deleted before is deleted, not absent.
    """
    gone = await pair.subscribe("https://127.0.0.1:1/gone", "orders/shipped", "v1")
    await pair.known(gone.name)
    await pair.config.DeleteSubscription(
        config_service_pb2.DeleteSubscriptionRequest(name=gone.name)
    )
    for retry_seconds, verdict in ((3600, Verdict.VERDICT_WAITING), (0, Verdict.VERDICT_FAILED)):
        schedule = [retry_seconds] if retry_seconds else [1]
        made = await pair.subscribe(
            f"https://127.0.0.1:1/{verdict}", "orders/shipped", "v2", retry_seconds=schedule
        )
        await pair.known(made.name)
        await pair.publish(shipped(f"away-{verdict}"))
        found = await concluded(pair, f"away-{verdict}", made.name, verdict)
        assert found.delivery
        assert found.detail
        after = await explained(pair, f"away-{verdict}", subscription=gone.name)
        assert [it.verdict for it in after.values()] == [Verdict.VERDICT_DELETED]


async def concluded(
    pair: Pair, event_id: str, name: str, verdict: Verdict.ValueType
) -> pb.Explanation:
    """
    Wait until the verdict on an event is *verdict*, after its first attempt.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            (found,) = (await explained(pair, event_id, subscription=name)).values()
            if found.verdict == verdict and "attempt is being" not in found.detail:
                return found
            await asyncio.sleep(0.05)


async def test_unknown_event_is_not_found(shared: Pair) -> None:
    """
    An event that was never accepted cannot be explained.
    """
    request = pb.ExplainEventRequest(name="accounts/100/events/nothing")
    assert (await refused(payloads(shared).ExplainEvent(request))).reason == "EVENT_NOT_FOUND"


async def test_every_example_raises_its_event_type(shared: Pair) -> None:
    """
    The example of each event type can be previewed in all versions.
    """
    for event_type, version in CONTRACTS:
        if event_type.startswith("webhooks/"):
            continue
        await payloads(shared).PreviewPayload(
            pb.PreviewPayloadRequest(
                event=example_event(event_type), event_type=event_type, payload_version=version
            )
        )
