"""
The page that tells customers why their webhook failed, made from the table of failures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from shipedge.webhooks.failures.kinds import KINDS
from shipedge.webhooks.failures.rows import SECONDS, FailureCause, Row
from shipedge.webhooks.failures.statuses import CLASSES, OTHER, STATUSES
from shipedge.webhooks.failures.words import all_causes

_TOP = (
    "# Why did my webhook fail?",
    "",
    "Made from the table of failures in the code by `make reference`; do not edit.",
    "",
    (
        "Each failed attempt in the log says what happened and what to do about it, for example"
        " `HTTP 401: the server asks for authentication; look at the webhook's authentication`."
    ),
    (
        "Where there was no answer, the cause stands in brackets at the end; it is the first column"
        " of the tables below."
    ),
    "Some texts say more behind a colon, such as the words of the server's operating system.",
    "",
    (
        "An attempt has 10 seconds (`SHIPEDGE_DISPATCH_DEADLINE`) for all of it: the token of the"
        " token server, if there is one, the host name, the connection, the TLS handshake, and the"
        " answer up to its first line."
    ),
    (
        "The seconds of a timeout are those of the request: what the token server took is not in"
        " them."
    ),
    "What of this was waited for is the cause; the attempt shows how long each step took.",
    "",
    (
        "A failed delivery is tried again by the webhook's retry schedule; what has FAILED can be"
        " resent. [Receivers](receivers.md) says what counts as an answer."
    ),
)

_SECTIONS = {
    "TIMEOUT": "The server was too slow",
    "DNS": "The host was not found",
    "CONNECT": "No connection",
    "TLS": "TLS failed",
    "CERTIFICATE": "A certificate cannot be used",
    "STALE_TOKEN": "The token was refused",
    "AUTH": "The webhook's authentication cannot be used",
    "PROTOCOL": "What came is no answer",
    "CONNECTION_LOST": "The connection was lost",
    "INVALID_URL": "The URL cannot be used",
    "PROXY": "Our egress proxy failed",
    "INTERRUPTED": "We were interrupted",
    "INTERNAL": "We failed",
}


def failures_page() -> str:
    """
    Return the page of all failures.
    """
    lines = [*_TOP, "", "## The server answered, but not with 2xx", "", *_statuses()]
    for kind, title in _SECTIONS.items():
        causes = [cause for cause in all_causes() if cause.row.kind == kind]
        lines += ["", f"## {title}", "", f"Failure kind `{kind}`.", "", *_causes(causes)]
    lines += ["", "## Each kind of failure", ""]
    lines += ["Where only the kind is known, of a delivery or of the health of a webhook."]
    lines += ["A delivery may also end without another attempt, for one of these.", ""]
    lines += [*_table("kind", ((f"`{kind}`", row) for kind, row in KINDS.items()))]
    return "\n".join(lines) + "\n"


def _statuses() -> Iterator[str]:
    named = [(f"HTTP {code}", row) for code, row in STATUSES.items()]
    others = [(f"any other {first}xx", row) for first, row in CLASSES.items()]
    yield from _table("answer", [*named, *others, ("any other code", OTHER)])


def _causes(causes: Iterable[FailureCause]) -> Iterator[str]:
    yield from _table("cause", ((f"`{it.code}`", it.row) for it in causes))


def _table(title: str, rows: Iterable[tuple[str, Row]]) -> Iterator[str]:
    yield f"| {title} | what happened | what to do |"
    yield "| --- | --- | --- |"
    for name, row in rows:
        happened = row.happened.replace(SECONDS, "10 seconds")
        yield f"| {name} | {happened} | {row.to_do} |"
