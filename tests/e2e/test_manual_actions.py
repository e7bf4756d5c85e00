"""
Manual actions on deliveries: resend, cancel, watch, erase.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from dispatch_service.payloads import example_event
from service_runtime.rpc.status import read_error
from shipedge.webhooks.dispatch.v1 import (
    attempt_pb2,
    delivery_pb2,
    dispatch_admin_service_pb2,
    dispatch_admin_service_pb2_grpc,
    resend_job_pb2,
)
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from shipedge.webhooks.events.v1 import event_pb2
from tests.support.pair import DISPATCH, PATIENCE_SECONDS, Pair, environment_of, running_pair
from tests.support.receivers import Receiver, Switch, https_receiver

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
Delivery = delivery_pb2.Delivery
ResendJob = resend_job_pb2.ResendJob


@pytest.fixture
def switch() -> Switch:
    """
    Return a script that refuses everything until its status is changed.
    """
    return Switch(500)


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
    Yield both services with a subscription to that receiver.
    """
    async with running_pair(environment_of(tmp_path, refusing)) as running:
        made = await running.subscribe(refusing.url, "orders/shipped", "v2", retry_seconds=[1])
        await running.known(made.name)
        yield running


def shipped(event_id: str) -> event_pb2.Event:
    """
    Make the documented shipped order under another id.
    """
    event = example_event("orders/shipped")
    event.event_id = event_id
    return event


