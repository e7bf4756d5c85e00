"""
The table of failures: what customers read when a webhook failed.
"""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest

from dispatch_service.domain.outcomes import FailureKind, failure_kind_value
from shipedge.webhooks.events.v1 import failure_kind_pb2
from shipedge.webhooks.failures.causes import Cause
from shipedge.webhooks.failures.kinds import KINDS
from shipedge.webhooks.failures.rows import FailureCause, Row, shown_seconds
from shipedge.webhooks.failures.statuses import CLASSES, OTHER, STATUSES
from shipedge.webhooks.failures.tls_causes import TlsCause
from shipedge.webhooks.failures.words import (
    all_causes,
    failure_text,
    parts_of,
    row_of_status,
    status_text,
)
from tests.support.project_files import ROOT

NAMES = {name.removeprefix("FAILURE_KIND_") for name in failure_kind_pb2.FailureKind.keys()}  # noqa: SIM118 - no dict

WELL_KNOWN = {301, 302, 307, 308, 400, 401, 403, 404, 405, 410, 411, 413, 415, 422, 429} | {
    500,
    501,
    502,
    503,
    504,
}

WITHOUT_ATTEMPT = {"HTTP_STATUS", "REDIRECT", "BLOCKED_ADDRESS"} | {
    "SUBSCRIPTION_INACTIVE",
    "SUBSCRIPTION_DELETED",
    "BODY_ERASED",
    "BODY_DAMAGED",
    "RENDER",
    "POISON",
    "EXPIRED",
    "MISSING",
    "UNUSABLE",
}
"""
Kinds without causes: of answers, of what is shown as another kind, and of deliveries.
"""


def rows() -> list[Row]:
    """
    Return all rows of the table.
    """
    return [
        *(cause.row for cause in all_causes()),
        *chain(KINDS.values(), STATUSES.values(), CLASSES.values(), (OTHER,)),
    ]


def test_each_kind_of_the_contract_has_its_row() -> None:
    """
    A new kind of failure says what it means before it is used.
    """
    assert set(KINDS) == NAMES - {"UNSPECIFIED"}
    assert {kind.name for kind in FailureKind} <= set(KINDS)
    assert {row.kind for row in rows()} <= set(KINDS)


def test_each_kind_of_failed_attempts_has_causes() -> None:
    """
    An attempt that had no answer names its cause.
    """
    assert {cause.row.kind for cause in all_causes()} == set(KINDS) - WITHOUT_ATTEMPT


def test_codes_of_causes_are_unique() -> None:
    """
    A code stands for one cause, whichever its list.
    """
    codes = [cause.code for cause in all_causes()]

    assert len(set(codes)) == len(codes) == len(Cause) + len(TlsCause)


def test_each_cause_is_used() -> None:
    """
    The page lists nothing that does not happen.
    """
    sources = "".join(
        path.read_text() for path in sorted((ROOT / "dispatch_service").rglob("*.py"))
    )

    used = set(re.findall(r"\b(?:Cause|TlsCause)\.([A-Z_]+)", sources))
    assert {cause.name for cause in all_causes()} <= used


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.happened[:40])
def test_texts_have_one_form(row: Row) -> None:
    """
    They are halves of one sentence, and the second one can be found in it.
    """
    for text in (row.happened, row.to_do):
        assert text == text.strip()
        assert not text.endswith(".")
        assert "|" not in text
        assert ";" not in text
    assert row.happened[0].islower() or row.happened.startswith("TLS")


def test_well_known_codes_have_rows_of_their_own() -> None:
    """
    What customers meet often says more than its class.
    """
    assert set(STATUSES) >= WELL_KNOWN
    assert {code for code, row in STATUSES.items() if row.kind == "REDIRECT"} == {
        code for code in STATUSES if code // 100 == 3
    }


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (
            401,
            "HTTP 401: the server asks for authentication; look at the webhook's authentication",
        ),
        (
            418,
            (
                "HTTP 418: the server does not accept the request; "
                "look at its answer, which the attempt shows"
            ),
        ),
        (599, "HTTP 599: the server failed; look at the server's log at the time of the attempt"),
        (
            999,
            "HTTP 999: the status is none of HTTP; look at its answer, which the attempt shows",
        ),
    ],
)
def test_texts_of_answers(code: int, text: str) -> None:
    """
    A code that is not known has the text of its class.
    """
    assert status_text(code) == text


