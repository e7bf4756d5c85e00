"""
Calls that go on during an upgrade, with a ledger of what was answered.

Nothing is repeated but what was refused with `UNAVAILABLE`, or got no answer until its deadline;
anything else ends the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import TypeVar

import grpc

from shipedge.webhooks.config.v1 import (
    config_service_pb2,
    config_service_pb2_grpc,
    subscription_pb2,
)
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2 as pb
from shipedge.webhooks.dispatch.v1 import publisher_service_pb2_grpc
from shipedge.webhooks.events.v1 import event_pb2
from tests.crash.stage import shipped

AnswerT = TypeVar("AnswerT")

EVENTS_A_SECOND = 200
BATCH = 10
CONNECTIONS = 4
ACCOUNT = 100
RETRY_SECONDS = 0.2
CALL_SECONDS, ANSWERED_SECONDS = 10.0, 90.0
"""
How long one call may take, and how long until it was repeated with success.
"""

NEW_EACH_SECONDS = 1.0

# What an upgrade does to calls shows only if channels repeat nothing by themselves.
_OPTIONS = (
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


@dataclass
class Traffic:
    """
    A publisher and an operator, who call through the balancers of both services.

    *acknowledged* has the ids of events; *refused* counts what `UNAVAILABLE` was repeated for, by
    the message, and *unanswered* the calls whose deadline passed. *wanted* has the paths that
    events of new subscriptions must arrive at.
    """

    config: str
    dispatch: str
    receiver: str
    acknowledged: set[str] = field(default_factory=set)
    wanted: set[str] = field(default_factory=set)
    refused: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0

    async def publish_on(self) -> None:
        """
        Publish 200 events a second in batches until cancelled; the last ones get their answers.
        """
        channels = [
            grpc.aio.insecure_channel(self.dispatch, options=_OPTIONS) for _ in range(CONNECTIONS)
        ]
        stubs = [publisher_service_pb2_grpc.PublisherServiceStub(it) for it in channels]
        loop = asyncio.get_running_loop()
        began = loop.time()
        async with asyncio.TaskGroup() as calls:
            try:
                for number in count():
                    events = [shipped(f"event-{number}-{at}", ACCOUNT) for at in range(BATCH)]
                    calls.create_task(self._publish(stubs[number % CONNECTIONS], events))
                    due = began + (number + 1) * BATCH / EVENTS_A_SECOND
                    await asyncio.sleep(max(0.0, due - loop.time()))
            except asyncio.CancelledError:
                pass
        for channel in channels:
            await channel.close()

    async def configure_on(self) -> None:
        """
        Create a subscription a second for an account of its own, and publish an event to it as
        soon as it is answered, until cancelled.
        """
        options = [*_OPTIONS]
        async with (
            grpc.aio.insecure_channel(self.config, options=options) as config,
            grpc.aio.insecure_channel(self.dispatch, options=options) as dispatch,
        ):
            creator = config_service_pb2_grpc.ConfigServiceStub(config)
            publisher = publisher_service_pb2_grpc.PublisherServiceStub(dispatch)
            for number in count(ACCOUNT + 1):
                step = asyncio.ensure_future(self._one_more(creator, publisher, number))
                try:
                    await asyncio.shield(step)
                    await asyncio.sleep(NEW_EACH_SECONDS)
                except asyncio.CancelledError:
                    await step
                    return

    async def _one_more(
        self,
        creator: config_service_pb2_grpc.ConfigServiceAsyncStub,
        publisher: publisher_service_pb2_grpc.PublisherServiceAsyncStub,
        account: int,
    ) -> None:
        await self.create(creator, account, f"/new-{account}")
        await self._publish(publisher, [shipped(f"new-{account}", account)])
        self.wanted.add(f"/new-{account}")

    async def create(
        self, creator: config_service_pb2_grpc.ConfigServiceAsyncStub, account: int, path: str
    ) -> None:
        """
        Create a subscription whose requests arrive at *path*.
        """
        request = config_service_pb2.CreateSubscriptionRequest(
            parent=f"accounts/{account}",
            request_id=f"00000000-0000-4000-8000-{account:012}",
            subscription=subscription_pb2.Subscription(
                event_type="orders/shipped",
                payload_version="v2",
                url=f"{self.receiver}{path}",
                status=subscription_pb2.Subscription.STATUS_ACTIVE,
            ),
        )
        await self._repeated(lambda: creator.CreateSubscription(request, timeout=CALL_SECONDS))

    async def _publish(
        self,
        stub: publisher_service_pb2_grpc.PublisherServiceAsyncStub,
        events: list[event_pb2.Event],
    ) -> None:
        request = pb.PublishEventsRequest(events=events)
        answer = await self._repeated(lambda: stub.PublishEvents(request, timeout=CALL_SECONDS))
        for event, result in zip(events, answer.results, strict=True):
            assert result.HasField("accepted"), result
            self.acknowledged.add(event.event_id)

    async def _repeated(self, call: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        async with asyncio.timeout(ANSWERED_SECONDS):
            while True:
                try:
                    return await call()
                except grpc.aio.AioRpcError as error:
                    if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
                        self.unanswered += 1
                        continue
                    if error.code() is not grpc.StatusCode.UNAVAILABLE:
                        raise
                    said = str(error.details()).partition(":")[0]
                    self.refused[said] = self.refused.get(said, 0) + 1
                    await asyncio.sleep(RETRY_SECONDS)
