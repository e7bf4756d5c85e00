"""
Finding callers by certificate and token.
"""

from __future__ import annotations

import hashlib
import time
from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from service_runtime.rpc.caller_directory import (
    CallerDirectory,
    CallerEntry,
    Token,
    parse_fixed,
    read_caller,
)
from service_runtime.rpc.callers import Caller
from shipedge.webhooks.config.v1.caller_pb2 import Caller as CallerMessage
from shipedge.webhooks.feed.v1.feed_service_pb2 import FeedCaller, FeedToken

TOKEN = "shwt_abc"
SHA256 = hashlib.sha256(TOKEN.encode()).digest()


def entry(name: str, **over: object) -> CallerEntry:
    """
    Make a reader of account 100.
    """
    who = Caller(name, frozenset({"reader"}), frozenset({"accounts/100"}))
    return CallerEntry(who, **over)  # type: ignore[arg-type]


def by_certificate(directory: CallerDirectory, *names: str) -> str:
    """
    Name whom a certificate stands for.
    """
    shown = {"x509_subject_alternative_name": [name.encode() for name in names]}
    found = directory.identify({}, shown)
    return found.name if found else ""


def by_token(directory: CallerDirectory, authorization: str) -> str:
    """
    Name whom a token stands for, beside the certificate of somebody else.
    """
    shown = {"x509_subject_alternative_name": [b"ops.internal"]}
    found = directory.identify({"authorization": authorization}, shown)
    return found.name if found else ""


@pytest.fixture
def directory() -> CallerDirectory:
    """
    Make a directory with a caller of each kind.
    """
    made = CallerDirectory(parse_fixed(["ops.internal=admin+operator"]))
    made.put(entry("callers/oms", certificate_identity="oms.internal"))
    made.put(entry("callers/script", tokens=[Token(SHA256)]))
    return made


def test_certificates(directory: CallerDirectory) -> None:
    """
    Any of the names in a certificate will do; without a known one nobody is let in.
    """
    assert by_certificate(directory, "ops.internal") == "callers/ops.internal"
    assert by_certificate(directory, "other", "oms.internal") == "callers/oms"
    assert by_certificate(directory, "other") == ""
    assert by_certificate(directory) == ""
    assert by_certificate(directory, "") == ""


@pytest.mark.parametrize(
    ("authorization", "name"),
    [
        (f"Bearer {TOKEN}", "callers/script"),
        (f"bearer {TOKEN}", "callers/script"),
        ("Bearer wrong", ""),
        ("Bearer ", ""),
        (f"Basic {TOKEN}", ""),
        (TOKEN, ""),
    ],
)
def test_tokens(directory: CallerDirectory, authorization: str, name: str) -> None:
    """
    A token decides, whatever certificate is shown beside it.
    """
    assert by_token(directory, authorization) == name


def test_forgotten_and_expired(directory: CallerDirectory) -> None:
    """
    Who was deleted, or whose time is up, is let in no more.
    """
    directory.remove("callers/oms")
    assert by_certificate(directory, "oms.internal") == ""
    past = datetime.fromtimestamp(time.time() - 1, UTC)
    directory.put(entry("callers/late", certificate_identity="late.internal", expire_time=past))
    assert by_certificate(directory, "late.internal") == ""


@pytest.mark.parametrize(("seconds", "name"), [(60, "callers/script"), (-1, "")])
def test_old_token_lets_in_until_it_expires(
    directory: CallerDirectory, seconds: float, name: str
) -> None:
    """
    During a rotation both tokens let in, afterwards the new one alone.
    """
    until = datetime.fromtimestamp(time.time() + seconds, UTC)
    new = hashlib.sha256(b"shwt_new").digest()
    directory.put(entry("callers/script", tokens=[Token(new), Token(SHA256, until)]))
    assert by_token(directory, "Bearer shwt_new") == "callers/script"
    assert by_token(directory, f"Bearer {TOKEN}") == name


def test_settings_come_first(directory: CallerDirectory) -> None:
    """
    Nobody can take the certificate name of a caller of the settings, and they stay.
    """
    directory.put(entry("callers/thief", certificate_identity="ops.internal"))
    assert by_certificate(directory, "ops.internal") == "callers/ops.internal"
    directory.replace([])
    assert by_certificate(directory, "ops.internal") == "callers/ops.internal"
    assert by_token(directory, f"Bearer {TOKEN}") == ""


@pytest.mark.parametrize("text", ["ops", "=admin", "ops=", "ops=king", "a b=admin"])
def test_settings_that_are_refused(text: str) -> None:
    """
    A name and known roles are needed.
    """
    with pytest.raises(ValueError, match="must be a name in a certificate"):
        parse_fixed([text])


def test_feed_caller_is_read() -> None:
    """
    Roles get their short names; unknown ones give nothing.
    """
    message = FeedCaller(
        caller=CallerMessage(
            name="callers/x",
            roles=[CallerMessage.ROLE_READER, CallerMessage.ROLE_OPERATOR],
            owners=["accounts/-"],
        ),
        tokens=[
            FeedToken(sha256=b"new"),
            FeedToken(sha256=b"old", expire_time=Timestamp(seconds=9)),
        ],
    )
    message.caller.roles.append(99)  # type: ignore[arg-type]
    found = read_caller(message)
    assert found.caller.roles == {"reader", "operator"}
    assert found.expire_time is None
    assert found.tokens == [Token(b"new"), Token(b"old", datetime.fromtimestamp(9, UTC))]
