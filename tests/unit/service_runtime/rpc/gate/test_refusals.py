"""
Refused calls in the log, and peers that are refused again and again.
"""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from service_runtime.rpc.errors import PermissionDenied, Unauthenticated
from service_runtime.rpc.gate import refusals
from service_runtime.rpc.gate.refusals import Refusals, peer_of

pytestmark = pytest.mark.anyio

METHOD = "/a.Service/Do"


async def test_first_refusal_and_sums_are_logged() -> None:
    """
    A thousand refusals are two lines.
    """
    counted = Refusals()
    with capture_logs() as lines:
        for _ in range(1000):
            counted.refused("a", Unauthenticated("?"), METHOD, "")
        counted.refused("b", PermissionDenied("?"), METHOD, "callers/b")
        counted.sum_up()
        counted.sum_up()
        counted.refused("a", Unauthenticated("?"), METHOD, "")
    assert [(it["address"], it["count"]) for it in lines] == [
        ("a", 1),
        ("b", 1),
        ("a", 999),
        ("a", 1),
    ]
    assert lines[1]["caller"] == "callers/b"


async def test_peer_with_many_refusals_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    From the hundredth on; others do not.
    """
    monkeypatch.setattr(refusals, "DELAY_SECONDS", 60.0)
    counted = Refusals()
    for _ in range(refusals.PROMPT):
        counted.refused("a", Unauthenticated("?"), METHOD, "")
        await counted.pause("a")
    counted.refused("a", Unauthenticated("?"), METHOD, "")
    counted.refused("b", Unauthenticated("?"), METHOD, "")
    waiting = asyncio.ensure_future(counted.pause("a"))
    await counted.pause("b")
    assert not waiting.done()
    waiting.cancel()


@pytest.mark.parametrize(
    ("address", "authentication", "peer"),
    [
        ("ipv4:10.0.0.1:5000", {}, "ipv4:10.0.0.1"),
        ("ipv6:[::1]:5000", {}, "ipv6:[::1]"),
        ("ipv4:10.0.0.1:5000", {"x509_common_name": [b"ops"]}, "ops"),
        (
            "ipv4:10.0.0.1:5000",
            {"x509_common_name": [b"ops"], "x509_subject_alternative_name": [b"a.b", b"c"]},
            "a.b",
        ),
    ],
)
def test_peer(address: str, authentication: dict[str, list[bytes]], peer: str) -> None:
    """
    A certificate names its holder wherever it calls from.
    """
    assert peer_of(address, authentication) == peer
