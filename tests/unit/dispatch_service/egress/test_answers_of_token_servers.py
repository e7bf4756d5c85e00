"""
What token servers answer, and what we take from it.
"""

from __future__ import annotations

import gzip
from collections import Counter

import msgspec
import pytest

from dispatch_service.domain.outcomes import Response, Timings
from dispatch_service.egress.answers.tokens import TokenAnswer, read_answer, useful_seconds
from shipedge.webhooks.failures.causes import Cause
from tests.support.answers.tokens import REFUSED, TAKEN, TOKEN_CASES, TokenCase, used_seconds

FEWEST_CASES = 40


def test_names_of_the_corpus_are_unique() -> None:
    """
    The tables of the docs name each case once.
    """
    assert max(Counter(case.name for case in TOKEN_CASES).values()) == 1
    assert len(TOKEN_CASES) >= FEWEST_CASES
    assert all(case.why for case in REFUSED)


@pytest.mark.parametrize("case", TAKEN, ids=lambda case: case.name)
def test_what_libraries_take_is_a_token(case: TokenCase) -> None:
    """
    It is used until shortly before its end.
    """
    answer = read_answer(case.response)

    assert case.token is not None
    assert answer == TokenAnswer(case.token, used_seconds(case.seconds))


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_refusals_name_their_cause(case: TokenCase) -> None:
    """
    Customers read what was wrong with the answer, never the answer itself.
    """
    answer = read_answer(case.response)

    assert (answer.text, answer.seconds) == ("", 0.0)
    assert answer.refusal.rpartition("(")[2].rstrip(")").startswith("token_")
    assert "abc" not in answer.refusal


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (401, b'{"error":"invalid_client"}', Cause.TOKEN_REFUSED.text("HTTP 401, invalid_client")),
        (200, b'{"error":"invalid_client"}', Cause.TOKEN_REFUSED.text("HTTP 200, invalid_client")),
        (400, b'{"error":{"code":190,"type":"T"}}', Cause.TOKEN_REFUSED.text("HTTP 400, an error")),
        (400, b'{"error":{"type":"T"}}', Cause.TOKEN_REFUSED.text("HTTP 400, T")),
        (400, b'{"error":"bad\\r\\ntext"}', Cause.TOKEN_REFUSED.text("HTTP 400, an error")),
        (500, b"", Cause.TOKEN_REFUSED.text("HTTP 500")),
        (200, b"<html>", Cause.TOKEN_UNREADABLE.text()),
        (200, b'{"access_token":"a\\u0007"}', Cause.TOKEN_UNUSABLE.text()),
        (
            200,
            b'{"access_token":"a","token_type":"DPoP"}',
            Cause.TOKEN_OF_OTHER_TYPE.text("dpop"),
        ),
    ],
)
def test_texts_of_refusals(status: int, body: bytes, text: str) -> None:
    """
    The code of the server's error is shown if it has the form of one.
    """
    assert read_answer(Response(status_code=status, body=body)).refusal == text


def test_incomplete_answers_say_how_long_they_were_waited_for() -> None:
    """
    A body that is too long is told from one that did not come.
    """
    late = Response(
        status_code=200, body=b'{"acc', body_truncated=True, timings=Timings(total_us=9_960_000)
    )
    long = msgspec.structs.replace(late, body=b"{" * 16384)

    why = "the rest of its body had not come after 10 seconds"
    assert read_answer(late).refusal == Cause.TOKEN_INCOMPLETE.text(why)
    assert read_answer(long).refusal == Cause.TOKEN_INCOMPLETE.text("it is longer than 16 KiB")


def test_compressed_answers_are_bounded() -> None:
    """
    A small answer cannot become a large one.
    """
    bomb = gzip.compress(b'{"access_token":"abc","x":"' + b" " * 10_000_000)
    response = Response(status_code=200, headers=((b"Content-Encoding", b"gzip"),), body=bomb)

    assert read_answer(response).refusal == Cause.TOKEN_UNREADABLE.text()


@pytest.mark.parametrize(
    ("expires_in", "seconds"), [(3600, 3540), (90, 45), (61, 30.5), (1, 0.5), (0, 0), (-5, 0)]
)
def test_token_is_used_until_shortly_before_its_end(expires_in: object, seconds: float) -> None:
    """
    Whatever the server says of its life, a token is not used to its very end.
    """
    assert useful_seconds(expires_in) == seconds
