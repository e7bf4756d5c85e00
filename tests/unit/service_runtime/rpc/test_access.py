"""
Who may call what: every method of every service, for every kind of caller.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from service_runtime.rpc.access import RULES, authorise, owners_of
from service_runtime.rpc.callers import ROLES, Caller
from service_runtime.rpc.errors import PermissionDenied
from shipedge.webhooks.config.v1 import (
    config_admin_service_pb2,
    config_service_pb2,
)
from shipedge.webhooks.dispatch.v1 import (
    delivery_service_pb2,
    dispatch_admin_service_pb2,
    payload_service_pb2,
    publisher_service_pb2,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)

OWNER = "accounts/100"
EVERYTHING = frozenset({"accounts/-", "warehouses/-"})

FILES = (
    config_admin_service_pb2,
    config_service_pb2,
    feed_service_pb2,
    dispatch_admin_service_pb2,
    delivery_service_pb2,
    payload_service_pb2,
    publisher_service_pb2,
)


def methods() -> Iterator[tuple[str, MethodDescriptor]]:
    """
    Yield the path and the descriptor of every method of the contract.
    """
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                yield f"/{service.full_name}/{method.name}", method


METHODS = dict(methods())


def request_on(path: str, owner: str) -> Any:
    """
    Make a request in which every field that can name an owner names *owner*.
    """
    request: Any = message_factory.GetMessageClass(METHODS[path].input_type)()
    for field in request.DESCRIPTOR.fields:
        if field.name in {"parent", "name"}:
            setattr(request, field.name, f"{owner}/things/x")
        elif field.name in {"subscription", "credential", "client_certificate", "settings"}:
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                getattr(request, field.name).name = f"{owner}/things/x"
            else:
                setattr(request, field.name, f"{owner}/things/x")
        elif field.name == "events":
            request.events.add(account_id=int(owner.rpartition("/")[2]))
    return request


def caller(*roles: str, owners: frozenset[str] = EVERYTHING) -> Caller:
    """
    Make a caller.
    """
    return Caller("callers/x", frozenset(roles), owners)


def allowed(who: Caller, path: str, request: Any) -> bool:
    """
    Tell whether a caller gets through.
    """
    try:
        authorise(who, path, request)
    except PermissionDenied:
        return False
    return True


def test_every_method_has_a_rule() -> None:
    """
    No method is forgotten, and no rule is left over.
    """
    assert set(RULES) == set(METHODS)


@pytest.mark.parametrize("path", METHODS)
def test_roles(path: str) -> None:
    """
    A method lets in the roles of its rule, each by itself, and no others.
    """
    request = request_on(path, OWNER)
    let_in = {role for role in ROLES if allowed(caller(role), path, request)}
    assert let_in == RULES[path].roles
    assert not allowed(caller(), path, request)


@pytest.mark.parametrize("path", METHODS)
def test_owners(path: str) -> None:
    """
    Who may touch one account touches no other.
    """
    roles = RULES[path].roles
    mine = caller(*roles, owners=frozenset({OWNER}))
    assert allowed(mine, path, request_on(path, OWNER)) is not RULES[path].everything
    other = request_on(path, "accounts/200")
    names_nobody = not list(owners_of(other))
    assert allowed(mine, path, other) is (names_nobody and not RULES[path].everything)


@pytest.mark.parametrize(
    "path", [path for path, rule in RULES.items() if rule.roles & {"admin", "reader", "publisher"}]
)
def test_requests_about_an_owner_name_it(path: str) -> None:
    """
    Only what concerns no owner, or everything, has a request in which none is found.
    """
    about_nobody = {
        "ListEventTypes",
        "GetEventType",
        "GetEgressRanges",
        "PreviewPayload",
        "DiffPayloadVersions",
        "RotateEncryptionKeys",
        "VerifyAuditLog",
        "CreateCaller",
        "ListCallers",
        "UpdateCaller",
    }
    named = list(owners_of(request_on(path, OWNER)))
    if path.rpartition("/")[2] not in about_nobody:
        assert set(named) == {OWNER}


@pytest.mark.parametrize(
    ("owners", "owner", "fits"),
    [
        ({"accounts/100"}, "accounts/100", True),
        ({"accounts/100"}, "accounts/1000", False),
        ({"accounts/100"}, "accounts/-", False),
        ({"accounts/-"}, "accounts/-", True),
        ({"accounts/-"}, "warehouses/wh1", False),
        ({"warehouses/wh1"}, "warehouses/wh1", True),
    ],
)
def test_owner_must_fit_whole(owners: set[str], owner: str, fits: bool) -> None:
    """
    A prefix is not enough; the wildcard of lists needs all of a kind.
    """
    assert caller(owners=frozenset(owners)).may_touch(owner) is fits


def test_unknown_method_is_refused() -> None:
    """
    What has no rule is for nobody.
    """
    request = request_on("/shipedge.webhooks.config.v1.ConfigService/GetSubscription", OWNER)
    assert not allowed(caller(*ROLES), "/shipedge.webhooks.config.v1.ConfigService/New", request)
