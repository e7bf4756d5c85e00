"""
The subscriptions as deliveries need them: compiled once when they change, held
in memory, found by owner and event type. No I/O, no clock.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from dispatch_service.domain.credentials import ClientIdentity, CompiledCredential
from dispatch_service.domain.deliveries import DEFAULT_RETRY_SCHEDULE
from dispatch_service.routing.owner_settings import DEFAULT_SETTINGS, OwnerSettings, read_schedule
from service_runtime.keys.macs import Mac
from service_runtime.rules.urls import Url, UrlRefusedError, UrlRules, parse_url
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.config.v1 import subscription_pb2

PRIVATE_PREFIX = "whsk_"
SECRET_PREFIX = "whsec_"  # noqa: S105 - the documented prefix of a secret, not a secret


@dataclass(frozen=True, slots=True)
class SigningKey:
    """
    A key that requests are signed with until *expire_time*, if it has one, and the
    ed25519 key beside it, where the subscription asks for such signatures.
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
    Which events are sent; an empty set lets all pass.

    Texts other than SKUs are held in lower case and without outer space.
    """

    statuses: frozenset[str] = frozenset()
    shipping_methods: frozenset[str] = frozenset()
    store_ids: frozenset[int] = frozenset()
    order_types: frozenset[str] = frozenset()
    skus: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """
    A subscription as the newest applied revision has it.

    *url* is None where the URL cannot be used (any more), with the reason in
    *url_problem*. *schedule* is the subscription's own, empty for none.
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
    schedule: tuple[timedelta, ...]
    ordered: bool
    max_concurrency: int
    rate_limit: int
    deactivate_after: timedelta | None
    create_time: datetime
    update_time: datetime

    @property
    def name(self) -> str:
        """
        The resource name.
        """
        return f"{self.owner}/subscriptions/{self.subscription_id}"

    @property
    def endpoint(self) -> str:
        """
        The lane of its requests: scheme, host and port. Empty for a URL that cannot be used.
        """
        return self.url.endpoint if self.url is not None else ""

    @property
    def url_shown(self) -> str:
        """
        The URL as far as logs may show it.
        """
        return self.url.shown if self.url is not None else ""


def compile_subscription(
    message: subscription_pb2.Subscription, rules: UrlRules, hashed: Callable[[str], bytes]
) -> Subscription:
    """
    Read a subscription of the feed. A URL that breaks *rules* is kept as a problem.

    *hashed* is the keyed hash that the log finds URLs by.
    """
    owner, _, subscription_id = message.name.partition("/subscriptions/")
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
        keys=tuple(_signing_key(secret) for secret in message.signing_secrets),
        credential=message.credential,
        client_certificate=message.client_certificate,
        schedule=read_schedule(message.retry_schedule.delays),
        ordered=message.ordered,
        max_concurrency=message.max_concurrency,
        rate_limit=message.rate_limit,
        deactivate_after=message.deactivate_after.ToTimedelta() or None,
        create_time=message.create_time.ToDatetime(tzinfo=UTC),
        update_time=message.update_time.ToDatetime(tzinfo=UTC),
    )


def folded(text: str) -> str:
    """
    Bring a text into the form in which filters compare.
    """
    return text.strip().casefold()


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
    )


def _signing_key(secret: subscription_pb2.SigningSecret) -> SigningKey:
    expires = secret.expire_time.ToDatetime(tzinfo=UTC) if secret.HasField("expire_time") else None
    return SigningKey(secret_bytes(secret.secret), expires, _private_key(secret.signing_key))


def _private_key(text: str) -> Ed25519PrivateKey | None:
    if not text:
        return None
    raw = base64.b64decode(text.removeprefix(PRIVATE_PREFIX))
    return Ed25519PrivateKey.from_private_bytes(raw)


def secret_bytes(secret: str) -> bytes:
    """
    Decode a signing secret: base64 after `whsec_`. Raises `ValueError`.
    """
    try:
        return base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError("a signing secret is not base64") from None