async def in_state(pair: Pair, state: Delivery.State.ValueType, count: int) -> list[Delivery]:
    """
    Wait until *count* deliveries are in *state*.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = [it for it in await pair.log_of() if it.state == state]
            if len(found) == count:
                return found
            await asyncio.sleep(0.05)


async def ended(pair: Pair, job: ResendJob) -> ResendJob:
    """
    Wait until a job has ended.
    """
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            found = await pair.deliveries.GetResendJob(pb.GetResendJobRequest(name=job.name))
            if found.state != ResendJob.STATE_RUNNING:
                return found
            await asyncio.sleep(0.05)


async def test_job_resends_all_failed_deliveries(pair: Pair, switch: Switch) -> None:
    """
    A resend job sends failed deliveries again and reports its progress.

    It can be previewed; the same request id gives the same job.
    """
    await pair.publish(*(shipped(f"e{n}") for n in range(5)))
    await in_state(pair, Delivery.STATE_FAILED, 5)
    request = pb.ResendDeliveriesRequest(parent=OWNER, validate_only=True)
    counted = await pair.deliveries.ResendDeliveries(request)
    assert (counted.total_count, counted.name) == (5, "")
    assert counted.state == ResendJob.STATE_VALIDATED
    switch.status = 200

    request = pb.ResendDeliveriesRequest(
        parent=OWNER, request_id="0190f3a0-0000-7000-8000-000000000000"
    )
    job = await pair.deliveries.ResendDeliveries(request)
    again = await pair.deliveries.ResendDeliveries(request)

    assert again.name == job.name
    done = await ended(pair, job)
    assert (done.state, done.succeeded_count, done.skipped_count) == (
        ResendJob.STATE_SUCCEEDED,
        5,
        0,
    )
    await in_state(pair, Delivery.STATE_SUCCEEDED, 5)
    listed = await pair.deliveries.ListResendJobs(pb.ListResendJobsRequest(parent=OWNER))
    assert [it.name for it in listed.resend_jobs] == [job.name]
    of_all = await pair.deliveries.ListResendJobs(pb.ListResendJobsRequest(parent="accounts/-"))
    assert of_all.resend_jobs == listed.resend_jobs
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await pair.deliveries.CancelResendJob(pb.CancelResendJobRequest(name=job.name))
    assert read_error(raised.value).reason == "RESEND_JOB_ENDED"


async def test_delivery_is_cancelled_and_resent(pair: Pair, switch: Switch) -> None:
    """
    A pending delivery can be cancelled, and resent afterwards.
    """
    await pair.publish(shipped("cancelled"))
    (delivery,) = await in_state(pair, Delivery.STATE_PENDING, 1)

    await pair.deliveries.CancelDelivery(pb.CancelDeliveryRequest(name=delivery.name))

    (cancelled,) = await in_state(pair, Delivery.STATE_CANCELLED, 1)
    assert cancelled.HasField("end_time")
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await pair.deliveries.CancelDelivery(pb.CancelDeliveryRequest(name=delivery.name))
    assert read_error(raised.value).reason == "DELIVERY_ENDED"
    switch.status = 200
    await pair.deliveries.ResendDelivery(pb.ResendDeliveryRequest(name=delivery.name))
    await in_state(pair, Delivery.STATE_SUCCEEDED, 1)


async def watched(
    pair: Pair, count: int, cursor: str = "", where: str = ""
) -> tuple[list[attempt_pb2.Attempt], str]:
    """
    Watch until *count* attempts arrive; return them and the last cursor.
    """
    found: list[attempt_pb2.Attempt] = []
    request = pb.WatchAttemptsRequest(parent=OWNER, cursor=cursor, filter=where)
    async with asyncio.timeout(PATIENCE_SECONDS):
        call = pair.deliveries.WatchAttempts(request)
        async for answer in call:
            found += answer.attempts
            cursor = answer.cursor
            if len(found) >= count:
                call.cancel()
                return found, cursor
    raise AssertionError("the stream ended")


async def test_attempts_are_watched_from_a_cursor_on(pair: Pair) -> None:
    """
    A stream continues at a cursor without gap or repetition; a cursor requires its own filter.
    """
    _, cursor = await watched(pair, 0)
    await pair.publish(shipped("first"), shipped("second"))
    found, cursor = await watched(pair, 4, cursor)
    assert {it.event for it in found} == {f"{OWNER}/events/first", f"{OWNER}/events/second"}

    await pair.publish(shipped("third"))

    found, _ = await watched(pair, 1, cursor)
    assert [it.event for it in found] == [f"{OWNER}/events/third"]
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await watched(pair, 1, cursor, "status = FAILURE")
    assert read_error(raised.value).reason == "CURSOR_INVALID"


async def test_failures_of_all_accounts_are_listed(pair: Pair) -> None:
    """
    Attempts and deliveries that failed are listed over all accounts; without the filter that this
    needs, the call is refused and says so.
    """
    await pair.publish(shipped("e1"))
    (failed,) = await in_state(pair, Delivery.STATE_FAILED, 1)
    everywhere = pb.ListDeliveriesRequest(parent="accounts/-", filter="state = FAILED")
    log = pb.ListAttemptsRequest(
        parent="accounts/-/deliveries/-", filter="status != SUCCESS", page_size=1
    )

    deliveries = await pair.deliveries.ListDeliveries(everywhere)
    first = await pair.deliveries.ListAttempts(log)
    log.page_token = first.next_page_token
    second = await pair.deliveries.ListAttempts(log)

    assert [it.name for it in deliveries.deliveries] == [failed.name]
    assert [it.number for it in [*first.attempts, *second.attempts]] == [2, 1]
    assert not second.next_page_token
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await pair.deliveries.ListDeliveries(pb.ListDeliveriesRequest(parent="accounts/-"))
    assert "state = FAILED" in (refused.value.details() or "")


async def test_customer_is_erased(pair: Pair, switch: Switch) -> None:
    """
    After erasure by e-mail the payloads are gone and cannot be resent; the log keeps the attempts.
    """
    event = shipped("personal")
    event.order_status_changed.order.customer.email = "Ann@Example.com"
    await pair.publish(event, shipped("other"))
    found = await in_state(pair, Delivery.STATE_FAILED, 2)
    admin = dispatch_admin_service_pb2_grpc.DispatchAdminServiceStub(pair.channels[DISPATCH])

    answer = await admin.EraseCustomerData(
        dispatch_admin_service_pb2.EraseCustomerDataRequest(
            parent=OWNER, customer_email=" ann@example.com"
        )
    )

    assert answer.erased_event_count == 1
    audit = await admin.ListAuditEntries(
        dispatch_admin_service_pb2.ListAuditEntriesRequest(parent=OWNER)
    )
    ended, started = [
        {it.field: it.after for it in entry.changes}
        for entry in audit.audit_entries
        if entry.method == "EraseCustomerData"
    ]
    assert ended == {**started, "erased_event_count": "1"}
    assert list(started) == ["customer_email"]
    assert "ann" not in str(audit).casefold()
    erased = {it.event: it.body_erased for it in await pair.log_of()}
    assert erased == {f"{OWNER}/events/personal": True, f"{OWNER}/events/other": False}
    (personal,) = [it for it in found if it.event.endswith("personal")]
    for call in (
        pair.deliveries.ResendDelivery(pb.ResendDeliveryRequest(name=personal.name)),
        pair.deliveries.GetDeliveryBody(pb.GetDeliveryBodyRequest(name=personal.name)),
    ):
        with pytest.raises(grpc.aio.AioRpcError) as raised:
            await call
        assert read_error(raised.value).reason == "BODY_ERASED"
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await admin.EraseCustomerData(
            dispatch_admin_service_pb2.EraseCustomerDataRequest(parent=OWNER)
        )
    assert read_error(raised.value).faults[0].field == "subject"


async def test_who_reads_payloads_is_recorded(pair: Pair, switch: Switch) -> None:
    """
    The audit log has an entry for each payload and each exchange that was shown, and for nothing
    that was not.
    """
    switch.status = 200
    await pair.publish(shipped("read"))
    (delivery,) = await in_state(pair, Delivery.STATE_SUCCEEDED, 1)
    admin = dispatch_admin_service_pb2_grpc.DispatchAdminServiceStub(pair.channels[DISPATCH])
    attempt = pb.GetAttemptRequest(name=f"{delivery.name}/attempts/1")

    body = pb.GetDeliveryBodyRequest(name=delivery.name)
    assert (await pair.deliveries.GetDeliveryBody(body)).body
    assert (await pair.deliveries.GetAttempt(attempt)).request.headers
    attempt.name = f"{delivery.name}/attempts/2"
    with pytest.raises(grpc.aio.AioRpcError):
        await pair.deliveries.GetAttempt(attempt)

    request = dispatch_admin_service_pb2.ListAuditEntriesRequest(parent=OWNER)
    recorded = (await admin.ListAuditEntries(request)).audit_entries
    assert [(it.method, it.resource, it.caller) for it in recorded] == [
        ("GetAttempt", f"{delivery.name}/attempts/1", "callers/development"),
        ("GetDeliveryBody", delivery.name, "callers/development"),
    ]
    verified = await admin.VerifyAuditLog(dispatch_admin_service_pb2.VerifyAuditLogRequest())
    assert verified.complete
    assert not verified.HasField("fault")
    assert verified.verified_count == verified.last_position == recorded[0].position
