"""
The methods of `ConfigService` on subscriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from config_service.api import request_fields
from config_service.rules.errors import (
    EtagMismatch,
    SubscriptionExists,
    SubscriptionNotDeleted,
    SubscriptionNotFound,
)
from config_service.rules.subscriptions import Fault, check, normalised, refuse
from config_service.store import settings_store, subscription_store
from config_service.store.changes import audit, differences, remember, remembered
from config_service.store.subscription_rows import (
    SECRET_FIELDS,
    audited,
    etag_of,
    kept_header_values,
    name_of,
    public,
    stored_config,
)
from config_service.store.subscription_store import Sealing
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import database_now
from service_runtime.rpc import filters, masks, names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.paging import PageTokens, fitting, page_size
from service_runtime.rpc.request_ids import check_request_id
from shipedge.webhooks.config.v1 import config_service_pb2, config_service_pb2_grpc
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription

if TYPE_CHECKING:
    import grpc
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    Context = grpc.aio.ServicerContext[Any, Any]


@dataclass(frozen=True, slots=True)
class Store:
    """
    The database, what opens its sealed columns, and whom to tell of a change.
    """

    engine: AsyncEngine
    sealing: Sealing
    changed: Callable[[], None]


class SubscriptionMethods(config_service_pb2_grpc.ConfigServiceServicer):
    """
    Creates, shows, changes and deletes subscriptions.
    """

    def __init__(self, store: Store, tokens: PageTokens) -> None:
        self._store = store
        self._tokens = tokens

    async def CreateSubscription(
        self, request: config_service_pb2.CreateSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Create a subscription; only this answer shows its signing secret.
        """
        owner = names.parse_owner(request.parent)
        subscription_id = request_fields.chosen_id(
            request.subscription_id, "sub", "subscription_id"
        )
        check_request_id(request.request_id)
        wanted = normalised(request.subscription)
        method = "CreateSubscription"
        secret = ""
        async with writing(self._store.engine) as db:
            made = await remembered(db, owner, request.request_id, method, request)
            if made is not None:
                return await self._answer(db, names.parse("subscription", made))
            await self._check(db, wanted, owner)
            name = names.Name(owner, subscription_id)
            if await subscription_store.find(db, owner, subscription_id) is not None:
                raise SubscriptionExists(_text(name))
            if request.validate_only:
                return public(wanted)
            secret = await subscription_store.insert(
                db, owner, subscription_id, wanted, self._store.sealing
            )
            await remember(
                db,
                owner,
                request.request_id,
                method,
                request,
                _text(name),
            )
            await self._audit(db, name, method, {}, audited(wanted))
            answer = await self._answer(db, name)
        self._store.changed()
        answer.signing_secret = secret
        return answer

    async def GetSubscription(
        self, request: config_service_pb2.GetSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Return a subscription.
        """
        async with reading(self._store.engine) as db:
            return await self._answer(db, names.parse("subscription", request.name))

    async def ListSubscriptions(
        self, request: config_service_pb2.ListSubscriptionsRequest, context: Context
    ) -> config_service_pb2.ListSubscriptionsResponse:
        """
        List subscriptions, oldest first.
        """
        parent = names.parse_parent(request.parent, wildcard=True)
        async with reading(self._store.engine) as db:
            rows, last = await subscription_store.list_rows(
                db,
                parent,
                filters.parse(request.filter, subscription_store.FILTER_FIELDS),
                show_deleted=request.show_deleted,
                size=page_size(request.page_size),
                begin_after=self._tokens.read(request.page_token, request),
                sealing=self._store.sealing,
            )
            found = await subscription_store.messages(db, rows, self._store.sealing.ring)
        page = fitting([public(it) for it in found])
        if len(page) < len(rows):
            last = [rows[len(page) - 1].created_revision]
        return config_service_pb2.ListSubscriptionsResponse(
            subscriptions=page,
            next_page_token=self._tokens.make(last, request) if last else "",
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
        async with writing(self._store.engine) as db:
            row = await self._live(db, name, given.etag)
            before = stored_config(row, self._store.sealing.ring)
            after = masks.merged(before, given, fields)
            kept_header_values(before, after)
            after = normalised(after)
            await self._check(db, after, name.owner)
            if request.validate_only:
                return public(after)
            await subscription_store.update_config(db, row, after, self._store.sealing)
            await self._audit(db, name, "UpdateSubscription", audited(before), audited(after))
            answer = await self._answer(db, name)
        self._store.changed()
        return answer

    async def DeleteSubscription(
        self, request: config_service_pb2.DeleteSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Delete a subscription; it can be undeleted.
        """
        name = names.parse("subscription", request.name)
        async with writing(self._store.engine) as db:
            row = await self._live(db, name, request.etag)
            values = {"delete_time": database_now()}
            await subscription_store.update(db, row, values, deleted=True)
            await self._audit(db, name, "DeleteSubscription", {}, {})
            answer = await self._answer(db, name)
        self._store.changed()
        return answer

    async def UndeleteSubscription(
        self, request: config_service_pb2.UndeleteSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Bring a deleted subscription back.
        """
        name = names.parse("subscription", request.name)
        async with writing(self._store.engine) as db:
            row = await self._found(db, name)
            if row.delete_time is None:
                raise SubscriptionNotDeleted(request.name)
            await self._check_references(db, stored_config(row, self._store.sealing.ring))
            await subscription_store.update(db, row, {"delete_time": None})
            await self._audit(db, name, "UndeleteSubscription", {}, {})
            answer = await self._answer(db, name)
        self._store.changed()
        return answer

    async def RotateSigningSecret(
        self, request: config_service_pb2.RotateSigningSecretRequest, context: Context
    ) -> Subscription:
        """
        Make a new signing secret; only this answer shows it.
        """
        name = names.parse("subscription", request.name)
        grace = request_fields.grace_period(
            request.grace_period if request.HasField("grace_period") else None
        )
        check_request_id(request.request_id)
        method = "RotateSigningSecret"
        async with writing(self._store.engine) as db:
            made = await remembered(db, name.owner, request.request_id, method, request)
            if made is not None:
                return await self._answer(db, name)
            row = await self._live(db, name, "")
            secret = await subscription_store.rotate_secret(
                db, row, grace, self._store.sealing.ring
            )
            await remember(
                db,
                name.owner,
                request.request_id,
                method,
                request,
                _text(name),
            )
            await self._audit(db, name, method, {}, {"signing_secrets": "changed"})
            answer = await self._answer(db, name)
        self._store.changed()
        answer.signing_secret = secret
        return answer

    async def _check(self, db: AsyncConnection, wanted: Subscription, owner: str) -> None:
        features = await settings_store.features_of(db, owner)
        check(wanted, owner, rules=self._store.sealing.rules, features=features)
        await self._check_references(db, wanted)

    async def _check_references(self, db: AsyncConnection, wanted: Subscription) -> None:
        missing = await subscription_store.missing_references(db, wanted)
        refuse([Fault(field, f"there is no {getattr(wanted, field)}") for field in missing])

    async def _found(self, db: AsyncConnection, name: names.Name) -> Any:
        row = await subscription_store.find(db, name.owner, name.id)
        if row is None:
            raise SubscriptionNotFound(_text(name))
        return row

    async def _live(self, db: AsyncConnection, name: names.Name, etag: str) -> Any:
        row = await self._found(db, name)
        if row.delete_time is not None:
            raise SubscriptionNotFound(_text(name))
        if etag and etag != etag_of(row.revision):
            raise EtagMismatch(name_of(row))
        return row

    async def _answer(self, db: AsyncConnection, name: names.Name) -> Subscription:
        row = await self._found(db, name)
        (message,) = await subscription_store.messages(db, [row], self._store.sealing.ring)
        return public(message)

    async def _audit(
        self,
        db: AsyncConnection,
        name: names.Name,
        method: str,
        before: Mapping[str, str],
        after: Mapping[str, str],
    ) -> None:
        await audit(
            db,
            caller=current_caller.get().name,
            method=method,
            resource=_text(name),
            owner=name.owner,
            changes=differences(before, after, SECRET_FIELDS | {"signing_secrets"}),
        )


def _text(name: names.Name) -> str:
    return names.subscription(name.owner, name.id)
