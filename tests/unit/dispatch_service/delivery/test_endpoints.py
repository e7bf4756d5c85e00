"""
The breakers of a process, and their exchange with other processes.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

from dispatch_service.delivery.endpoints import Endpoints, OpenBreaker
from dispatch_service.domain.outcomes import FailureKind, Response, failed, from_response
from dispatch_service.domain.work import EndpointKey

KEY: EndpointKey = ("accounts/100", "https://a:443")
REFUSED = failed(FailureKind.CONNECT, "refused")
WELL = from_response(Response(status_code=200), lambda: datetime(2024, 1, 15, tzinfo=UTC))


def opened() -> Endpoints:
    """
    Make endpoints of which one has an open breaker.
    """
    endpoints = Endpoints(8)
    for _ in range(5):
        endpoints.record_outcome(KEY, REFUSED)
    return endpoints


def test_breaker_opens_for_all_processes() -> None:
    """
    Only the outcome that opens a breaker says so; the breaker is to be stored once, with its pause.
    """
    endpoints = Endpoints(8)
    did_open = [endpoints.record_outcome(KEY, REFUSED) for _ in range(6)]

    changes = endpoints.take_changes()

    assert did_open == [False, False, False, False, True, False]
    assert list(changes) == [KEY]
    stored = changes[KEY]
    assert stored is not None
    assert timedelta(seconds=4) <= stored.pause <= timedelta(seconds=6)
    assert endpoints.take_changes() == {}


def test_attempts_that_started_before_do_not_prolong_the_pause() -> None:
    """
    Attempts that were running when the breaker opened make its pause no longer.
    """
    endpoints = opened()
    endpoints.take_changes()

    endpoints.record_outcome(KEY, REFUSED)

    assert endpoints.take_changes() == {}


def test_success_closes_and_starts_slowly() -> None:
    """
    One success closes the breaker; what an endpoint gets then grows by one for each.
    """
    endpoints = opened()
    endpoints.take_changes()

    endpoints.record_outcome(KEY, WELL)

    assert endpoints.take_changes() == {KEY: None}
    assert (endpoints.is_open(KEY), endpoints.limit(KEY)) == (False, 1)
    for expected in (2, 3, 4, 5, 6, 7, 8):
        endpoints.record_outcome(KEY, WELL)
        assert endpoints.limit(KEY) == expected
    assert endpoints.degraded() == 0


def test_breaker_of_another_process_is_open_here() -> None:
    """
    A breaker that another process opened is open here, until that one says otherwise.
    """
    endpoints = Endpoints(8)

    endpoints.learn({KEY: OpenBreaker(timedelta(seconds=30), 2)}, time.monotonic())

    assert list(endpoints.open_breakers()) == [KEY]
    endpoints.learn({}, time.monotonic())
    assert list(endpoints.open_breakers()) == []
    assert (endpoints.is_open(KEY), endpoints.limit(KEY)) == (False, 1)


def test_own_newer_change_stands() -> None:
    """
    What the table had before a change of this process does not undo it.
    """
    endpoints = Endpoints(8)
    asked_at = time.monotonic()
    for _ in range(5):
        endpoints.record_outcome(KEY, REFUSED)

    endpoints.learn({}, asked_at)

    assert endpoints.is_open(KEY)


def test_changes_that_could_not_be_stored_are_kept() -> None:
    """
    A store that is away loses nothing, and newer changes stand.
    """
    endpoints = opened()
    changes = endpoints.take_changes()
    endpoints.record_outcome(KEY, WELL)

    endpoints.put_back(changes)

    assert endpoints.take_changes() == {KEY: None}


def test_an_endpoint_that_bears_more_gets_more() -> None:
    """
    While more waits for it than may start; once nothing waits it begins afresh.
    """
    endpoints = Endpoints(8, 10)
    for _ in range(100):
        endpoints.want_more(KEY)
        endpoints.record_outcome(KEY, WELL, 0.1)
    assert endpoints.limit(KEY) == 10
    assert endpoints.degraded() == 0

    endpoints.forget_grown(KEY)
    assert endpoints.limit(KEY) == 8


def test_overload_halves_what_an_endpoint_has_grown_to() -> None:
    """
    It then gets one more for each success, and grows again; an open breaker makes it start afresh.
    """
    endpoints = Endpoints(8, 64)
    for _ in range(1000):
        endpoints.want_more(KEY)
        endpoints.record_outcome(KEY, WELL, 0.1)
    endpoints.record_outcome(KEY, REFUSED)
    assert endpoints.limit(KEY) == 32
    endpoints.record_outcome(KEY, WELL, 0.1)
    assert (endpoints.limit(KEY), endpoints.degraded()) == (32, 0)

    for _ in range(5):
        endpoints.record_outcome(KEY, REFUSED)
    for _ in range(20):
        endpoints.record_outcome(KEY, WELL, 0.1)
    assert endpoints.limit(KEY) == 8
