"""
Access rules: one for every method of the contract.

A method without a rule is refused, so a new method cannot be forgotten. Callers are checked
before their requests are validated. A refusal does not say whether the resource exists.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from service_runtime.rpc import names
from service_runtime.rpc.callers import Caller
from service_runtime.rpc.errors import PermissionDenied

_READ = frozenset({"reader", "operator", "admin"})
_OPERATE = frozenset({"operator", "admin"})
_ADMINISTER = frozenset({"admin"})
_PUBLISH = frozenset({"publisher"})
_FEED = frozenset({"feed"})
_ANY = frozenset({"publisher", "reader", "operator", "admin"})

_OWNER = re.compile(r"(?:accounts|warehouses)/[^/]+")


@dataclass(frozen=True, slots=True)
class AccessRule:
    """
    The roles that may call a method; the caller needs one of them.

    A method with *everything* concerns all owners, so only callers for all owners may call it.
    Without *guests* those who came by a portal link may not.
    """

    roles: frozenset[str]
    everything: bool = False
    guests: bool = True


_CONFIG = "shipedge.webhooks.config.v1"
_DISPATCH = "shipedge.webhooks.dispatch.v1"
_FEED_PACKAGE = "shipedge.webhooks.feed.v1"

_BY_SERVICE: Mapping[str, Mapping[str, AccessRule]] = {
    f"{_CONFIG}.ConfigService": {
        **dict.fromkeys(
            (
                "GetSubscription",
                "ListSubscriptions",
                "GetCredential",
                "ListCredentials",
                "GetClientCertificate",
                "ListClientCertificates",
                "GetSigningKey",
                "ListSigningKeys",
                "GetOwnerSettings",
                "ListEndpointEvents",
                "WatchEndpointEvents",
            ),
            AccessRule(_READ),
        ),
        **dict.fromkeys(
            (
                "CreateSubscription",
                "UpdateSubscription",
                "DeleteSubscription",
                "UndeleteSubscription",
                "RotateSigningSecret",
                "CreateCredential",
                "UpdateCredential",
                "DeleteCredential",
                "CreateClientCertificate",
                "UpdateClientCertificate",
                "DeleteClientCertificate",
                "CreateSigningKey",
                "RotateSigningKey",
                "DeleteSigningKey",
                "BatchCreateSubscriptions",
                "UpdateOwnerSettings",
            ),
            AccessRule(_ADMINISTER),
        ),
        **dict.fromkeys(("ListEventTypes", "GetEventType", "GetEgressRanges"), AccessRule(_ANY)),
        "CreatePortalLink": AccessRule(_READ, guests=False),
    },
    f"{_FEED_PACKAGE}.FeedService": dict.fromkeys(
        ("WatchConfiguration", "ReportEndpointEvents"), AccessRule(_FEED, everything=True)
    ),
    f"{_CONFIG}.ConfigAdminService": {
        **dict.fromkeys(
            (
                "CreateCaller",
                "GetCaller",
                "ListCallers",
                "UpdateCaller",
                "RotateCallerToken",
                "DeleteCaller",
                "RotateEncryptionKeys",
                "VerifyAuditLog",
            ),
            AccessRule(_ADMINISTER, everything=True),
        ),
        "ListAuditEntries": AccessRule(_ADMINISTER, guests=False),
    },
    f"{_DISPATCH}.PublisherService": dict.fromkeys(
        ("PublishEvents", "StreamEvents"), AccessRule(_PUBLISH)
    ),
    f"{_DISPATCH}.DeliveryService": {
        **dict.fromkeys(
            (
                "GetEvent",
                "ListEvents",
                "GetDelivery",
                "ListDeliveries",
                "GetAttempt",
                "ListAttempts",
                "WatchAttempts",
                "GetSubscriptionStats",
                "ListSubscriptionStats",
                "GetResendJob",
                "ListResendJobs",
                "GetReplayJob",
                "ListReplayJobs",
            ),
            AccessRule(_READ),
        ),
        **dict.fromkeys(
            (
                "GetDeliveryBody",
                "ForwardDeliveries",
                "ResendDelivery",
                "ResendDeliveries",
                "CancelResendJob",
                "ReplayEvents",
                "CancelReplayJob",
                "CancelDelivery",
            ),
            AccessRule(_OPERATE),
        ),
    },
    f"{_DISPATCH}.PayloadService": dict.fromkeys(
        ("PreviewPayload", "DiffPayloadVersions", "SendTestEvent", "ExplainEvent"),
        AccessRule(_OPERATE),
    ),
    f"{_DISPATCH}.DispatchAdminService": {
        "EraseCustomerData": AccessRule(_ADMINISTER, guests=False),
        "ListAuditEntries": AccessRule(_ADMINISTER, guests=False),
        "RotateEncryptionKeys": AccessRule(_ADMINISTER, everything=True),
        "VerifyAuditLog": AccessRule(_ADMINISTER, everything=True),
    },
}

RULES: Mapping[str, AccessRule] = {
    f"/{service}/{method}": rule
    for service, methods in _BY_SERVICE.items()
    for method, rule in methods.items()
}
"""
The rule of each method, by the path of the method.
"""


def authorise(caller: Caller, method: str, request: Any) -> Sequence[str]:
    """
    Return the owners that *request* names. Raises `PermissionDenied` if *caller* may not send it
    to *method*.
    """
    rule = RULES.get(method)
    if rule is None or not rule.roles & caller.roles:
        raise _denied(method, "")
    if rule.everything and not caller.touches_everything:
        raise _denied(method, "")
    if caller.guest and not rule.guests:
        raise _denied(method, "")
    owners = tuple(owners_of(request))
    for owner in owners:
        if not caller.may_touch(owner):
            raise _denied(method, owner)
    return owners


def owners_of(request: Any) -> Iterator[str]:
    """
    Yield the owners that a request names. Malformed names have none: validation refuses them.
    """
    for field, reader in _naming_fields(request.__class__):
        for text in reader(getattr(request, field)):
            if found := _OWNER.match(text):
                yield found[0]


def _names(value: Any) -> Iterator[str]:
    yield value if isinstance(value, str) else str(value.name)


def _each(value: Any) -> Iterator[str]:
    yield from value


def _subscription(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    else:
        yield from (value.name, value.credential, value.client_certificate, value.signing_key)


def _subscriptions(requests: Any) -> Iterator[str]:
    for request in requests:
        yield request.parent
        yield from _subscription(request.subscription)


def _accounts(events: Any) -> Iterator[str]:
    for account in dict.fromkeys([event.account_id for event in events[:]]):
        yield names.account(account)


def _account(event: Any) -> Iterator[str]:
    if event.account_id:
        yield names.account(event.account_id)


# All fields of requests that can name an owner, but for warehouses of events: those are judged
# event by event.
_READERS: Mapping[str, Callable[[Any], Iterator[str]]] = {
    "parent": _names,
    "name": _names,
    "names": _each,
    "subscription": _subscription,
    "credential": _names,
    "client_certificate": _names,
    "signing_key": _names,
    "accepted_event": _names,
    "requests": _subscriptions,
    "settings": _names,
    "events": _accounts,
}

# Fields that name an owner in one request alone: an event that is previewed concerns nobody.
_READERS_OF_REQUEST: Mapping[tuple[str, str], Callable[[Any], Iterator[str]]] = {
    ("SendTestEventRequest", "event"): _account,
}


@cache
def _naming_fields(kind: Any) -> Sequence[tuple[str, Callable[[Any], Iterator[str]]]]:
    """
    Return the fields of a request type that name owners, with their readers.
    """
    request = str(kind.DESCRIPTOR.name)
    fields = [str(it) for it in kind.DESCRIPTOR.fields_by_name]
    readers = [_READERS.get(it) or _READERS_OF_REQUEST.get((request, it)) for it in fields]
    return [(it, read) for it, read in zip(fields, readers, strict=True) if read is not None]


def _denied(method: str, owner: str) -> PermissionDenied:
    name = method.rpartition("/")[2]
    what = f" on {owner}" if owner else ""
    return PermissionDenied(
        f"{name}{what} is not permitted, or there is no such thing.", method=name, owner=owner
    )
