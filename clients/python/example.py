"""
A webhook from its creation to its log. Needs the distribution `shipedge-webhooks-client`.

Without settings it calls the services that `make run` starts.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

from shipedge.webhooks.client.channel import connect_blocking
from shipedge.webhooks.client.errors import error_of_status
from shipedge.webhooks.config.v1 import (
    config_service_pb2,
    config_service_pb2_grpc,
    subscription_pb2,
)
from shipedge.webhooks.dispatch.v1 import (
    attempt_pb2,
    delivery_service_pb2,
    delivery_service_pb2_grpc,
    publisher_service_pb2,
    publisher_service_pb2_grpc,
)
from shipedge.webhooks.events.v1 import event_pb2, states_pb2

OWNER = "accounts/100"
ORDERS = (71, 72, 0, 73)  # an order has no id 0
CONFIG = os.environ.get("CONFIG_ADDRESS", "127.0.0.1:50051")
DISPATCH = os.environ.get("DISPATCH_ADDRESS", "127.0.0.1:50052")
URL = os.environ.get("WEBHOOK_URL", "http://127.0.0.1:9443/webhooks")
SECONDS = 30


def shipped(order: int) -> event_pb2.Event:
    """
    Return the event that an order was shipped.
    """
    event = event_pb2.Event(event_id=uuid.uuid4().hex, account_id=100)
    event.occurred_at.GetCurrentTime()
    event.order_status_changed.order.id = order
    event.order_status_changed.order.number = f"ORD-{order}"
    event.order_status_changed.order.status = states_pb2.ORDER_STATUS_SHIPPED
    event.order_status_changed.to_status = states_pb2.ORDER_STATUS_SHIPPED
    return event


def main() -> None:
    """
    Create a webhook, publish, read the error, watch and page.
    """
    with connect_blocking(CONFIG) as config, connect_blocking(DISPATCH) as dispatch:
        deliveries = delivery_service_pb2_grpc.DeliveryServiceStub(dispatch)
        webhook = create(config_service_pb2_grpc.ConfigServiceStub(config))
        print(f"webhook: {webhook}")

        # The first answer comes at once: what ends from then on is seen.
        watched = deliveries.WatchAttempts(
            delivery_service_pb2.WatchAttemptsRequest(
                parent=OWNER, filter=f'subscription = "{webhook}"'
            ),
            timeout=SECONDS,
        )
        next(watched)
        accepted = publish(publisher_service_pb2_grpc.PublisherServiceStub(dispatch))
        for attempt in first(watched, accepted):
            print(f"attempt: {attempt.event} {attempt_pb2.Attempt.Status.Name(attempt.status)}")
        watched.cancel()

        page_through(deliveries, webhook)


def create(config: config_service_pb2_grpc.ConfigServiceStub) -> str:
    """
    Create a webhook for shipped orders; return its name.
    """
    wanted = subscription_pb2.Subscription(
        event_type="orders/shipped",
        payload_version="v2",
        url=URL,
        status=subscription_pb2.Subscription.STATUS_ACTIVE,
    )
    # With an id of its own the call may be repeated: the webhook is made once.
    request = config_service_pb2.CreateSubscriptionRequest(
        parent=OWNER, subscription=wanted, request_id=str(uuid.uuid4())
    )
    return config.CreateSubscription(request, timeout=SECONDS).name


def publish(publisher: publisher_service_pb2_grpc.PublisherServiceStub) -> int:
    """
    Publish a batch with a bad event; return how many were accepted. A service that publishes all
    the time uses `shipedge.webhooks.client.publisher.Publisher`, which makes the batches itself.
    """
    events = [shipped(order) for order in ORDERS]
    request = publisher_service_pb2.PublishEventsRequest(events=events)
    accepted = 0
    for result in publisher.PublishEvents(request, timeout=SECONDS).results:
        if result.HasField("accepted"):
            accepted += 1
            print(f"accepted: {result.accepted.name}")
            continue
        error = error_of_status(result.error)
        for violation in error.violations:
            print(f"refused: {error.reason} {violation.field}: {violation.description}")
    return accepted


def first(
    answers: Iterator[delivery_service_pb2.WatchAttemptsResponse], count: int
) -> Iterator[attempt_pb2.Attempt]:
    """
    Yield as many attempts.
    """
    for answer in answers:
        for attempt in answer.attempts:
            yield attempt
            count -= 1
        if count <= 0:
            return


def page_through(deliveries: delivery_service_pb2_grpc.DeliveryServiceStub, webhook: str) -> None:
    """
    Read the log of a webhook, two attempts a page.
    """
    request = delivery_service_pb2.ListAttemptsRequest(
        parent=f"{OWNER}/deliveries/-", filter=f'subscription = "{webhook}"', page_size=2
    )
    number = 0
    while number == 0 or request.page_token:
        page = deliveries.ListAttempts(request, timeout=SECONDS)
        request.page_token = page.next_page_token
        number += 1
        print(f"page {number}: {len(page.attempts)}")


if __name__ == "__main__":
    main()
