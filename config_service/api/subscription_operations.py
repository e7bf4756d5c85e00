"""
What the methods that change one subscription and those that change many have in common: finding
and checking them, creating them, and the answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.rules.errors import EtagMismatch, SubscriptionExists, SubscriptionNotFound
from config_service.rules.subscriptions import (
    certificate_faults,
    check,
    collision_faults,
    identical_warnings,
    refuse,
)
from config_service.store import owned_resources, settings_store, subscription_store
from config_service.store.audit import differences
from config_service.store.changes import count_of
from config_service.store.owned_resources import CREDENTIAL
from config_service.store.rows import SubscriptionRow
from config_service.store.schema import subscriptions
from config_service.store.store import Store
from config_service.store.subscription_rows import (
    SECRET_FIELDS,
    audited,
    configured,
    etag_of,
    public,
)
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription


async def found(db: AsyncConnection, name: str) -> SubscriptionRow:
    """
    Return a subscription, deleted or not. Raises `SubscriptionNotFound`.
    """
    parsed = names.parse("subscription", name)
    row = await subscription_store.find(db, parsed.owner, parsed.id)
    if row is None:
        raise SubscriptionNotFound(name)
    return row


async def live(db: AsyncConnection, name: str, etag: str = "") -> SubscriptionRow:
    """
    Return a subscription that is not deleted. Raises `SubscriptionNotFound`, and
    `EtagMismatch` where *etag* is set and is not that of the subscription.
    """
    row = await found(db, name)
    if row.delete_time is not None:
        raise SubscriptionNotFound(name)
    if etag and etag != etag_of(row.revision):
        raise EtagMismatch(name)
    return row


async def check_wanted(db: AsyncConnection, store: Store, wanted: Subscription, owner: str) -> None:
    """
    Check a normalised subscription. Raises `InvalidArgument` and `FeatureMissing`.
    """
    features = await settings_store.features_of(db, owner)
    check(wanted, owner, rules=store.sealing.rules, features=features)
    await check_references(db, store, wanted)


async def check_stored(db: AsyncConnection, store: Store, stored: Subscription) -> None:
    """
    Check a subscription that is to be used again: what it refers to may be gone, and it may be
    older than a rule. Raises `InvalidArgument`.
    """
    refuse([*certificate_faults(stored)])
    await check_references(db, store, stored)


async def check_references(db: AsyncConnection, store: Store, wanted: Subscription) -> None:
    """
    Check that what a subscription refers to exists and goes with it. Raises `InvalidArgument`.
    """
    missing = await subscription_store.missing_references(db, wanted)
    refuse([FieldFault(field, f"there is no {getattr(wanted, field)}") for field in missing])
    if wanted.credential:
        row = await owned_resources.find(db, CREDENTIAL, *names.split(wanted.credential))
        if row is not None:
            used = owned_resources.message_of(CREDENTIAL, row, store.sealing.ring)
            refuse([*collision_faults(wanted, used)])


async def check_new(db: AsyncConnection, name: str) -> None:
    """
    Check that no subscription has a name. Raises `SubscriptionExists`.
    """
    if await subscription_store.find(db, *names.split(name)) is not None:
        raise SubscriptionExists(name)


async def check_limit(db: AsyncConnection, store: Store, owner: str, more: int = 1) -> None:
    """
    Check that an owner may have *more* subscriptions. Raises `OwnerLimitReached`.
    """
    count = await count_of(db, subscriptions, owner) + more - 1
    store.limits.check("subscriptions", owner, count)


async def create(
    db: AsyncConnection, store: Store, name: str, wanted: Subscription, method: str
) -> Subscription:
    """
    Create a subscription that has passed the checks; return it with its secret.
    """
    secret = await subscription_store.insert(db, *names.split(name), wanted, store.sealing)
    await audit(db, store, method, name, {}, audited(wanted, store.sealing))
    answer = await changed(db, store, name, wanted)
    answer.signing_secret = secret
    return answer


async def changed(db: AsyncConnection, store: Store, name: str, now: Subscription) -> Subscription:
    """
    Return the answer of a call that changed a subscription to *now*.
    """
    answer = await shown(db, store, name)
    answer.warnings.extend(await _warnings(db, store, name, now))
    return answer


async def checked(
    db: AsyncConnection, store: Store, name: str, wanted: Subscription
) -> Subscription:
    """
    Return the answer of a call that only checks.
    """
    answer = public(configured(wanted), store.sealing)
    answer.status_reason = wanted.status_reason
    answer.warnings.extend(await _warnings(db, store, name, wanted))
    return answer


async def shown(db: AsyncConnection, store: Store, name: str) -> Subscription:
    """
    Return a subscription as callers see it. Raises `SubscriptionNotFound`.
    """
    row = await found(db, name)
    (message,) = await subscription_store.messages(db, [row], store.sealing.ring)
    return public(message, store.sealing)


async def audit(
    db: AsyncConnection,
    store: Store,
    method: str,
    name: str,
    before: Mapping[str, str] | None = None,
    after: Mapping[str, str] | None = None,
) -> None:
    """
    Record a change of a subscription in the audit log.
    """
    changes = differences(before or {}, after or {}, SECRET_FIELDS)
    await store.audit.record(db, method, name, changes)


async def _warnings(db: AsyncConnection, store: Store, name: str, now: Subscription) -> list[str]:
    owner, _ = names.split(name)
    same = await subscription_store.identical(db, owner, name, now, store.sealing)
    return identical_warnings(now, same)
