"""
The flags that describe a subscription.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from webhooksctl.options.completion import event_types
from webhooksctl.options.groups import Flag, Given
from webhooksctl.words import times

_TEXTS: Final = {
    "event": "event_type",
    "version": "payload_version",
    "url": "url",
    "description": "description",
}
_REFERENCES: Final = {
    "credential": ("credential", "credentials"),
    "certificate": ("client_certificate", "clientCertificates"),
    "signing_key": ("signing_key", "signingKeys"),
}
_FILTERS: Final = {
    "filter_status": "statuses",
    "filter_shipping_method": "shipping_methods",
    "filter_store": "store_ids",
    "filter_order_type": "order_types",
    "filter_sku": "skus",
    "filter_channel": "channels",
}

FLAGS: Final = (
    Flag("event", "The event type: orders/shipped.", str | None, None, completed=event_types),
    Flag("version", "The payload version: v2.", str | None, None),
    Flag("url", "Where events are sent.", str | None, None),
    Flag("description", "For people.", str | None, None),
    Flag(
        "header",
        "'Name: value', repeated. The value may be env:NAME or file:PATH; 'Name' alone keeps it.",
        list[str] | None,
        None,
    ),
    Flag("credential", "Id or name of a credential.", str | None, None),
    Flag("certificate", "Id or name of a client certificate.", str | None, None),
    Flag("signing_key", "Id or name of a signing key.", str | None, None),
    Flag("retry", "Delays before further attempts: 5s,5m,1h.", str | None, None),
    Flag("deactivate_after", "Failing for so long, it is set Inactive: 2d.", str | None, None),
    Flag(
        "ordered", "One after the other for each order.", bool | None, None, "--ordered/--unordered"
    ),
    Flag("max_concurrency", "Most open requests.", int | None, None),
    Flag("rate_limit", "Most requests in a second.", int | None, None),
    Flag(
        "asymmetric_signature",
        "Sign with an ed25519 key too.",
        bool | None,
        None,
        "--asymmetric-signature/--no-asymmetric-signature",
    ),
    Flag(
        "trace_context",
        "Send traceparent with requests.",
        bool | None,
        None,
        "--trace-context/--no-trace-context",
    ),
    Flag(
        "verify_url",
        "Send nothing until the URL has answered a challenge; given again, it is asked again.",
        bool | None,
        None,
        "--verify-url/--no-verify-url",
    ),
    *(
        Flag(name, f"{field} of the filter, repeated.", list[str] | None, None)
        for name, field in _FILTERS.items()
    ),
)


def subscription_of(
    given: Given, full: Callable[[str, str], str], resolved: Callable[[str], str]
) -> tuple[Subscription, list[str]]:
    """
    Return the subscription that flags describe, and the fields that they set, as paths of an
    update mask. *full* makes the name of a resource from its collection and id; *resolved* reads
    a reference to a secret.

    Raises `ValueError` that names the flag.
    """
    found = Subscription()
    paths: dict[str, None] = {}
    for name, value in given.items():
        if value is None or value == []:
            continue
        try:
            paths[_set(found, name, value, full, resolved)] = None
        except ValueError as refused:
            raise ValueError(f"--{name.replace('_', '-')}: {refused}") from refused
    return found, list(paths)


def _set(
    found: Subscription,
    name: str,
    value: Any,
    full: Callable[[str, str], str],
    resolved: Callable[[str], str],
) -> str:
    """
    Set a field; return its path.
    """
    if name in _REFERENCES:
        field, collection = _REFERENCES[name]
        setattr(found, field, full(collection, value) if value else "")
        return field
    if name in _FILTERS:
        _add_filter(found, _FILTERS[name], value)
        return "filter"
    if name in _READERS:
        return _READERS[name](found, value, resolved)
    field = _TEXTS.get(name, name)
    setattr(found, field, value)
    return field


def _add_filter(found: Subscription, field: str, values: list[str]) -> None:
    texts = [value for value in values if value]
    if field == "store_ids":
        found.filter.store_ids.extend(map(int, texts))
    else:
        getattr(found.filter, field).extend(texts)


def _headers(found: Subscription, values: list[str], resolved: Callable[[str], str]) -> str:
    for text in values:
        name, _, value = text.partition(":")
        found.custom_headers.add(name=name.strip(), value=resolved(value.strip()))
    return "custom_headers"


def _schedule(found: Subscription, value: str, _: Callable[[str], str]) -> str:
    delays = [times.duration_message(text.strip()) for text in value.split(",") if text.strip()]
    if delays:
        found.retry_schedule.delays.extend(delays)
    return "retry_schedule"


def _deactivation(found: Subscription, value: str, _: Callable[[str], str]) -> str:
    if value:
        found.deactivate_after.CopyFrom(times.duration_message(value))
    return "deactivate_after"


_Reader = Callable[[Subscription, Any, Callable[[str], str]], str]

_READERS: Mapping[str, _Reader] = {
    "header": _headers,
    "retry": _schedule,
    "deactivate_after": _deactivation,
}
