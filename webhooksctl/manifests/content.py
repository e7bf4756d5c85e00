"""
Subscriptions of an owner as a file describes them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from google.protobuf.json_format import MessageToDict, ParseDict, ParseError

from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from webhooksctl.manifests.reading import ManifestInvalidError, documents, mapping
from webhooksctl.rpc.names import is_wildcard, owner_name, resource_name, short_name
from webhooksctl.words import times
from webhooksctl.words.values import number_of, word_of

FIELDS: Final = (
    "event_type",
    "payload_version",
    "url",
    "status",
    "description",
    "filter",
    "custom_headers",
    "credential",
    "client_certificate",
    "signing_key",
    "asymmetric_signature",
    "trace_context",
    "ordered",
    "retry_schedule",
    "deactivate_after",
    "max_concurrency",
    "rate_limit",
    "verify_url",
)
"""
The fields that a manifest decides; one that it leaves out has its default.
"""

_NEEDED: Final = ("event_type", "payload_version", "url")

_COLLECTIONS: Final = {
    "credential": "credentials",
    "client_certificate": "clientCertificates",
    "signing_key": "signingKeys",
}


@dataclass(frozen=True, slots=True)
class Manifest:
    """
    What an owner is to have: subscriptions by id. Values of headers may be references.
    """

    owner: str
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)


def read_manifests(text: str, resolved: Callable[[str], str]) -> list[Manifest]:
    """
    Return what the documents of a file describe. *resolved* reads references, which URLs may be.

    Raises `ManifestInvalidError` that names the document and the field.
    """
    found = [_manifest(each, resolved) for each in documents(text)]
    owners = [each.owner for each in found]
    for owner in owners:
        if owners.count(owner) > 1:
            raise ManifestInvalidError(f"owner {owner} has two documents: write them as one")
    if not found:
        raise ManifestInvalidError("there is nothing in it")
    return found


def _manifest(document: Any, resolved: Callable[[str], str]) -> Manifest:
    content = mapping(document, "a document", ("owner", "subscriptions"))
    try:
        owner = owner_name(str(content.get("owner", "")))
    except ValueError as refused:
        raise ManifestInvalidError(f"owner: {refused}") from refused
    if is_wildcard(owner):
        raise ManifestInvalidError(f"owner: {owner} stands for many; name one")
    subscriptions = mapping(content.get("subscriptions") or {}, f"{owner}: subscriptions")
    return Manifest(
        owner,
        {
            identifier: _subscription(owner, identifier, given, resolved)
            for identifier, given in subscriptions.items()
        },
    )


def _subscription(
    owner: str, identifier: str, given: Any, resolved: Callable[[str], str]
) -> Subscription:
    where = f"{owner}: {identifier}"
    content = mapping(given, where, FIELDS)
    if missing := [name for name in _NEEDED if not content.get(name)]:
        raise ManifestInvalidError(f"{where}: {missing[0]} is missing")
    found = Subscription(status=Subscription.STATUS_ACTIVE)
    for name, value in content.items():
        try:
            ParseDict({name: _as_contract(owner, name, value, resolved)}, found)
        except (ParseError, ValueError, TypeError, AttributeError) as refused:
            raise ManifestInvalidError(f"{where}: {name}: {refused}") from refused
    found.name = resource_name("subscriptions", owner, identifier)
    return found


def _as_contract(owner: str, name: str, value: Any, resolved: Callable[[str], str]) -> Any:
    """
    Return the value of a field as protobuf's JSON has it.
    """
    match name:
        case "url":
            return resolved(str(value))
        case "status":
            return number_of(Subscription.Status.DESCRIPTOR, str(value))
        case "custom_headers":
            headers = mapping(value, "custom_headers")
            return [{"name": key, "value": _header(text)} for key, text in headers.items()]
        case "retry_schedule":
            return {"delays": [_seconds(text) for text in value]}
        case "deactivate_after":
            return _seconds(value)
        case "credential" | "client_certificate" | "signing_key":
            return resource_name(_COLLECTIONS[name], owner, str(value)) if value else ""
        case _:
            return value


def _header(value: Any) -> str:
    if not isinstance(value, str | None):
        raise TypeError("values are texts, env:NAME, file:PATH, or nothing to keep the present one")
    return value or ""


def _seconds(text: Any) -> str:
    return f"{round(times.duration(str(text)).total_seconds())}s"


def written(subscription: Subscription) -> dict[str, Any]:
    """
    Return a subscription as a manifest describes it. Values of headers are not known: they are
    kept.
    """
    plain = MessageToDict(subscription, preserving_proto_field_name=True)
    found: dict[str, Any] = {name: plain[name] for name in FIELDS if name in plain}
    found["status"] = word_of(Subscription.Status.DESCRIPTOR, subscription.status)
    if found["status"] == "active":
        del found["status"]
    if subscription.custom_headers:
        found["custom_headers"] = dict.fromkeys(it.name for it in subscription.custom_headers)
    if subscription.HasField("retry_schedule"):
        delays = subscription.retry_schedule.delays
        found["retry_schedule"] = [times.written(it.seconds) for it in delays]
    if subscription.HasField("deactivate_after"):
        found["deactivate_after"] = times.written(subscription.deactivate_after.seconds)
    for name in _COLLECTIONS.keys() & found.keys():
        found[name] = short_name(found[name])
    if "store_ids" in found.get("filter", {}):
        found["filter"] |= {"store_ids": list(subscription.filter.store_ids)}
    return found