_NONE: Mapping[str, Any] = {}


@dataclass(slots=True)
class SubscriptionIndex:
    """
    The subscriptions in memory: by name, and the live ones by owner and event type; of
    those that are *limited* in requests at a time or in a second the names.

    A snapshot was *received* once in the life of the database; it is *complete*
    when the events that waited for it have been matched. It is changed only
    between two awaits of one event loop, so readers see whole changes.
    """

    received: bool = False
    complete: bool = False
    by_name: dict[str, Subscription] = field(default_factory=dict)
    credentials: dict[str, CompiledCredential] = field(default_factory=dict)
    identities: dict[str, ClientIdentity] = field(default_factory=dict)
    limited: set[str] = field(default_factory=set)
    _live: dict[str, dict[str, dict[str, Subscription]]] = field(default_factory=dict)
    _overrides: dict[str, int] = field(default_factory=dict)
    _settings: dict[str, OwnerSettings] = field(default_factory=dict)

    def live(self, owner: str) -> Mapping[str, Mapping[str, Subscription]]:
        """
        Return the subscriptions of *owner* by event type and name, Inactive ones too; not
        those deleted.
        """
        return self._live.get(owner, _NONE)

    def of_owner(self, owner: str) -> Iterator[Subscription]:
        """
        Yield the subscriptions of *owner* that are not deleted, in the catalogue's order.
        """
        live = self.live(owner)
        for event_type in CATALOGUE.event_types:
            yield from live.get(event_type, _NONE).values()

    def names(self) -> set[str]:
        """
        Return the names of all subscriptions, credentials and client certificates.
        """
        return {*self.by_name, *self.credentials, *self.identities}

    def settings(self, owner: str) -> OwnerSettings:
        """
        Return what holds for all of *owner*.
        """
        return self._settings.get(owner, DEFAULT_SETTINGS)

    def put(self, subscription: Subscription) -> None:
        """
        Add *subscription*, or replace what it was.
        """
        self.remove(subscription.name)
        if self._overrides.get(subscription.name, -1) >= subscription.revision:
            subscription = replace(subscription, active=False)
        self.by_name[subscription.name] = subscription
        if subscription.max_concurrency or subscription.rate_limit:
            self.limited.add(subscription.name)
        if not subscription.deleted:
            live = self._live.setdefault(subscription.owner, {})
            live.setdefault(subscription.event_type, {})[subscription.name] = subscription

    def remove(self, name: str) -> None:
        """
        Forget the subscription, credential or client certificate *name*, if it is there.
        """
        self.credentials.pop(name, None)
        self.identities.pop(name, None)
        self.limited.discard(name)
        old = self.by_name.pop(name, None)
        if old is None:
            return
        live = self._live.get(old.owner, {})
        alike = live.get(old.event_type, {})
        alike.pop(name, None)
        if not alike:
            live.pop(old.event_type, None)
        if not live:
            self._live.pop(old.owner, None)

    def override(self, revisions: Mapping[str, int]) -> None:
        """
        Let subscriptions count as Inactive until one newer than a revision comes.
        """
        for name, revision in revisions.items():
            if self._overrides.get(name) != revision:
                self._overrides[name] = revision
                known = self.by_name.get(name)
                if known is not None:
                    self.put(known)

    def settings_of_warehouses(self) -> list[OwnerSettings]:
        """
        Return what warehouses have set.
        """
        found = self._settings.items()
        return [it for owner, it in found if owner.startswith("warehouses/")]

    def put_settings(self, owner: str, settings: OwnerSettings) -> None:
        """
        Replace what holds for all of *owner*.
        """
        self._settings[owner] = settings

    def schedule_of(self, subscription: Subscription) -> tuple[timedelta, ...]:
        """
        Return the delays after the first attempt: its own, its owner's or the default.
        """
        return (
            subscription.schedule
            or self.settings(subscription.owner).schedule
            or DEFAULT_RETRY_SCHEDULE
        )
