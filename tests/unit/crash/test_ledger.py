"""
The comparison of the records of a crash test.
"""

from __future__ import annotations

from tests.crash.ledger import Ledger, Request, compare


def request(event_id: str, number: int = 1, *, confirmed: bool = True) -> Request:
    """
    Make a request of an event's only delivery.
    """
    return Request(event_id, f"dlv_{event_id}", number, confirmed)


def logged(*requests: Request) -> set[tuple[str, int]]:
    """
    Return the rows of requests.
    """
    return {(made.delivery_id, made.number) for made in requests}


def test_run_without_losses_is_good() -> None:
    """
    A run is good if each delivery is confirmed once and each request has a row.
    """
    requests = [request("a", 1, confirmed=False), request("a", 2), request("b")]
    result = compare(Ledger({"a", "b"}, requests, logged(*requests)))

    assert result.good
    assert result.line(3) == (
        "acknowledged 2, lost 0, duplicates 0 (bound 0), without attempt row 0, faults 3"
    )


def test_acknowledged_and_never_confirmed_is_lost() -> None:
    """
    An acknowledged event without a confirmation is lost; a refused request confirms nothing.
    """
    requests = [request("a", confirmed=False)]
    result = compare(Ledger({"a", "b"}, requests, logged(*requests)))

    assert result.lost == {"a", "b"}
    assert not result.good


def test_second_confirmation_needs_an_interrupted_attempt() -> None:
    """
    Each interrupted attempt allows one duplicate of its delivery, and of no other.
    """
    requests = [request("a", 1), request("a", 2), request("b", 1), request("b", 2)]
    result = compare(Ledger({"a", "b"}, requests, logged(*requests), {("dlv_a", 1)}))

    assert (result.duplicates, result.bound) == (2, 1)
    assert result.beyond_bound == {"dlv_b"}
    assert not result.good


def test_request_without_a_row_is_found() -> None:
    """
    A request without a row in the log is reported.
    """
    requests = [request("a", 1, confirmed=False), request("a", 2)]
    result = compare(Ledger({"a"}, requests, logged(requests[1])))

    assert result.without_row == {("dlv_a", 1)}
    assert not result.good
