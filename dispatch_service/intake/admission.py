"""
What stands between a published event and its rows: it is checked, routed, rendered once
for each event type and version, and sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from dispatch_service.delivery.endpoint_queues import EndpointQueues
from dispatch_service.domain.errors import EventInvalid
from dispatch_service.domain.work import EndpointKey
from dispatch_service.intake.prepare import Prepared, Preparer, prepare_waiting
from dispatch_service.payloads import check
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.sealing import DayKeys, Sealer
from shipedge.webhooks.events.v1 import event_pb2


class Admission:
    """
    Admits events with the subscriptions as they are now, and keeps places in memory for
    their deliveries.
    """

    def __init__(
        self, subscriptions: SubscriptionIndex, keys: DayKeys, endpoint_queues: EndpointQueues
    ) -> None:
        self._subscriptions = subscriptions
        self._preparer = Preparer(subscriptions)
        self._keys = keys
        self._endpoint_queues = endpoint_queues

    def refusal(self, event: event_pb2.Event, content: bytes) -> Exception | None:
        """
        Say why an event cannot be published, None where it can; *content* is its
        deterministic serialisation. A fault of ours concerns this event alone.
        """
        try:
            faults = check(event, content)
        except Exception as error:  # noqa: BLE001 - it must not keep others from being stored
            return error
        return EventInvalid(faults) if faults else None

    async def sealer(self) -> Sealer:
        """
        Return what seals today. Raises what `DayKeys.today` raises.
        """
        return await self._keys.today()

    def prepare(
        self, events: Sequence[event_pb2.Event], contents: Sequence[bytes], sealer: Sealer
    ) -> list[Prepared]:
        """
        Work out all that follows from events that can be published.

        Without a snapshot of the subscriptions they are stored to be matched later.
        """
        if not self._subscriptions.complete:
            return prepare_waiting(events, sealer, contents)
        with _Places(self._endpoint_queues) as places:
            return self._preparer.prepare(events, sealer, places.reserve, contents)

    def prepare_test(
        self,
        event: event_pb2.Event,
        subscription: Subscription,
        requested_by: str,
        sealer: Sealer,
    ) -> Prepared:
        """
        Work out a sample with one delivery, to *subscription*, whatever its filter says.
        """
        with _Places(self._endpoint_queues) as places:
            return self._preparer.prepare_test(
                event, subscription, requested_by, sealer, places.reserve
            )


class _Places:
    """
    The places that are kept in memory, which are given back where the block ends badly.
    """

    def __init__(self, endpoint_queues: EndpointQueues) -> None:
        self._endpoint_queues = endpoint_queues
        self._kept: list[tuple[EndpointKey, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            for endpoint, size in self._kept:
                self._endpoint_queues.unreserve(endpoint, size)

    def reserve(self, owner: str, subscription: str, endpoint: str, size: int) -> bool:
        """
        Keep a place, if there is one.
        """
        kept = self._endpoint_queues.reserve(owner, subscription, endpoint, size)
        if kept:
            self._kept.append(((owner, endpoint), size))
        return kept
