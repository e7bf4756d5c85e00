"""
The judge of the crash tests.
"""

from __future__ import annotations

from tests.crash.ledger import Ledger, Request, judge


def request(event_id: str, number: int = 1, *, confirmed: bool = True) -> Request:
    """
    Make a request of an event's only delivery.
    """
    return Request(event_id, f"dlv_{event_id}", number, confirmed)


def logged(*requests: Request) -> set[tuple[str, int]]:
    """
    Give requests their rows.
    """
    return {(it.delivery_id, it.number) for it in requests}


def test_all_is_well() -> None:
    """
    Confirmed once each, with a row for every request: every promise was kept.
    """
    requests = [request("a", 1, confirmed=False), request("a", 2), request("b")]
    verdict = judge(Ledger({"a", "b"}, requests, logged(*requests)))

    assert verdict.good
    assert verdict.line(3) == (
        "acknowledged 2, lost 0, duplicates 0 (bound 0), without attempt row 0, kills 3"
    )


def test_acknowledged_and_never_confirmed_is_lost() -> None:
    """
    A request that the receiver refused confirms nothing.
    """
    requests = [request("a", confirmed=False)]
    verdict = judge(Ledger({"a", "b"}, requests, logged(*requests)))

    assert verdict.lost == {"a", "b"}
    assert not verdict.good


def test_second_confirmation_needs_an_interrupted_attempt() -> None:
    """
    Each attempt of unknown outcome allows its delivery one duplicate, and no other.
    """
    requests = [request("a", 1), request("a", 2), request("b", 1), request("b", 2)]
    verdict = judge(Ledger({"a", "b"}, requests, logged(*requests), {("dlv_a", 1)}))

    assert (verdict.duplicates, verdict.bound) == (2, 1)
    assert verdict.beyond_bound == {"dlv_b"}
    assert not verdict.good


def test_request_without_a_row_is_found() -> None:
    """
    The log has a row for every request that a receiver got.
    """
    requests = [request("a", 1, confirmed=False), request("a", 2)]
    verdict = judge(Ledger({"a"}, requests, logged(requests[1])))

    assert verdict.without_row == {("dlv_a", 1)}
    assert not verdict.good
