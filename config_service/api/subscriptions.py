"""
The methods of `ConfigService` on subscriptions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from config_service.api import request_fields
from config_service.api import subscription_operations as operations
from config_service.rules.errors import (
    SubscriptionNotDeleted,
)
from config_service.rules.kept_secrets import check_destination, keep_header_values
from config_service.rules.subscriptions import (
    given_secret_faults,
    normalised,
    refuse,
)
from config_service.rules.verification import until_verified
from config_service.store import subscription_store
from config_service.store.changes import changing, remember, remembered
from config_service.store.shown_urls import url_hash
from config_service.store.store import Store
from config_service.store.subscription_rows import (
    audited,
    public,
    stored_config,
)
from service_runtime.database.engine import reading
from service_runtime.database.instants import database_now
from service_runtime.rpc import filters, masks, names
from service_runtime.rpc.paging import PageTokens, page_size
from service_runtime.rpc.request_ids import check_request_id
from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription

if TYPE_CHECKING:
    import grpc

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
        refuse([*given_secret_faults(request.subscription)])
        wanted = until_verified(normalised(request.subscription))
        name, method = names.subscription(owner, subscription_id), "CreateSubscription"
        async with changing(self._store.engine) as db:
            earlier = await remembered(db, owner, request.request_id, method, request)
            if earlier is not None:
                return await operations.shown(db, self._store, earlier)
            await operations.check_wanted(db, self._store, wanted, owner)
            await operations.check_new(db, name)
            await operations.check_limit(db, self._store, owner)
            if request.validate_only:
                return await operations.checked(db, self._store, name, wanted)
            answer = await operations.create(db, self._store, name, wanted, method)
            await remember(db, owner, request.request_id, method, request, name)
        answer.unconfirmed_replicas = await self._store.changed()
        return answer

    async def GetSubscription(
        self, request: config_service_pb2.GetSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Return a subscription, deleted or not.
        """
        async with reading(self._store.engine) as db:
            return await operations.shown(db, self._store, request.name)

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
            row = await operations.live(db, given.name, given.etag)
            before = stored_config(row, self._store.sealing.ring)
            after = masks.merged(before, given, fields)
            check_destination(before, after, fields, self._store.sealing.rules)
            keep_header_values(before, after)
            # Set by name, the status means what it says; in a resource that was read it does not.
            awaited = row.unverified and "status" not in request.update_mask.paths
            hashed = url_hash(after.url.strip(), self._store.sealing)
            verified = row.verified_url_hash == hashed
            after = until_verified(normalised(after), verified=verified, awaited=awaited)
            await operations.check_wanted(db, self._store, after, name.owner)
            if request.validate_only:
                return await operations.checked(db, self._store, given.name, after)
            secret = await subscription_store.update_config(db, row, after, self._store.sealing)
            method = "UpdateSubscription"
            was, now = (audited(it, self._store.sealing) for it in (before, after))
            await operations.audit(db, self._store, method, given.name, was, now)
            answer = await operations.changed(db, self._store, given.name, after)
            answer.signing_secret = secret
        answer.unconfirmed_replicas = await self._store.changed()
        return answer

    async def DeleteSubscription(
        self, request: config_service_pb2.DeleteSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Delete a subscription. It can be undeleted for 30 days.
        """
        async with changing(self._store.engine) as db:
            row = await operations.live(db, request.name, request.etag)
            values = {"delete_time": database_now()}
            await subscription_store.update(db, row, values, deleted=True)
            await operations.audit(db, self._store, "DeleteSubscription", request.name)
            answer = await operations.shown(db, self._store, request.name)
        answer.unconfirmed_replicas = await self._store.changed()
        return answer

    async def UndeleteSubscription(
        self, request: config_service_pb2.UndeleteSubscriptionRequest, context: Context
    ) -> Subscription:
        """
        Undelete a subscription. Raises `SubscriptionNotDeleted`.
        """
        async with changing(self._store.engine) as db:
            row = await operations.found(db, request.name)
            if row.delete_time is None:
                raise SubscriptionNotDeleted(request.name)
            await operations.check_limit(db, self._store, row.owner)
            stored = stored_config(row, self._store.sealing.ring)
            await operations.check_stored(db, self._store, stored)
            await subscription_store.undelete(db, row)
            await operations.audit(db, self._store, "UndeleteSubscription", request.name)
            answer = await operations.changed(db, self._store, request.name, stored)
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
                return await operations.shown(db, self._store, request.name)
            row = await operations.live(db, request.name)
            ring = self._store.sealing.ring
            secret = await subscription_store.rotate_secret(db, row, grace, ring)
            await remember(db, name.owner, *use, request.name)
            await operations.audit(
                db, self._store, method, request.name, {}, {"signing_secrets": "changed"}
            )
            answer = await operations.shown(db, self._store, request.name)
        answer.unconfirmed_replicas = await self._store.changed()
        answer.signing_secret = secret
        return answer
