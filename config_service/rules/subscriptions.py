"""
The rules on subscriptions. No I/O, no clock: the rules of the environment and the features of
the owner are passed in.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from config_service.rules.credentials import header_of
from config_service.rules.errors import FeatureMissing
from config_service.rules.filters import filter_faults, normalised_filter
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rules.headers import header_problems, trimmed
from service_runtime.rules.urls import UrlRefusedError, UrlRules, parse_url
from shipedge.webhooks.catalogue import CATALOGUE, EventType
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.events.v1 import catalogue_pb2

SHORTEST_DELAY, LONGEST_DELAY = timedelta(seconds=1), timedelta(days=7)
LONGEST_SCHEDULE = timedelta(days=30)
SHORTEST_FAILING, LONGEST_FAILING = timedelta(hours=1), timedelta(days=90)
MOST_DELAYS = 20
MOST_DESCRIPTION = 500
MOST_CONCURRENCY = 100
MOST_RATE = 10_000

_NOTHING_WHEN_ZERO: Sequence[Literal["ordered", "max_concurrency", "rate_limit"]] = (
    "ordered",
    "max_concurrency",
    "rate_limit",
)

FEATURE_NAMES: Mapping[int, str] = {
    value: name.removeprefix("OWNER_FEATURE_") for name, value in catalogue_pb2.OwnerFeature.items()
}


def normalised(subscription: Subscription) -> Subscription:
    """
    Return a copy with trimmed texts, distinct filter values, and defaults filled in.
    """
    copy = Subscription()
    copy.CopyFrom(subscription)
    if copy.HasField("filter"):
        copy.filter.CopyFrom(normalised_filter(subscription.filter))
    for header in copy.custom_headers:
        header.value = trimmed(header.value)
    for field in _NOTHING_WHEN_ZERO:
        if not getattr(copy, field):
            copy.ClearField(field)
    copy.format = copy.format or Subscription.PAYLOAD_FORMAT_JSON
    copy.url = copy.url.strip()
    return copy


def check(
    subscription: Subscription, owner: str, *, rules: UrlRules, features: frozenset[int]
) -> None:
    """
    Check a normalised subscription.

    Raises `InvalidArgument` with all faults, and `FeatureMissing` if there are none but the owner
    lacks a feature.
    """
    event_type = CATALOGUE.event_types.get(subscription.event_type)
    faults = [
        *_event_faults(subscription, event_type, owner),
        *_url_faults(subscription, rules),
        *_header_faults(subscription),
        *_reference_faults(subscription, owner),
        *certificate_faults(subscription),
        *_enum_faults(subscription),
        *_limit_faults(subscription),
    ]
    refuse(faults)
    if event_type is not None and event_type.feature and event_type.feature not in features:
        feature = FEATURE_NAMES[event_type.feature]
        raise FeatureMissing(owner, event_type.event_type, feature)


def identical_warnings(subscription: Subscription, same: Sequence[str]) -> list[str]:
    """
    Return the warning of a subscription that sends the *same* as others, by their names.
    """
    if not same:
        return []
    more = f" and {len(same) - 1} more" if len(same) > 1 else ""
    text = (
        f"{same[0]}{more} sends the same events ({subscription.event_type},"
        f" {subscription.payload_version}) to the same URL with the same filter: the receiver gets"
        " each of them more than once."
    )
    return [text]


def refuse(faults: list[FieldFault]) -> None:
    """
    Raise `InvalidArgument` if there are faults, with the reason of the first one by the order of
    the fields.
    """
    if not faults:
        return
    raise InvalidArgument(
        "The subscription is not valid.",
        faults=[replace(it, field=f"subscription.{it.field}") for it in sorted(faults, key=_place)],
    )


def _place(fault: FieldFault) -> int:
    return Subscription.DESCRIPTOR.fields_by_name[re.split(r"[.\[]", fault.field)[0]].number


def _event_faults(
    subscription: Subscription, event_type: EventType | None, owner: str
) -> Iterator[FieldFault]:
    if event_type is None:
        yield FieldFault(
            "event_type",
            f"{subscription.event_type!r} is not an event type{_suggestion(subscription)};"
            " ListEventTypes lists them",
            "EVENT_TYPE_UNKNOWN",
            {"eventType": subscription.event_type},
        )
        return
    if names.is_warehouse(owner) and not event_type.warehouse:
        allowed = [it.event_type for it in CATALOGUE.event_types.values() if it.warehouse]
        yield FieldFault(
            "event_type",
            f"{event_type.event_type!r} is not for warehouses; they may choose"
            f" {', '.join(allowed)}",
            "EVENT_TYPE_UNKNOWN",
            {"eventType": event_type.event_type},
        )
    offered = ", ".join(event_type.payload_versions)
    if subscription.payload_version not in event_type.payload_versions:
        yield FieldFault(
            "payload_version",
            f"{subscription.payload_version!r} is not offered for {event_type.event_type}:"
            f" choose {offered}",
            "PAYLOAD_VERSION_UNKNOWN",
            {
                "eventType": event_type.event_type,
                "payloadVersion": subscription.payload_version,
                "offered": offered,
            },
        )
    yield from filter_faults(subscription.filter, event_type)


def _suggestion(subscription: Subscription) -> str:
    near = difflib.get_close_matches(subscription.event_type, CATALOGUE.event_types, n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _url_faults(subscription: Subscription, rules: UrlRules) -> Iterator[FieldFault]:
    try:
        parse_url(subscription.url, rules)
    except UrlRefusedError as refused:
        yield FieldFault("url", str(refused), "URL_INVALID")


def _header_faults(subscription: Subscription) -> Iterator[FieldFault]:
    pairs = [(header.name, header.value) for header in subscription.custom_headers]
    for index, (_, value) in enumerate(pairs):
        if not value:
            yield FieldFault(f"custom_headers[{index}].value", "must be set", "HEADER_INVALID")
    for problem in header_problems(pairs, has_credential=bool(subscription.credential)):
        path = "custom_headers"
        if problem.index is not None:
            path += f"[{problem.index}].{problem.field}"
        yield FieldFault(path, problem.reason, "HEADER_INVALID")


def _reference_faults(subscription: Subscription, owner: str) -> Iterator[FieldFault]:
    for kind, example in (
        ("credential", names.credential(owner, "…")),
        ("client_certificate", names.client_certificate(owner, "…")),
        ("signing_key", names.signing_key(owner, "…")),
    ):
        text = getattr(subscription, kind)
        if not text:
            continue
        try:
            same_owner = names.parse(kind, text).owner == owner
        except InvalidArgument:
            same_owner = False
        if not same_owner:
            yield FieldFault(kind, f"must be the name of one of this owner, {example}")


def certificate_faults(subscription: Subscription) -> Iterator[FieldFault]:
    """
    Yield the fault of a client certificate that would never be shown.
    """
    if subscription.client_certificate and subscription.url.lower().startswith("http:"):
        yield FieldFault(
            "client_certificate", "must be empty for an http URL: certificates are shown over TLS"
        )


def given_secret_faults(subscription: Subscription) -> Iterator[FieldFault]:
    """
    Yield the fault of a subscription that is to be created with a secret: it would be dropped.
    """
    if subscription.signing_secret:
        yield FieldFault(
            "signing_secret",
            "must be empty: a secret that you bring along belongs to a signing key, which"
            " signing_key names",
        )


def collision_faults(subscription: Subscription, credential: Credential) -> Iterator[FieldFault]:
    """
    Yield the custom headers that have the name of the header that a credential sets.
    """
    taken = header_of(credential).lower()
    for index, header in enumerate(subscription.custom_headers):
        if header.name.lower() == taken:
            yield FieldFault(
                f"custom_headers[{index}].name",
                f"must not be {header.name!r}: {subscription.credential} sets this header",
                "HEADER_INVALID",
            )


def _enum_faults(subscription: Subscription) -> Iterator[FieldFault]:
    if subscription.status not in {Subscription.STATUS_ACTIVE, Subscription.STATUS_INACTIVE}:
        yield FieldFault("status", "must be STATUS_ACTIVE or STATUS_INACTIVE")
    if subscription.format != Subscription.PAYLOAD_FORMAT_JSON:
        yield FieldFault("format", "must be PAYLOAD_FORMAT_JSON")


def _limit_faults(subscription: Subscription) -> Iterator[FieldFault]:
    if len(subscription.description) > MOST_DESCRIPTION:
        yield FieldFault("description", f"must be at most {MOST_DESCRIPTION} characters")
    if "\0" in subscription.description:
        yield FieldFault("description", "must not hold NUL")
    present = {field.name for field, _ in subscription.ListFields()}
    if not 0 <= subscription.max_concurrency <= MOST_CONCURRENCY:
        yield FieldFault("max_concurrency", f"must be 1 to {MOST_CONCURRENCY}, or 0 for no limit")
    if not 0 <= subscription.rate_limit <= MOST_RATE:
        yield FieldFault("rate_limit", f"must be 1 to {MOST_RATE:,} a second, or 0 for no limit")
    if "deactivate_after" in present:
        after = subscription.deactivate_after.ToTimedelta()
        if not SHORTEST_FAILING <= after <= LONGEST_FAILING:
            yield FieldFault("deactivate_after", "must be 1 hour to 90 days")
    if "retry_schedule" in present:
        yield from schedule_faults(subscription.retry_schedule.delays, "retry_schedule.delays")


def schedule_faults(delays: object, field: str) -> Iterator[FieldFault]:
    """
    Yield the faults of the delays of a retry schedule.
    """
    spans = [delay.ToTimedelta() for delay in delays]  # type: ignore[attr-defined]
    if not 1 <= len(spans) <= MOST_DELAYS:
        yield FieldFault(field, f"must hold 1 to {MOST_DELAYS} delays")
    for index, span in enumerate(spans):
        if not SHORTEST_DELAY <= span <= LONGEST_DELAY:
            yield FieldFault(f"{field}[{index}]", "must be 1 s to 7 days")
    if sum(spans, timedelta()) > LONGEST_SCHEDULE:
        yield FieldFault(field, "must be 30 days in all at most")
