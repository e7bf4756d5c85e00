"""
Subscriptions compiled for matching and delivery, once for each revision. No I/O, no clock.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dispatch_service.routing.owner_settings import read_schedule
from service_runtime.keys.macs import Mac
from service_runtime.rpc import names
from service_runtime.rules.signing_secrets import secret_bytes
from service_runtime.rules.texts import folded
from service_runtime.rules.urls import Url, UrlRefusedError, UrlRules, parse_url, shown_url
from shipedge.webhooks.config.v1 import subscription_pb2
from shipedge.webhooks.feed.v1.feed_service_pb2 import (
    FeedSigningKey,
    FeedSigningSecret,
    FeedSubscription,
)

SubscriptionKey = tuple[str, str]
"""
An owner and the id of a subscription of it.
"""

PRIVATE_PREFIX = "whsk_"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """
    A key that signs requests until *expire_time*; None: it does not expire.

    *private_key* is set where the subscription asks for ed25519 signatures too.
    """

    key: bytes = field(repr=False)
    expire_time: datetime | None
    private_key: Ed25519PrivateKey | None = field(default=None, repr=False)
    mac: Mac = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mac", Mac(self.key))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """
    The values that an event must have to be sent; an empty set allows every value.

    Texts other than SKUs are folded.
    """

    statuses: frozenset[str] = frozenset()
    shipping_methods: frozenset[str] = frozenset()
    store_ids: frozenset[int] = frozenset()
    order_types: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """
    The newest applied revision of a subscription.

    *url* is None where the URL cannot be used, for the reason in *url_problem*; then *endpoint*
    and *url_shown* are empty. *schedule* is empty where the subscription has none of its own.
    *matches_since* is the instant by the config service's database from which on events are
    matched with it, None where that is not known. *unverified*: it is Inactive until its URL has
    answered a challenge.

    The last fields follow from the others: *name* is its resource name, *endpoint* is scheme, host
    and port, which choose the endpoint's queue, *url_shown* is what logs may show of the URL.
    They are computed once, because each event and each delivery reads them.
    """

    owner: str
    subscription_id: str
    revision: int
    event_type: str
    payload_version: str
    active: bool
    deleted: bool
    url: Url | None
    url_problem: str
    url_hash: bytes
    filter: Filter
    headers: tuple[tuple[str, str], ...] = field(repr=False)
    keys: tuple[SigningKey, ...]
    credential: str
    client_certificate: str
    signing_key: str = ""
    asymmetric_signature: bool = False
    trace_context: bool = False
    unverified: bool = False
    schedule: tuple[timedelta, ...]
    ordered: bool
    max_concurrency: int
    rate_limit: int
    deactivate_after: timedelta | None
    create_time: datetime
    update_time: datetime
    matches_since: datetime | None = None
    key: SubscriptionKey = field(init=False, compare=False)
    name: str = field(init=False, compare=False)
    endpoint: str = field(init=False, compare=False)
    url_shown: str = field(init=False, compare=False)
    of_warehouse: bool = field(init=False, compare=False)

    def __post_init__(self) -> None:
        computed = {
            "key": (self.owner, self.subscription_id),
            "name": names.subscription(self.owner, self.subscription_id),
            "endpoint": "" if self.url is None else self.url.endpoint,
            "url_shown": "" if self.url is None else shown_url(self.url.text, self.url_hash),
            "of_warehouse": names.is_warehouse(self.owner),
        }
        for name, value in computed.items():
            object.__setattr__(self, name, value)


def compile_subscription(
    fed: FeedSubscription,
    rules: UrlRules,
    hashed: Callable[[str], bytes],
    matches_since: datetime | None = None,
) -> Subscription:
    """
    Compile a subscription of the feed. Raises `ValueError` for keys that cannot be read.

    A URL that breaks *rules* becomes *url_problem*. *hashed* is the keyed hash of URLs by
    which the log is searched.
    """
    message = fed.subscription
    owner, subscription_id = names.split(message.name)
    url, problem = _url(message.url, rules)
    return Subscription(
        owner=owner,
        subscription_id=subscription_id,
        revision=message.revision,
        event_type=message.event_type,
        payload_version=message.payload_version,
        active=message.status == subscription_pb2.Subscription.STATUS_ACTIVE,
        deleted=message.HasField("delete_time"),
        url=url,
        url_problem=problem,
        url_hash=hashed(url.text if url is not None else message.url),
        filter=_filter(message.filter) if message.HasField("filter") else NO_FILTER,
        headers=tuple((header.name, header.value) for header in message.custom_headers),
        keys=tuple(_signing_key(secret) for secret in fed.signing_secrets),
        credential=message.credential,
        client_certificate=message.client_certificate,
        signing_key=message.signing_key,
        asymmetric_signature=message.asymmetric_signature,
        trace_context=message.trace_context,
        unverified=message.status_reason == subscription_pb2.Subscription.STATUS_REASON_UNVERIFIED,
        schedule=read_schedule(message.retry_schedule.delays),
        ordered=message.ordered,
        max_concurrency=message.max_concurrency,
        rate_limit=message.rate_limit,
        deactivate_after=message.deactivate_after.ToTimedelta() or None,
        create_time=message.create_time.ToDatetime(tzinfo=UTC),
        update_time=message.update_time.ToDatetime(tzinfo=UTC),
        matches_since=matches_since,
    )


@dataclass(frozen=True, slots=True)
class SharedKeys:
    """
    The keys of a signing key that many subscriptions name: for those that ask for ed25519
    signatures too, and for others.
    """

    asymmetric: tuple[SigningKey, ...]
    symmetric: tuple[SigningKey, ...]

    def of(self, subscription: Subscription) -> tuple[SigningKey, ...]:
        """
        Return the keys that sign the requests of a subscription.
        """
        return self.asymmetric if subscription.asymmetric_signature else self.symmetric


def compile_signing_key(fed: FeedSigningKey) -> SharedKeys:
    """
    Compile a signing key of the feed. Raises `ValueError` for keys that cannot be read, and where
    there are none.
    """
    keys = tuple(_signing_key(secret) for secret in fed.signing_secrets)
    if not keys:
        raise ValueError("a signing key has no secret")
    return SharedKeys(keys, tuple(replace(key, private_key=None) for key in keys))


def begins_to_match(before: Subscription | None, now: Subscription) -> bool:
    """
    Tell whether a subscription matches events since an instant that was not known *before*.
    """
    if now.matches_since is None or not now.active or now.deleted:
        return False
    return before is None or before.matches_since != now.matches_since


def _url(text: str, rules: UrlRules) -> tuple[Url | None, str]:
    try:
        return parse_url(text, rules), ""
    except UrlRefusedError as refused:
        return None, str(refused)


NO_FILTER = Filter()


def _filter(message: subscription_pb2.SubscriptionFilter) -> Filter:
    return Filter(
        statuses=frozenset(map(folded, message.statuses)),
        shipping_methods=frozenset(map(folded, message.shipping_methods)),
        store_ids=frozenset(message.store_ids),
        order_types=frozenset(map(folded, message.order_types)),
        skus=frozenset(sku.strip() for sku in message.skus),
        channels=frozenset(map(folded, message.channels)),
    )


def _signing_key(secret: FeedSigningSecret) -> SigningKey:
    expires = secret.expire_time.ToDatetime(tzinfo=UTC) if secret.HasField("expire_time") else None
    return SigningKey(secret_bytes(secret.secret), expires, _private_key(secret.signing_key))


def _private_key(text: str) -> Ed25519PrivateKey | None:
    if not text:
        return None
    raw = base64.b64decode(text.removeprefix(PRIVATE_PREFIX))
    return Ed25519PrivateKey.from_private_bytes(raw)