@pytest.mark.parametrize(
    ("cause", "why", "seconds", "text"),
    [
        (
            Cause.TIMEOUT_CONNECT,
            "",
            10.0,
            (
                "the server took no connection within 10 seconds; "
                "look whether the server runs, and whether its firewall lets our addresses pass "
                "(timeout_connect)"
            ),
        ),
        (
            Cause.NOT_CONNECTED,
            "connection refused",
            None,
            (
                "cannot connect to the server: connection refused; "
                "look whether the server runs, at the port of the URL, "
                "and whether its firewall lets our addresses pass (not_connected)"
            ),
        ),
        (
            TlsCause.NOT_TLS,
            "",
            None,
            (
                "the port does not speak TLS; "
                "look at the port of the URL, or at its https:// (not_tls)"
            ),
        ),
        (
            Cause.TIMEOUT_DNS,
            "",
            None,
            (
                "the host of the URL was not resolved within the deadline; "
                "look at the name servers of the host (timeout_dns)"
            ),
        ),
    ],
)
def test_texts_of_causes(cause: FailureCause, why: str, seconds: float | None, text: str) -> None:
    """
    A text says what happened, more exactly where that is known, what to do, and its code.
    """
    assert cause.text(why, seconds=seconds) == text


def test_timeouts_name_their_seconds() -> None:
    """
    Each timeout of an attempt says how long it was, and what was waited for.
    """
    texts = [it.text(seconds=7.5) for it in Cause if it.row.kind == "TIMEOUT"]

    assert all("within 7.5 seconds" in text for text in texts)
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(10.0, "10 seconds"), (1.0, "1 second"), (9.96, "10 seconds"), (0.25, "0.2 seconds")],
)
def test_seconds(seconds: float, shown: str) -> None:
    """
    A tenth of a second is exact enough.
    """
    assert shown_seconds(seconds) == shown


@pytest.mark.parametrize("cause", list(all_causes()), ids=lambda cause: cause.code)
def test_what_to_do_is_found_in_a_text(cause: FailureCause) -> None:
    """
    Whatever others said in between, a text is taken apart where it was put together.
    """
    kind = failure_kind_value(cause.row.kind.lower())
    text = cause.text("they said; nothing (really)", seconds=3)

    happened, to_do = parts_of(text, kind, 0)
    assert to_do == cause.row.to_do
    assert happened.endswith("they said; nothing (really)")


@pytest.mark.parametrize("code", [*STATUSES, 418, 599, 999])
def test_what_to_do_about_an_answer(code: int) -> None:
    """
    So are the texts of answers; those that an older service wrote have what is known today.
    """
    row = row_of_status(code)
    kind = failure_kind_value(row.kind.lower())

    assert parts_of(status_text(code), kind, code) == (f"HTTP {code}: {row.happened}", row.to_do)
    assert parts_of(f"HTTP {code}", kind, code) == (f"HTTP {code}", row.to_do)


@pytest.mark.parametrize(
    ("kind", "code", "text"),
    [
        ("http_status", 503, status_text(503)),
        ("redirect", 302, status_text(302)),
        ("http_status", 0, KINDS["HTTP_STATUS"].text),
        ("expired", 503, KINDS["EXPIRED"].text),
        ("subscription_inactive", 0, KINDS["SUBSCRIPTION_INACTIVE"].text),
        (None, 200, ""),
    ],
)
def test_texts_of_deliveries(kind: str | None, code: int, text: str) -> None:
    """
    The kind decides; a code counts only where the answer was the failure.
    """
    assert failure_text(failure_kind_value(kind), code) == text


def test_kinds_that_are_not_known_yet_have_no_text() -> None:
    """
    A service that is newer than its client may send one.
    """
    newer = max(failure_kind_pb2.FailureKind.values()) + 1

    assert failure_text(newer, 0) == ""  # type: ignore[arg-type]
    assert parts_of("something new", newer, 0) == ("something new", "")  # type: ignore[arg-type]


def test_documents_link_to_the_page() -> None:
    """
    Who reads the log's codes finds what they mean.
    """
    page = Path("docs/why_did_my_webhook_fail.md")

    for name in ("README.md", "docs/receivers.md", "docs/operations.md"):
        assert page.name in (ROOT / name).read_text()
