"""
Both services as they are shipped: child processes on free ports with a
throw-away data directory.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import field_mask_pb2

from dispatch_service.payloads import example_event
from service_runtime.process import pair as processes
from shipedge.webhooks.client import channel
from shipedge.webhooks.config.v1 import (
    config_service_pb2,
    config_service_pb2_grpc,
    subscription_pb2,
)
from shipedge.webhooks.dispatch.v1 import (
    attempt_pb2,
    delivery_pb2,
    delivery_service_pb2,
    delivery_service_pb2_grpc,
    payload_service_pb2,
    payload_service_pb2_grpc,
    publisher_service_pb2,
    publisher_service_pb2_grpc,
)
from shipedge.webhooks.events.v1 import event_pb2
from tests.support import preloaded
from tests.support.databases import free_port
from tests.support.receivers import Receiver
from tests.support.templates import fill_data_directory

CONFIG, DISPATCH = "config_service", "dispatch_service"
PATIENCE_SECONDS = 60.0

Subscription = subscription_pb2.Subscription


@dataclass
class Pair:
    """
    A running pair. Its calls are those of the public API. Its services start as they are
    shipped, or *preloaded*, which is faster.
    """

    environment: dict[str, str]
    preloaded: bool = False
    children: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    channels: dict[str, grpc.aio.Channel] = field(default_factory=dict)

    def address(self, package: str) -> str:
        """
        Return where a service listens.
        """
        return processes.address_of(package, self.environment)

    async def start(self, package: str, module: str = "") -> None:
        """
        Start a service, or *module* in its place, and wait until it serves.
        """
        launch = preloaded.start if self.preloaded else processes.start
        child = await launch(module or package, self.environment)
        self.children[package] = child
        await processes.wait_serving(self.address(package), child, package)
        self.channels[package] = channel.connect(self.address(package))

    async def stop(self, package: str) -> int:
        """
        Stop a service as an operator would; return its exit code.
        """
        if package in self.channels:
            await self.channels.pop(package).close()
        return await processes.stop(self.children.pop(package))

    async def kill(self, package: str) -> None:
        """
        Kill a service.
        """
        await self.channels.pop(package).close()
        child = self.children.pop(package)
        child.kill()
        await child.wait()

    @property
    def config(self) -> config_service_pb2_grpc.ConfigServiceAsyncStub:
        """
        Return a client of the config service.
        """
        return config_service_pb2_grpc.ConfigServiceStub(self.channels[CONFIG])

    @property
    def publisher(self) -> publisher_service_pb2_grpc.PublisherServiceAsyncStub:
        """
        Return a client that publishes.
        """
        return publisher_service_pb2_grpc.PublisherServiceStub(self.channels[DISPATCH])

    @property
    def deliveries(self) -> delivery_service_pb2_grpc.DeliveryServiceAsyncStub:
        """
        Return a client of the log.
        """
        return delivery_service_pb2_grpc.DeliveryServiceStub(self.channels[DISPATCH])

    async def subscribe(
        self,
        url: str,
        event_type: str,
        version: str,
        owner: str = "accounts/100",
        *,
        retry_seconds: Sequence[int] = (),
        **more: Any,
    ) -> Subscription:
        """
        Create an Active subscription; *more* are further fields of it.
        """
        wanted = Subscription(
            event_type=event_type,
            payload_version=version,
            url=url,
            status=Subscription.STATUS_ACTIVE,
            **more,
        )
        for seconds in retry_seconds:
            wanted.retry_schedule.delays.add(seconds=seconds)
        return await self.config.CreateSubscription(
            config_service_pb2.CreateSubscriptionRequest(parent=owner, subscription=wanted)
        )

    async def known(self, *names: str) -> None:
        """
        Wait until the dispatch service knows subscriptions.
        """
        for name in names:
            await knows(self.channels[DISPATCH], name)

    async def set_status(self, name: str, status: Subscription.Status.ValueType) -> None:
        """
        Set a subscription Active or Inactive.
        """
        await self.config.UpdateSubscription(
            config_service_pb2.UpdateSubscriptionRequest(
                subscription=Subscription(name=name, status=status),
                update_mask=field_mask_pb2.FieldMask(paths=["status"]),
            )
        )

    async def publish(self, *events: event_pb2.Event) -> list[publisher_service_pb2.PublishResult]:
        """
        Publish events and return what became of each.
        """
        request = publisher_service_pb2.PublishEventsRequest(events=events)
        return list((await self.publisher.PublishEvents(request)).results)

    async def attempts(
        self, owner: str = "accounts/100", where: str = ""
    ) -> list[attempt_pb2.Attempt]:
        """
        Return the log of an owner.
        """
        request = delivery_service_pb2.ListAttemptsRequest(
            parent=f"{owner}/deliveries/-", filter=where
        )
        return list((await self.deliveries.ListAttempts(request)).attempts)

    async def all_attempts(self, owner: str = "accounts/100") -> list[attempt_pb2.Attempt]:
        """
        Return the log of an owner, of up to a thousand attempts.
        """
        request = delivery_service_pb2.ListAttemptsRequest(
            parent=f"{owner}/deliveries/-", page_size=1000
        )
        return list((await self.deliveries.ListAttempts(request)).attempts)

    async def log_of(self, owner: str = "accounts/100") -> list[delivery_pb2.Delivery]:
        """
        Return the deliveries of an owner.
        """
        request = delivery_service_pb2.ListDeliveriesRequest(parent=owner)
        return list((await self.deliveries.ListDeliveries(request)).deliveries)


def environment_of(directory: Path, receiver: Receiver, **more: str) -> dict[str, str]:
    """
    Return the settings of a pair that trusts a receiver's certificate, and whose data
    directory, `data` in *directory*, has migrated databases: that saves time.
    """
    fill_data_directory(directory / "data")
    authorities = directory / "receivers.pem"
    authorities.write_text(receiver.ca_pem)
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("SHIPEDGE_")
    }
    return {
        **inherited,
        "SHIPEDGE_ENVIRONMENT": "development",
        "SHIPEDGE_DATA_DIR": str(directory / "data"),
        "SHIPEDGE_LOG_LEVEL": "error",
        "SHIPEDGE_CONFIG_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_DISPATCH_LISTEN": f"127.0.0.1:{free_port()}",
        "SHIPEDGE_DISPATCH_RECEIVER_CA_FILE": str(authorities),
        **more,
    }


@asynccontextmanager
async def running_pair(
    environment: dict[str, str], *, as_shipped: bool = False
) -> AsyncIterator[Pair]:
    """
    Run both services, started preloaded or *as_shipped*; stop whatever still runs at the end.
    """
    config = environment["SHIPEDGE_CONFIG_LISTEN"]
    named = {"SHIPEDGE_DISPATCH_CONFIG_ADDRESS": config, **environment}
    pair = Pair(named, preloaded=not as_shipped)
    try:
        # The dispatch service waits for the other one by itself.
        await asyncio.gather(pair.start(CONFIG), pair.start(DISPATCH))
        yield pair
    finally:
        for package in (DISPATCH, CONFIG):
            if package in pair.children:
                await pair.stop(package)


async def knows(dispatch: grpc.aio.Channel, name: str) -> None:
    """
    Wait until a dispatch service knows a subscription; nothing is sent to it.
    """
    owner = name.partition("/subscriptions/")[0]
    event = _unwanted(owner)
    publisher = publisher_service_pb2_grpc.PublisherServiceStub(dispatch)
    await publisher.PublishEvents(publisher_service_pb2.PublishEventsRequest(events=[event]))
    request = payload_service_pb2.ExplainEventRequest(
        name=f"accounts/{event.account_id}/events/{event.event_id}", subscription=name
    )
    stub = payload_service_pb2_grpc.PayloadServiceStub(dispatch)
    async with asyncio.timeout(PATIENCE_SECONDS):
        deleted = payload_service_pb2.Explanation.VERDICT_DELETED
        while [it.verdict for it in (await stub.ExplainEvent(request)).explanations] == [deleted]:
            await asyncio.sleep(0.02)


def _unwanted(owner: str) -> event_pb2.Event:
    """
    Make an event of an owner that nothing is sent of: no test subscribes to its type.
    """
    event = example_event("returns/unexpected_received")
    kind, _, number = owner.partition("/")
    if kind == "accounts":
        event.account_id = int(number)
    else:
        event.warehouses[:] = [number]
    event.event_id = f"unwanted-{number}"
    return event


async def eventually(holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> None:
    """
    Wait until a condition holds. Raises `TimeoutError` after a minute, or after *seconds*.
    """
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)
