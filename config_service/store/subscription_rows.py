"""
Subscriptions as rows: what is sealed, what is shown, what is audited.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from google.protobuf import json_format

from config_service.rules.signing_keys import verification_key
from config_service.store import associated_data
from service_runtime.keys.keyring import KeyRing
from service_runtime.rpc import names
from service_runtime.rpc.callers import current_caller
from service_runtime.rules.urls import UrlRefusedError, UrlRules, parse_url
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.config.v1.subscription_pb2 import EndpointHealth, Subscription

UNDELETE_WITHIN = timedelta(days=30)

SECRET_FIELDS = frozenset({"url", "custom_headers"})
"""
Fields of which the audit log says only that they changed.
"""

# What callers set; all else is the server's.
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
)


def name_of(row: Any) -> str:
    """
    Name the subscription of a row.
    """
    return names.subscription(row.owner, row.subscription_id)


def etag_of(revision: int) -> str:
    """
    Return the etag of a resource as of *revision*.
    """
    return f'"r{revision}"'


def configured(subscription: Subscription) -> Subscription:
    """
    Return a copy with what callers set, secrets included.
    """
    copy = Subscription()
    copy.CopyFrom(subscription)
    for field in Subscription.DESCRIPTOR.fields:
        if field.name not in CONFIGURED:
            copy.ClearField(field.name)  # type: ignore[arg-type]
    return copy


def config_columns(
    subscription: Subscription, owner: str, subscription_id: str, ring: KeyRing, rules: UrlRules
) -> dict[str, Any]:
    """
    Lay out the columns that follow from what callers set.
    """
    config = configured(subscription)
    associated = associated_data.subscription(owner, subscription_id)
    return {
        "event_type": config.event_type,
        "payload_version": config.payload_version,
        "status": Subscription.Status.Name(config.status).removeprefix("STATUS_"),
        "credential": config.credential,
        "client_certificate": config.client_certificate,
        "url_hash": ring.keyed_hash("url", normal_url(config.url, rules)),
        "sealed_config": ring.seal(config.SerializeToString(), associated),
    }


def normal_url(url: str, rules: UrlRules) -> str:
    """
    Return the one form in which a URL is looked up.
    """
    try:
        return parse_url(url, rules).text
    except UrlRefusedError:
        return url


def shown_url(url: str) -> str:
    """
    Return a URL as far as everybody may see it: without what stands in its query.
    """
    base, mark, _ = url.partition("?")
    return f"{base}?…" if mark else base


def stored_config(row: Any, ring: KeyRing) -> Subscription:
    """
    Open what callers set.
    """
    associated = associated_data.subscription(row.owner, row.subscription_id)
    return Subscription.FromString(ring.open(row.sealed_config, associated))


def with_secrets(row: Any, secrets: Iterable[Any], ring: KeyRing) -> Subscription:
    """
    Return the whole subscription with its secrets: for the feed alone.
    """
    message = stored_config(row, ring)
    message.name = name_of(row)
    message.wire_name = CATALOGUE.wire_name(message.event_type, message.payload_version)
    message.status_reason = Subscription.StatusReason.Value(f"STATUS_REASON_{row.status_reason}")
    message.endpoint_health.CopyFrom(EndpointHealth.FromString(row.endpoint_health))
    if not message.endpoint_health.ListFields():
        message.ClearField("endpoint_health")
    message.suppressed_event_count = row.suppressed_event_count
    message.revision = row.revision
    message.etag = etag_of(row.revision)
    for field in ("create_time", "update_time", "delete_time", "last_suppressed_time"):
        value = getattr(row, field)
        if value is not None:
            getattr(message, field).FromDatetime(value)
    if row.delete_time is not None:
        message.purge_time.FromDatetime(row.delete_time + UNDELETE_WITHIN)
    for secret in secrets:
        _add_secret(message, secret, ring)
    return message


def public(message: Subscription) -> Subscription:
    """
    Take the secrets away, in place: header values and signing secrets, and of the
    URL the query, except for those who may configure it.
    """
    if not current_caller.get().has_role("admin"):
        message.url = shown_url(message.url)
    for header in message.custom_headers:
        header.value_set = bool(header.value)
        header.ClearField("value")
    for secret in message.signing_secrets:
        secret.ClearField("secret")
        secret.ClearField("signing_key")
    return message


def audited(subscription: Subscription) -> Mapping[str, str]:
    """
    Return the configured fields as JSON, to be compared.
    """
    config = configured(subscription)
    shown = json_format.MessageToDict(config, preserving_proto_field_name=True)
    return {field: json.dumps(value, sort_keys=True) for field, value in shown.items()}


def sealed_keys(
    secret: str,
    signing_key: str,
    owner: str,
    subscription_id: str,
    secret_id: str,
    ring: KeyRing,
) -> dict[str, bytes]:
    """
    Seal a signing secret and the ed25519 key beside it for their row.
    """
    row = (owner, subscription_id, secret_id)
    return {
        "sealed_secret": ring.seal(secret.encode(), associated_data.signing_secret(*row)),
        "sealed_signing_key": ring.seal(signing_key.encode(), associated_data.signing_key(*row)),
    }


def kept_header_values(old: Subscription, new: Subscription) -> None:
    """
    Give headers that came without a value the one that they had, in place.
    """
    values = {header.name.lower(): header.value for header in old.custom_headers}
    for header in new.custom_headers:
        if not header.value:
            header.value = values.get(header.name.lower(), "")


def by_subscription(secrets: Sequence[Any]) -> dict[tuple[str, str], list[Any]]:
    """
    Group the rows of secrets by their subscription.
    """
    grouped: dict[tuple[str, str], list[Any]] = {}
    for secret in secrets:
        grouped.setdefault((secret.owner, secret.subscription_id), []).append(secret)
    return grouped


def _add_secret(message: Subscription, row: Any, ring: KeyRing) -> None:
    key = (row.owner, row.subscription_id, row.secret_id)
    opened = ring.open(row.sealed_secret, associated_data.signing_secret(*key))
    secret = message.signing_secrets.add(secret_id=row.secret_id, secret=opened.decode())
    if message.asymmetric_signature and row.sealed_signing_key is not None:
        opened = ring.open(row.sealed_signing_key, associated_data.signing_key(*key))
        secret.signing_key = opened.decode()
        secret.verification_key = verification_key(secret.signing_key)
    secret.create_time.FromDatetime(row.create_time)
    if row.expire_time is not None:
        secret.expire_time.FromDatetime(row.expire_time)
