"""
Who comes by a portal link, and when nobody does.
"""

from __future__ import annotations

import time

import pytest

from service_runtime.rpc.access import RULES, authorise
from service_runtime.rpc.caller_directory import CallerDirectory, CallerEntry, parse_fixed
from service_runtime.rpc.callers import Caller
from service_runtime.rpc.errors import PermissionDenied
from service_runtime.rpc.portal.links import LinkSealer, PortalLink, roles_to_give
from shipedge.webhooks.config.v1.config_service_pb2 import ListSubscriptionsRequest

KEY = b"k" * 32
OWNER = "accounts/100"
CREATED = 1_700_000_000_000_000
LATER = 60_000_000


def link(**over: object) -> PortalLink:
    """
    Make a link of an admin that lets an operator in for a minute.
    """
    now = time.time_ns() // 1_000
    values = {
        "caller": "callers/oms",
        "created_us": CREATED,
        "owner": OWNER,
        "role": "operator",
        "expires_us": now + LATER,
    }
    return PortalLink(**(values | over))  # type: ignore[arg-type]


def directory(*roles: str, owner: str = OWNER, created_us: int = CREATED) -> CallerDirectory:
    """
    Make a directory with the caller who made the link.
    """
    made = CallerDirectory(parse_fixed(["ops.internal=admin"]))
    who = Caller("callers/oms", frozenset(roles or {"admin"}), frozenset({owner}))
    made.put(CallerEntry(who, created_us=created_us))
    made.use_link_key(KEY)
    return made


def guest(found: CallerDirectory, token: str) -> Caller | None:
    """
    Return who comes with a token.
    """
    return found.identify({"authorization": f"Bearer {token}"}, {})


def test_guest_may_what_the_link_says() -> None:
    """
    One role on one owner, under a name of its own.
    """
    found = guest(directory(), LinkSealer(KEY).seal(link()))

    assert found == Caller(
        "callers/oms/guests/accounts/100", frozenset({"operator"}), frozenset({OWNER}), guest=True
    )


def test_callers_of_the_settings_make_links_too() -> None:
    """
    They have no time of creation.
    """
    made = link(caller="callers/ops.internal", created_us=0)

    assert guest(directory(), LinkSealer(KEY).seal(made)) is not None


@pytest.mark.parametrize(
    ("found", "made"),
    [
        (directory(), link(expires_us=1)),
        (directory(), link(caller="callers/gone")),
        (directory(created_us=CREATED + 1), link()),
        (directory("reader"), link()),
        (directory("publisher"), link(role="reader")),
        (directory(owner="accounts/1000"), link()),
        (directory(), link(role="feed")),
        (CallerDirectory(), link()),
    ],
    ids=[
        "ended", "maker deleted", "another of its name", "maker has less roles", "never had one",
        "maker has other owners", "no role of guests", "no key",
    ],
)  # fmt: skip
def test_links_that_let_nobody_in(found: CallerDirectory, made: PortalLink) -> None:
    """
    A link ends with its time and with what its maker may do.
    """
    assert guest(found, LinkSealer(KEY).seal(made)) is None


@pytest.mark.parametrize("cut", [slice(0, 5), slice(0, -3), slice(0, 30), slice(1, None)])
def test_tokens_that_were_not_sealed_here(cut: slice) -> None:
    """
    A token that was cut, changed or sealed under another key lets nobody in.
    """
    token = LinkSealer(KEY).seal(link())

    assert guest(directory(), token[cut]) is None
    assert guest(directory(), token[:40] + "A" * 8 + token[48:]) is None
    assert guest(directory(), token + "ä") is None
    assert guest(directory(), LinkSealer(b"o" * 32).seal(link())) is None


@pytest.mark.parametrize(
    ("roles", "given"),
    [
        ({"reader"}, ("reader",)),
        ({"publisher", "operator"}, ("reader", "operator")),
        ({"admin"}, ("reader", "operator", "admin")),
        ({"publisher", "feed"}, ()),
    ],
)
def test_roles_to_give(roles: set[str], given: tuple[str, ...]) -> None:
    """
    The own ones and those below.
    """
    assert tuple(roles_to_give(Caller("callers/x", frozenset(roles), frozenset()))) == given


def test_what_is_not_for_guests() -> None:
    """
    Links, audit logs and erasure; all else is decided by the role.
    """
    refused = {path.rpartition("/")[2] for path, rule in RULES.items() if not rule.guests}
    admin = Caller("callers/x/guests/y", frozenset({"admin"}), frozenset({OWNER}), guest=True)
    request = ListSubscriptionsRequest(parent=OWNER)

    assert refused == {"CreatePortalLink", "ListAuditEntries", "EraseCustomerData"}
    authorise(admin, "/shipedge.webhooks.config.v1.ConfigService/ListSubscriptions", request)
    for path, rule in RULES.items():
        if not rule.guests:
            with pytest.raises(PermissionDenied):
                authorise(admin, path, request)
