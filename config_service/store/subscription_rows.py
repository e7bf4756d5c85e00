"""
Subscriptions between their rows and their messages: columns, secrets, public fields.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from config_service.store import associated_data
from config_service.store.audit import shown_fields
from config_service.store.rows import SecretRow, SubscriptionRow
from config_service.store.shown_urls import shown, shown_to_caller, url_hash
from config_service.store.signing.secrets import OF_SUBSCRIPTIONS, described, fed
from config_service.store.store import Sealing
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.config.v1.subscription_pb2 import EndpointHealth, Subscription
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedSubscription

UNDELETE_WITHIN = timedelta(days=30)

SECRET_FIELDS = frozenset({"custom_headers", "signing_secrets"})
"""
The fields whose values the audit log does not hold.
"""

CONFIGURED = (
    "event_type",
    "payload_version",
    "url",
    "status",
    "format",
    "filter",
    "custom_headers",
    "credential",
    "client_certificate",
    "retry_schedule",
    "ordered",
    "deactivate_after",
    "max_concurrency",
    "rate_limit",
    "description",
    "asymmetric_signature",
    "signing_key",
    "trace_context",
    "verify_url",
)
"""
The fields that callers set; the server sets all others.
"""


def name_of(row: SubscriptionRow) -> str:
    """
    Return the resource name of a row.
    """
    return names.subscription(row.owner, row.subscription_id)


def etag_of(revision: int) -> str:
    """
    Return the etag of a resource at *revision*.
    """
    return f'"r{revision}"'


def configured(subscription: Subscription) -> Subscription:
    """
    Return a copy with only the fields that callers set, secrets included.
    """
    copy = Subscription()
    copy.CopyFrom(subscription)
    for field in Subscription.DESCRIPTOR.fields:
        if field.name not in CONFIGURED:
            copy.ClearField(field.name)  # type: ignore[arg-type]
    return copy


def config_columns(
    subscription: Subscription, owner: str, subscription_id: str, sealing: Sealing
) -> dict[str, object]:
    """
    Return the columns that hold or follow from the fields that callers set, and the reason of the
    status if that is UNVERIFIED.
    """
    unverified = subscription.status_reason == Subscription.STATUS_REASON_UNVERIFIED
    config = configured(subscription)
    associated = associated_data.subscription(owner, subscription_id)
    return {
        "event_type": config.event_type,
        "payload_version": config.payload_version,
        "status": Subscription.Status.Name(config.status).removeprefix("STATUS_"),
        "credential": config.credential,
        "client_certificate": config.client_certificate,
        "signing_key": config.signing_key,
        "url_hash": url_hash(config.url, sealing),
        "sealed_config": sealing.ring.seal(config.SerializeToString(), associated),
        **({"status_reason": "UNVERIFIED"} if unverified else {}),
    }


def stored_config(row: SubscriptionRow, ring: KeyRing) -> Subscription:
    """
    Open the fields that callers set.
    """
    associated = associated_data.subscription(row.owner, row.subscription_id)
    return Subscription.FromString(ring.open(row.sealed_config, associated))


def message_of(row: SubscriptionRow, secrets: Iterable[SecretRow], ring: KeyRing) -> Subscription:
    """
    Return a subscription with the values of its headers, and which secrets it has.
    """
    message = stored_config(row, ring)
    message.name = name_of(row)
    message.topic = CATALOGUE.topic(message.event_type, message.payload_version)
    message.status_reason = Subscription.StatusReason.Value(f"STATUS_REASON_{row.status_reason}")
    if row.endpoint_health:
        message.endpoint_health.CopyFrom(EndpointHealth.FromString(row.endpoint_health))
    message.skipped_event_count = row.skipped_event_count
    message.revision = row.revision
    message.etag = etag_of(row.revision)
    _set_times(message, row)
    message.signing_secrets.extend(
        described(OF_SUBSCRIPTIONS, secret, ring, asymmetric=message.asymmetric_signature)
        for secret in secrets
    )
    return message


def _set_times(message: Subscription, row: SubscriptionRow) -> None:
    message.create_time.FromDatetime(row.create_time)
    message.update_time.FromDatetime(row.update_time)
    if row.last_skipped_time is not None:
        message.last_skipped_time.FromDatetime(row.last_skipped_time)
    if row.delete_time is not None:
        message.delete_time.FromDatetime(row.delete_time)
        message.purge_time.FromDatetime(row.delete_time + UNDELETE_WITHIN)


def public(message: Subscription, sealing: Sealing) -> Subscription:
    """
    Remove secrets in place: header values, and for callers who are neither operators nor admins
    the URL but for its shown form.
    """
    message.url = shown_to_caller(message.url, sealing)
    for header in message.custom_headers:
        header.value_set = bool(header.value)
        header.ClearField("value")
    return message


def audited(subscription: Subscription, sealing: Sealing) -> Mapping[str, str]:
    """
    Return the fields that callers set as JSON texts, for the audit log to compare: of the URL its
    shown form.
    """
    message = configured(subscription)
    message.url = shown(message.url, sealing)
    return shown_fields(message)


def feed_subscription(
    row: SubscriptionRow, secrets: Sequence[SecretRow], ring: KeyRing
) -> FeedSubscription:
    """
    Return a subscription with its secrets, as only the feed may show it.
    """
    message = message_of(row, secrets, ring)
    return FeedSubscription(
        subscription=message,
        signing_secrets=[
            fed(OF_SUBSCRIPTIONS, secret, ring, asymmetric=message.asymmetric_signature)
            for secret in secrets
        ],
    )
