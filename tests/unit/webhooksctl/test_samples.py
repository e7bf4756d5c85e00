"""
Samples, completion, and the flags of credentials.
"""

from __future__ import annotations

import pytest

from dispatch_service.payloads import example_event
from shipedge.webhooks.catalogue import CATALOGUE
from shipedge.webhooks.config.v1.credential_pb2 import Credential, HmacAuthentication
from tests.support.command_samples import PATH, content
from webhooksctl.commands.webhooks.credentials import describe
from webhooksctl.options.completion import event_types
from webhooksctl.samples.events import sample
from webhooksctl.words.failures import CommandError


def test_samples_are_those_of_the_service() -> None:
    """
    `python -m tests.support.command_samples` writes them.
    """
    assert PATH.read_text() == content()
    for event_type in CATALOGUE.event_types:
        assert sample(event_type) == example_event(event_type)


def test_what_has_no_sample_is_refused() -> None:
    """
    With what there is.
    """
    with pytest.raises(LookupError, match="orders/shipped"):
        sample("orders/lost")


def test_event_types_are_completed() -> None:
    """
    From the contract, without a call.
    """
    assert event_types("returns/unexp") == ["returns/unexpected_received"]
    assert len(event_types("")) == len(CATALOGUE.event_types)


def test_flags_describe_a_credential() -> None:
    """
    The mask has the name and the method; enums are words.
    """
    found = Credential()
    given = {"display_name": "Shop", "header": "X-Hmac", "algorithm": "sha512", "scopes": None}
    paths = describe(found, "hmac", given)

    assert paths == {"display_name", "hmac"}
    assert found.hmac.header == "X-Hmac"
    assert found.hmac.algorithm == HmacAuthentication.ALGORITHM_SHA512


@pytest.mark.parametrize(
    ("method", "given", "message"),
    [
        ("basic", {"header": "X"}, "--header: a credential of the method basic has none"),
        ("hmac", {"algorithm": "md5"}, "--algorithm: 'md5' is none of sha256, sha512, sha1"),
    ],
)
def test_flags_of_other_methods_are_refused(
    method: str, given: dict[str, str], message: str
) -> None:
    """
    A flag without effect would be believed.
    """
    with pytest.raises(CommandError, match=message):
        describe(Credential(), method, given)
