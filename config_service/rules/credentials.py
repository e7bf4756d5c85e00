"""
The rules on credentials, and which of their fields are shown. No I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from config_service.rules.refusals import refuse
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rules.headers import why_name_refused, why_value_refused
from service_runtime.rules.urls import UrlRefusedError, UrlRules, parse_url, same_endpoint
from shipedge.webhooks.config.v1.credential_pb2 import (
    ApiKeyAuthentication,
    BasicAuthentication,
    BearerAuthentication,
    Credential,
    HmacAuthentication,
    OAuth2ClientCredentials,
)

MOST_DISPLAY_NAME = 100
MOST_TEXT = 256
MOST_SECRET = 1024
MOST_SCOPES = 50

OAUTH2 = "oauth2_client_credentials"

# The secret of each method; the field `<secret>_set` says whether there is one.
SECRETS: Mapping[str, str] = {
    "basic": "password",
    "bearer": "token",
    "api_key": "key",
    OAUTH2: "client_secret",
    "hmac": "key",
}

# RFC 6750, section 2.1, and RFC 6749, section 3.3.
_BEARER_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

_WITH_HEADER = (ApiKeyAuthentication, HmacAuthentication)

_Fault = tuple[str, str]


def check(credential: Credential, rules: UrlRules) -> None:
    """
    Check a credential. Raises `InvalidArgument` with all faults; its text holds no secret.
    """
    faults = [*display_name_faults(credential.display_name), *_method_faults(credential, rules)]
    refuse("The credential is not valid.", "credential", faults)


def display_name_faults(text: str) -> Iterator[_Fault]:
    """
    Yield the faults of a display name.
    """
    if not 1 <= len(text) <= MOST_DISPLAY_NAME or _CONTROL.search(text):
        yield "display_name", f"must be 1 to {MOST_DISPLAY_NAME} characters without control ones"


def keep_secret(before: Credential, after: Credential, rules: UrlRules) -> None:
    """
    Copy the secret of *before* to *after* where that has the same method without a secret.

    Raises `InvalidArgument` where the secret would be sent to another host: who cannot read it
    must not learn it so.
    """
    method = after.WhichOneof("method")
    if method is None or before.WhichOneof("method") != method:
        return
    field, given, kept = SECRETS[method], getattr(after, method), getattr(before, method)
    if getattr(given, field):
        return
    if method == OAUTH2 and not same_endpoint(kept.token_url, given.token_url, rules):
        text = "must be given again, since token_url has another scheme, host or port"
        raise InvalidArgument(
            "The credential is not valid.",
            reason="SECRET_REQUIRED",
            faults=[FieldFault(f"credential.{method}.{field}", text)],
        )
    setattr(given, field, getattr(kept, field))


def public(credential: Credential, shown: Callable[[str], str]) -> Credential:
    """
    Remove the secret in place, and set whether there is one. *shown* returns what is shown of a
    URL.
    """
    method = credential.WhichOneof("method")
    if method == OAUTH2:
        oauth2 = credential.oauth2_client_credentials
        oauth2.token_url = shown(oauth2.token_url)
    if method is not None:
        field, given = SECRETS[method], getattr(credential, method)
        setattr(given, f"{field}_set", bool(getattr(given, field)))
        given.ClearField(field)
    return credential


def header_of(credential: Credential) -> str:
    """
    Return the name of the header that a credential sets.
    """
    given = getattr(credential, credential.WhichOneof("method") or "", None)
    return given.header if isinstance(given, _WITH_HEADER) else "Authorization"


def _method_faults(credential: Credential, rules: UrlRules) -> Iterator[_Fault]:
    method = credential.WhichOneof("method")
    if method is None:
        yield "method", f"is required: one of {', '.join(SECRETS)}"
        return
    given = getattr(credential, method)
    for field, text in _of_method(given, rules):
        yield f"{method}.{field}", text
    secret = SECRETS[method]
    if not getattr(given, secret):
        yield f"{method}.{secret}", "is required"


def _of_method(given: Any, rules: UrlRules) -> Iterator[_Fault]:
    match given:
        case BasicAuthentication():
            yield from _basic(given)
        case BearerAuthentication():
            if given.token and (
                len(given.token) > 4 * MOST_SECRET or not _BEARER_TOKEN.fullmatch(given.token)
            ):
                yield "token", "must be at most 4096 letters, digits or -._~+/ and = at the end"
        case ApiKeyAuthentication():
            yield from _header(given.header)
            if reason := why_value_refused(given.key):
                yield "key", reason
        case HmacAuthentication():
            yield from _hmac(given)
        case OAuth2ClientCredentials():
            yield from _oauth2(given, rules)


def _basic(given: BasicAuthentication) -> Iterator[_Fault]:
    wrong = ":" in given.username or _CONTROL.search(given.username)
    if not 1 <= len(given.username) <= MOST_TEXT or wrong:
        yield "username", f"must be 1 to {MOST_TEXT} characters without colon and control ones"
    if len(given.password) > MOST_SECRET or _CONTROL.search(given.password):
        yield "password", f"must be at most {MOST_SECRET} characters without control ones"


def _header(name: str) -> Iterator[_Fault]:
    if reason := why_name_refused(name):
        yield "header", reason


def _hmac(given: HmacAuthentication) -> Iterator[_Fault]:
    yield from _header(given.header)
    if len(given.key) > MOST_SECRET:
        yield "key", f"must be at most {MOST_SECRET} characters"
    if len(given.prefix) > MOST_TEXT or why_value_refused(given.prefix):
        yield "prefix", f"must be at most {MOST_TEXT} characters of visible ASCII"
    if given.algorithm not in HmacAuthentication.Algorithm.values():
        yield "algorithm", f"must be one of {', '.join(HmacAuthentication.Algorithm.keys()[1:])}"
    if given.encoding not in HmacAuthentication.Encoding.values():
        yield "encoding", f"must be one of {', '.join(HmacAuthentication.Encoding.keys()[1:])}"


def _oauth2(given: OAuth2ClientCredentials, rules: UrlRules) -> Iterator[_Fault]:
    try:
        parse_url(given.token_url, rules)
    except UrlRefusedError as refused:
        yield "token_url", str(refused)
    for field, most in (("client_id", MOST_TEXT), ("client_secret", MOST_SECRET)):
        text = getattr(given, field)
        if len(text) > most or _CONTROL.search(text):
            yield field, f"must be at most {most} characters without control ones"
    if not given.client_id:
        yield "client_id", "is required"
    if len(given.scopes) > MOST_SCOPES or not all(map(_SCOPE.fullmatch, given.scopes)):
        yield "scopes", f"must be at most {MOST_SCOPES} scopes as RFC 6749 writes them"
    if len(given.audience) > MOST_SECRET or _CONTROL.search(given.audience):
        yield "audience", f"must be at most {MOST_SECRET} characters without control ones"
    ways = OAuth2ClientCredentials.ClientAuthentication
    if given.client_authentication not in ways.values():
        yield "client_authentication", f"must be one of {', '.join(ways.keys()[1:])}"
