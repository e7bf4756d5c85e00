"""
The method of `ConfigService` that creates many subscriptions at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from config_service.api import request_fields
from config_service.api import subscription_operations as operations
from config_service.rules.subscriptions import given_secret_faults, normalised
from config_service.rules.verification import until_verified
from config_service.store.changes import changing, remember, remembered
from config_service.store.store import Store
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.request_ids import check_request_id
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection

    Context = grpc.aio.ServicerContext[Any, Any]

MOST_SUBSCRIPTIONS = 102
"""
How many subscriptions a call creates at most: all event types in all their versions.
"""

_METHOD = "BatchCreateSubscriptions"


class SubscriptionBatchMethods:
    """
    Creates many subscriptions of one owner, all of them or none.
    """

    _store: Store

    async def BatchCreateSubscriptions(
        self, request: pb.BatchCreateSubscriptionsRequest, context: Context
    ) -> pb.BatchCreateSubscriptionsResponse:
        """
        Create subscriptions. No other answer shows their secrets.
        """
        owner, store = names.parse_owner(request.parent), self._store
        check_request_id(request.request_id)
        _refuse(request_faults(request))
        wanted = _named(request, owner)
        use = (request.request_id, _METHOD, request)
        async with changing(store.engine) as db:
            earlier = await remembered(db, owner, *use)
            if earlier is not None:
                found = [await operations.shown(db, store, name) for name in earlier.split()]
                return pb.BatchCreateSubscriptionsResponse(subscriptions=found)
            await self._check_all(db, wanted, owner)
            if request.validate_only:
                found = [
                    await operations.checked(db, store, name, it) for name, it in wanted.items()
                ]
                return pb.BatchCreateSubscriptionsResponse(subscriptions=found)
            found = [
                await operations.create(db, store, name, it, _METHOD) for name, it in wanted.items()
            ]
            await remember(db, owner, *use, " ".join(wanted))
        unconfirmed = await store.changed()
        for answer in found:
            answer.unconfirmed_replicas = unconfirmed
        return pb.BatchCreateSubscriptionsResponse(subscriptions=found)

    async def _check_all(
        self, db: AsyncConnection, wanted: Mapping[str, Subscription], owner: str
    ) -> None:
        """
        Check all subscriptions. Raises `InvalidArgument` with the faults of all of them.
        """
        faults: list[FieldFault] = []
        for index, it in enumerate(wanted.values()):
            try:
                await operations.check_wanted(db, self._store, it, owner)
            except InvalidArgument as invalid:
                faults += [_within(index, fault) for fault in invalid.faults]
        _refuse(faults)
        for name in wanted:
            await operations.check_new(db, name)
        await operations.check_limit(db, self._store, owner, len(wanted))


def request_faults(request: pb.BatchCreateSubscriptionsRequest) -> Iterator[FieldFault]:
    """
    Yield what is wrong with the requests of a batch, but for their subscriptions.
    """
    if not 1 <= len(request.requests) <= MOST_SUBSCRIPTIONS:
        yield FieldFault("requests", f"must hold 1 to {MOST_SUBSCRIPTIONS} requests")
        return
    chosen: set[str] = set()
    for index, it in enumerate(request.requests):
        for fault in _one_request_faults(it, request.parent, chosen):
            yield _within(index, fault)
        chosen.add(it.subscription_id)


def _one_request_faults(
    it: pb.CreateSubscriptionRequest, parent: str, chosen: set[str]
) -> Iterator[FieldFault]:
    if it.parent not in {"", parent}:
        yield FieldFault("parent", f"must be {parent} or empty")
    for field in ("request_id", "validate_only"):
        if getattr(it, field):
            yield FieldFault(field, f"must not be set: {field} of the batch holds for all")
    if it.subscription_id:
        if not names.is_chosen_id(it.subscription_id):
            yield FieldFault("subscription_id", names.ID_RULE)
        if it.subscription_id in chosen:
            yield FieldFault("subscription_id", "must differ from those of the other requests")
    for fault in given_secret_faults(it.subscription):
        yield replace(fault, field=f"subscription.{fault.field}")


def _named(request: pb.BatchCreateSubscriptionsRequest, owner: str) -> dict[str, Subscription]:
    """
    Return the subscriptions to create by their names, in the order of the requests.
    """
    found = {}
    for it in request.requests:
        chosen = request_fields.chosen_id(it.subscription_id, "sub", "subscription_id")
        found[names.subscription(owner, chosen)] = until_verified(normalised(it.subscription))
    return found


def _within(index: int, fault: FieldFault) -> FieldFault:
    return replace(fault, field=f"requests[{index}].{fault.field}")


def _refuse(faults: Iterator[FieldFault] | list[FieldFault]) -> None:
    found = list(faults)
    if found:
        raise InvalidArgument("The request is not valid.", faults=found)
