"""
The rules of credentials: what is refused, with the field, and what is shown.
"""

from __future__ import annotations

from typing import Any

import pytest

from config_service.rules.credentials import SECRETS, check, keep_secret, public
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1.credential_pb2 import Credential, HmacAuthentication

MARKER = "marker-in-secret"

GOOD: dict[str, dict[str, Any]] = {
    "basic": {"username": "shipedge", "password": MARKER},
    "bearer": {"token": MARKER},
    "api_key": {"header": "X-Api-Key", "key": MARKER},
    "oauth2_client_credentials": {
        "token_url": "https://login.example.com/token",
        "client_id": "shipedge",
        "client_secret": MARKER,
        "scopes": ["orders:write"],
    },
    "hmac": {"header": "X-Hmac-Sha256", "key": MARKER, "prefix": "sha256="},
}


def credential(method: str, **over: Any) -> Credential:
    """
    Make a credential of a method.
    """
    given: Any = {method: GOOD[method] | over}
    return Credential(display_name="main", **given)


def faults(message: Credential) -> dict[str, str]:
    """
    Return what is wrong with a credential, by field; the secret must not show.
    """
    with pytest.raises(InvalidArgument) as raised:
        check(message, UrlRules())
    assert MARKER not in str(raised.value)
    return {it.field: it.description for it in raised.value.faults}


@pytest.mark.parametrize("method", GOOD)
def test_good_ones_pass(method: str) -> None:
    """
    Every method has a form that is accepted.
    """
    check(credential(method), UrlRules())


@pytest.mark.parametrize(
    ("method", "over", "field"),
    [
        ("basic", {"username": "a:b"}, "username"),
        ("basic", {"username": ""}, "username"),
        ("basic", {"username": "a\nb"}, "username"),
        ("basic", {"password": "a\r\nX: y"}, "password"),
        ("basic", {"password": "p" * 1025}, "password"),
        ("bearer", {"token": "two words"}, "token"),
        ("bearer", {"token": "line\nbreak"}, "token"),
        ("bearer", {"token": "t" * 4097}, "token"),
        ("api_key", {"header": "Host"}, "header"),
        ("api_key", {"header": "webhook-id"}, "header"),
        ("api_key", {"header": "Transfer-Encoding"}, "header"),
        ("api_key", {"header": "a b"}, "header"),
        ("api_key", {"key": "é"}, "key"),
        ("api_key", {"key": " padded "}, "key"),
        ("hmac", {"header": ""}, "header"),
        ("hmac", {"key": "k" * 1025}, "key"),
        ("hmac", {"prefix": "a\nb"}, "prefix"),
        ("hmac", {"algorithm": 9}, "algorithm"),
        ("hmac", {"encoding": 9}, "encoding"),
        ("oauth2_client_credentials", {"token_url": "http://login.example.com"}, "token_url"),
        ("oauth2_client_credentials", {"token_url": "https://127.0.0.1/token"}, "token_url"),
        ("oauth2_client_credentials", {"client_id": ""}, "client_id"),
        ("oauth2_client_credentials", {"client_secret": "a\nb"}, "client_secret"),
        ("oauth2_client_credentials", {"scopes": ["two words"]}, "scopes"),
        ("oauth2_client_credentials", {"scopes": ["s"] * 51}, "scopes"),
        ("oauth2_client_credentials", {"audience": "a\0b"}, "audience"),
        ("oauth2_client_credentials", {"client_authentication": 9}, "client_authentication"),
    ],
)
def test_bad_fields_are_named(method: str, over: dict[str, Any], field: str) -> None:
    """
    Each broken rule names its field; no text shows a secret.
    """
    assert list(faults(credential(method, **over))) == [f"credential.{method}.{field}"]


@pytest.mark.parametrize(("method", "secret"), SECRETS.items())
def test_secret_is_required(method: str, secret: str) -> None:
    """
    A method without its secret is of no use.
    """
    found = faults(credential(method, **{secret: ""}))
    assert found[f"credential.{method}.{secret}"] == "is required"


def test_all_is_said_at_once() -> None:
    """
    A name and a method are required.
    """
    assert set(faults(Credential())) == {"credential.display_name", "credential.method"}


@pytest.mark.parametrize(("method", "secret"), SECRETS.items())
def test_secret_is_not_shown(method: str, secret: str) -> None:
    """
    What is shown says that there is a secret, not which.
    """
    shown = public(credential(method), str.upper)
    assert MARKER not in str(shown)
    assert getattr(getattr(shown, method), f"{secret}_set") is True


def test_secret_stays_where_none_is_given() -> None:
    """
    Changing the rest of a method keeps its secret; another method needs its own.
    """
    before = credential("basic")
    renamed = credential("basic", username="other", password="")
    keep_secret(before, renamed, UrlRules())
    assert renamed.basic.password == MARKER

    other = credential("bearer", token="")
    keep_secret(before, other, UrlRules())
    assert other.bearer.token == ""


def test_hash_may_be_chosen() -> None:
    """
    Algorithms and encodings of the contract are all accepted.
    """
    for algorithm in HmacAuthentication.Algorithm.values():
        for encoding in HmacAuthentication.Encoding.values():
            check(credential("hmac", algorithm=algorithm, encoding=encoding), UrlRules())


@pytest.mark.parametrize(
    ("token_url", "kept"),
    [
        ("https://login.example.com/token", True),
        ("https://LOGIN.example.com:443/other?tenant=1", True),
        ("https://login.example.com:8443/token", False),
        ("https://login.example.org/token", False),
        ("https://login.example.com.evil.org/token", False),
        ("https://10.0.0.1/token", False),
        ("", False),
    ],
)
def test_secret_is_not_sent_to_another_token_server(token_url: str, kept: bool) -> None:
    """
    With another host the secret must be given again; with the same one it stays.
    """
    before = credential("oauth2_client_credentials")
    after = credential("oauth2_client_credentials", token_url=token_url, client_secret="")
    if kept:
        keep_secret(before, after, UrlRules())
        assert after.oauth2_client_credentials.client_secret == MARKER
        return

    with pytest.raises(InvalidArgument) as raised:
        keep_secret(before, after, UrlRules())

    assert raised.value.reason == "SECRET_REQUIRED"
    (fault,) = raised.value.faults
    assert fault.field == "credential.oauth2_client_credentials.client_secret"
    after.oauth2_client_credentials.client_secret = "new"
    keep_secret(before, after, UrlRules())
    assert after.oauth2_client_credentials.client_secret == "new"


def test_token_url_is_shown_as_urls_are() -> None:
    """
    What is shown of the token URL is decided where the caller is known.
    """
    shown = public(credential("oauth2_client_credentials"), lambda url: f"shown {url}")

    oauth2 = shown.oauth2_client_credentials
    assert oauth2.token_url == "shown https://login.example.com/token"
