"""
The methods of `ConfigService` on subscriptions.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from config_service.api import request_fields
from config_service.rules.errors import (
    EtagMismatch,
    SubscriptionExists,
    SubscriptionNotDeleted,
    SubscriptionNotFound,
)
from config_service.rules.kept_secrets import check_destination, keep_header_values
from config_service.rules.subscriptions import check, normalised, refuse
from config_service.store import settings_store, subscription_store
from config_service.store.audit import differences
from config_service.store.changes import changing, count_of, remember, remembered
from config_service.store.rows import SubscriptionRow
from config_service.store.schema import subscriptions
from config_service.store.store import Store
from config_service.store.subscription_rows import (
    SECRET_FIELDS,
    audited,
    etag_of,
    public,
    stored_config,
)
from service_runtime.database.engine import reading
from service_runtime.database.instants import database_now
from service_runtime.rpc import filters, masks, names
from service_runtime.rpc.errors import FieldFault
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.request_ids import check_request_id
from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection

    Context = grpc.aio.ServicerContext[Any, Any]


class SubscriptionMethods:
    """
    Creates, shows, changes and deletes subscriptions.
    """

    _store: Store
    _tokens: PageTokens

    async def CreateSubscription(
        self, request: config_service_pb2.CreateSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Create a subscription. No other answer shows its signing secret.
        """
        owner = names.parse_owner(request.parent)
        subscription_id = request_fields.chosen_id(
            request.subscription_id, "sub", "subscription_id"
        )
        check_request_id(request.request_id)
        wanted = normalised(request.subscription)
        name, method = names.subscription(owner, subscription_id), "CreateSubscription"
        async with changing(self._store.engine) as db:
            earlier = await remembered(db, owner, request.request_id, method, request)
            if earlier is not None:
                return await self._answer(db, earlier)
            await self._check(db, wanted, owner)
            if await subscription_store.find(db, owner, subscription_id) is not None:
                raise SubscriptionExists(name)
            await self._check_limit(db, owner)
            if request.validate_only:
                return public(wanted, self._store.sealing)
            secret = await subscription_store.insert(
                db, owner, subscription_id, wanted, self._store.sealing
            )
            await remember(db, owner, request.request_id, method, request, name)
            await self._audit(db, method, name, {}, audited(wanted))
            answer = await self._answer(db, name)
        answer.unconfirmed_replicas = await self._store.changed()
        answer.signing_secret = secret
        return answer

    async def GetSubscription(
        self, request: config_service_pb2.GetSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Return a subscription, deleted or not.
        """
        async with reading(self._store.engine) as db:
            return await self._answer(db, request.name)

    async def ListSubscriptions(
        self, request: config_service_pb2.ListSubscriptionsRequest, context: Context
    ) -> config_service_pb2.ListSubscriptionsResponse:
        """
        List subscriptions, oldest first.
        """
        parent = names.parse_parent(request.parent, wildcard=True)
        async with reading(self._store.engine) as db:
            page = await subscription_store.list_rows(
                db,
                parent,
                filters.parse(request.filter, subscription_store.FILTER_FIELDS),
                show_deleted=request.show_deleted,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
                sealing=self._store.sealing,
            )
            found = await subscription_store.messages(db, page.rows, self._store.sealing.ring)
        shown, last = page.fit([public(message, self._store.sealing) for message in found])
        return config_service_pb2.ListSubscriptionsResponse(
            subscriptions=shown, next_page_token=self._tokens.make(last, request)
        )

    async def UpdateSubscription(
        self, request: config_service_pb2.UpdateSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Change the fields that the mask names.
        """
        given = request.subscription
        name = names.parse("subscription", given.name, "subscription.name")
        fields = masks.masked_fields(given, request.update_mask)
        async with changing(self._store.engine) as db:
            row = await _live(db, given.name, given.etag)
            before = stored_config(row, self._store.sealing.ring)
            after = masks.merged(before, given, fields)
            check_destination(before, after, fields, self._store.sealing.rules)
            keep_header_values(before, after)
            after = normalised(after)
            await self._check(db, after, name.owner)
            if request.validate_only:
                return public(after, self._store.sealing)
            await subscription_store.update_config(db, row, after, self._store.sealing)
            method = "UpdateSubscription"
            await self._audit(db, method, given.name, audited(before), audited(after))
            answer = await self._answer(db, given.name)
        answer.unconfirmed_replicas = await self._store.changed()
        return answer

    async def DeleteSubscription(
        self, request: config_service_pb2.DeleteSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Delete a subscription. It can be undeleted for 30 days.
        """
        async with changing(self._store.engine) as db:
            row = await _live(db, request.name, request.etag)
            values = {"delete_time": database_now()}
            await subscription_store.update(db, row, values, deleted=True)
            await self._audit(db, "DeleteSubscription", request.name)
            answer = await self._answer(db, request.name)
        answer.unconfirmed_replicas = await self._store.changed()
        return answer

    async def UndeleteSubscription(
        self, request: config_service_pb2.UndeleteSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Undelete a subscription. Raises `SubscriptionNotDeleted`.
        """
        async with changing(self._store.engine) as db:
            row = await _found(db, request.name)
            if row.delete_time is None:
                raise SubscriptionNotDeleted(request.name)
            await self._check_limit(db, row.owner)
            await _check_references(db, stored_config(row, self._store.sealing.ring))
            await subscription_store.undelete(db, row)
            await self._audit(db, "UndeleteSubscription", request.name)
            answer = await self._answer(db, request.name)
        answer.unconfirmed_replicas = await self._store.changed()
        return answer

    async def RotateSigningSecret(
        self, request: config_service_pb2.RotateSigningSecretRequest, context: Context
    ) -> Subscription:
        """
        Create a new signing secret. No other answer shows it.
        """
        name, method = names.parse("subscription", request.name), "RotateSigningSecret"
        grace = request_fields.grace_period(
            request.grace_period if request.HasField("grace_period") else None
        )
        check_request_id(request.request_id)
        use = (request.request_id, method, request)
        async with changing(self._store.engine) as db:
            if await remembered(db, name.owner, *use) is not None:
                return await self._answer(db, request.name)
            row = await _live(db, request.name)
            ring = self._store.sealing.ring
            secret = await subscription_store.rotate_secret(db, row, grace, ring)
            await remember(db, name.owner, *use, request.name)
            await self._audit(db, method, request.name, {}, {"signing_secrets": "changed"})
            answer = await self._answer(db, request.name)
        answer.unconfirmed_replicas = await self._store.changed()
        answer.signing_secret = secret
        return answer

    async def _check(self, db: AsyncConnection, wanted: Subscription, owner: str) -> None:
        features = await settings_store.features_of(db, owner)
        check(wanted, owner, rules=self._store.sealing.rules, features=features)
        await _check_references(db, wanted)

    async def _check_limit(self, db: AsyncConnection, owner: str) -> None:
        count = await count_of(db, subscriptions, owner)
        self._store.limits.check("subscriptions", owner, count)

    async def _audit(
        self,
        db: AsyncConnection,
        method: str,
        name: str,
        before: Mapping[str, str] | None = None,
        after: Mapping[str, str] | None = None,
    ) -> None:
        changes = differences(before or {}, after or {}, SECRET_FIELDS)
        await self._store.audit.record(db, method, name, changes)

    async def _answer(self, db: AsyncConnection, name: str) -> Subscription:
        row = await _found(db, name)
        (message,) = await subscription_store.messages(db, [row], self._store.sealing.ring)
        return public(message, self._store.sealing)


async def _check_references(db: AsyncConnection, wanted: Subscription) -> None:
    missing = await subscription_store.missing_references(db, wanted)
    refuse([FieldFault(field, f"there is no {getattr(wanted, field)}") for field in missing])


async def _found(db: AsyncConnection, name: str) -> SubscriptionRow:
    """
    Return a subscription, deleted or not. Raises `SubscriptionNotFound`.
    """
    parsed = names.parse("subscription", name)
    row = await subscription_store.find(db, parsed.owner, parsed.id)
    if row is None:
        raise SubscriptionNotFound(name)
    return row


async def _live(db: AsyncConnection, name: str, etag: str = "") -> SubscriptionRow:
    """
    Return a subscription that is not deleted. Raises `SubscriptionNotFound`, and
    `EtagMismatch` where *etag* is set and is not that of the subscription.
    """
    row = await _found(db, name)
    if row.delete_time is not None:
        raise SubscriptionNotFound(name)
    if etag and etag != etag_of(row.revision):
        raise EtagMismatch(name)
    return row
