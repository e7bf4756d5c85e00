"""
What callers use is held against the limits.
"""

from __future__ import annotations

import asyncio

import pytest

from service_runtime.rpc.gate.limits import (
    AccountLimitReached,
    CallerLimitReached,
    Kind,
    Limits,
    ServiceLimitReached,
)
from service_runtime.rpc.gate.rates import EventRates
from service_runtime.rpc.gate.turns import Turns
from service_runtime.rpc.gate.usage import Usage

pytestmark = pytest.mark.anyio


async def test_streams_leave_room_for_calls() -> None:
    """
    However many streams are open, calls have a budget of their own.
    """
    usage = Usage(Limits(total_streams=2, total_calls=1))
    usage.opened("a", Kind.WATCH)
    usage.opened("b", Kind.PUBLISH_STREAM)
    with pytest.raises(ServiceLimitReached):
        usage.opened("c", Kind.WATCH)
    call = usage.opened("c", Kind.CALL)
    with pytest.raises(ServiceLimitReached):
        usage.opened("d", Kind.CALL)
    usage.closed(call, Kind.CALL)
    usage.opened("d", Kind.CALL)


async def test_an_account_has_room_of_its_own() -> None:
    """
    A refused call is counted on none of its accounts.
    """
    usage = Usage(Limits(account_calls=1))
    counted = usage.opened_on(["accounts/1", "accounts/1"], Kind.CALL)
    assert counted == ("accounts/1",)
    with pytest.raises(AccountLimitReached):
        usage.opened_on(["accounts/2", "accounts/1"], Kind.CALL)
    usage.closed_on(usage.opened_on(["accounts/2"], Kind.CALL), Kind.CALL)
    usage.closed_on(counted, Kind.CALL)
    usage.opened_on(["accounts/1"], Kind.CALL)


async def test_bytes_of_all_callers() -> None:
    """
    A caller within its own limit is refused when all together are beyond theirs.
    """
    usage = Usage(Limits(caller_bytes=10, total_bytes=15))
    one, other = usage.opened("a", Kind.CALL), usage.opened("b", Kind.CALL)
    usage.hold(one, 10)
    assert isinstance(usage.full(one), CallerLimitReached)
    assert usage.full(other) is None
    usage.hold(other, 5)
    assert isinstance(usage.full(other), ServiceLimitReached)
    usage.release(one, 10)
    assert usage.full(one) is None


def seconds(error: object) -> float:
    """
    Return for how long a refusal asks to wait.
    """
    assert isinstance(error, CallerLimitReached | AccountLimitReached)
    assert error.retry_after is not None
    return error.retry_after.total_seconds()


async def test_events_a_second() -> None:
    """
    A second's worth passes at once; a larger batch passes too and is waited for afterwards.
    """
    now = [0.0]
    usage = Usage(Limits(caller_events=10), clock=lambda: now[0])
    assert usage.take_events("a", {"accounts/1": 10}) is None
    assert 0 < seconds(usage.take_events("a", {"accounts/1": 1})) < 0.2
    assert usage.take_events("b", {"accounts/1": 1}) is None
    now[0] = 1.0
    assert usage.take_events("a", {"accounts/1": 30}) is None
    wait = seconds(usage.take_events("a", {"accounts/1": 1}))
    assert 2.0 < wait < 2.2
    now[0] = 1.0 + wait
    assert usage.take_events("a", {"accounts/1": 1}) is None


async def test_events_a_second_of_an_account() -> None:
    """
    They are counted over all callers; other accounts do not wait.
    """
    now = [0.0]
    usage = Usage(Limits(account_events=1), clock=lambda: now[0])
    assert usage.take_events("a", {"accounts/1": 1}) is None
    assert isinstance(usage.take_events("b", {"accounts/1": 1}), AccountLimitReached)
    assert usage.take_events("b", {"accounts/2": 1}) is None


def test_rates_are_forgotten() -> None:
    """
    Names that publish no more take no memory.
    """
    rates = EventRates(10)
    for index in range(100):
        rates.take([(f"accounts/{index}", 1)], 0.0)
    rates.take([("accounts/x", 1)], 5.0)
    assert len(rates._rates) == 1


async def test_turns_go_round() -> None:
    """
    At most so many have a turn; one that hangs up takes none, before or after it was given.
    """
    turns = Turns(1)
    await turns.begin()
    waiting = [asyncio.ensure_future(turns.begin()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    turns.end()
    waiting[1].cancel()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert waiting[2].done()
    assert waiting[0].cancelled()
    assert waiting[1].cancelled()
    assert not turns.idle
    turns.end()
    assert turns.idle
