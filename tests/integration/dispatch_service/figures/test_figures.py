"""
Figures of subscriptions, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.api.figures import FigureMethods
from dispatch_service.domain.figures import Figures, Unit
from dispatch_service.figures import roll_up, stats
from dispatch_service.figures.roll_up import FigureWriter
from dispatch_service.queue.protocol import Queue
from dispatch_service.storage.schema import attempt_figures, attempts, figure_positions
from dispatch_service.upkeep import prune_statements
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.paging import PageTokens
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from tests.integration.dispatch_service.log.test_read import settled
from tests.support.dispatch_factories import new_delivery, new_event

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

OWNER, OTHER = "accounts/100", "accounts/200"
AGO = timedelta(minutes=10)


class Methods(FigureMethods):
    """
    The methods, on a store.
    """

    def __init__(self, store: AsyncEngine) -> None:
        self._engine = store
        self._tokens = PageTokens(b"k" * 32)


async def attempted(
    queue: Queue, name: str, *, owner: str = OWNER, failed: int = 0, succeeded: int = 0
) -> None:
    """
    Write attempts of the subscription *name*.
    """
    for fails in [True] * failed + [False] * succeeded:
        made = new_delivery(owner=owner, subscription=name, leased=True)
        await settled(queue, new_event(made), failed=fails)


async def age(store: AsyncEngine, by: timedelta = AGO) -> None:
    """
    Let all attempts have settled some time ago: before every open transaction.
    """
    async with writing(store) as db:
        await db.execute(sa.update(attempts).values(settle_time=after(-by)))


def writer(store: AsyncEngine, name: str = "one") -> FigureWriter:
    return FigureWriter(store, store, name)


async def figures(store: AsyncEngine) -> dict[tuple[str, str], tuple[int, int, int]]:
    """
    Return success, failure and all durations of each subscription by unit.
    """
    of_one = attempt_figures.c.subscription != roll_up.ALL
    async with reading(store) as db:
        rows = (await db.execute(sa.select(attempt_figures).where(of_one))).all()
    found: dict[tuple[str, str], Figures] = {}
    for row in rows:
        found.setdefault((row.subscription, row.unit), Figures()).merge(roll_up.figures_of(row))
    return {
        key: (it.success_count, it.failure_count, sum(it.durations.values()))
        for key, it in found.items()
    }


async def position(store: AsyncEngine) -> datetime:
    async with reading(store) as db:
        found = await stats.counted_through(db)
    assert found is not None
    return found


async def test_attempts_are_counted_once(queue: Queue, store: AsyncEngine) -> None:
    """
    Each attempt is in its minute, hour and day once, however often it is counted, and later
    attempts are added.
    """
    await attempted(queue, "sub_one", failed=2, succeeded=3)
    await age(store)
    for _ in range(2):
        await writer(store).run_once()
    assert await figures(store) == {("sub_one", unit): (3, 2, 5) for unit in Unit}

    await attempted(queue, "sub_one", succeeded=1)
    async with writing(store) as db:
        new = attempts.c.settle_time > after(-AGO / 2)
        await db.execute(sa.update(attempts).where(new).values(settle_time=after(-AGO)))
        await db.execute(sa.update(figure_positions).values(through_time=after(-AGO - AGO)))
        await db.execute(sa.delete(attempts).where(attempts.c.status == "FAILURE"))
    await writer(store).run_once()

    # The three of before and all four that the log has now.
    assert (await figures(store))["sub_one", "DAY"] == (7, 2, 9)


async def test_a_lease_is_for_one_process(queue: Queue, store: AsyncEngine) -> None:
    """
    Another process counts nothing while the lease lasts, and goes on where it stopped after it.
    """
    await writer(store).run_once()
    first = await position(store)
    await writer(store, "two").run_once()
    assert await position(store) == first

    await attempted(queue, "sub_one", failed=1)
    async with writing(store) as db:
        await db.execute(sa.update(figure_positions).values(lease_expire_time=after(-AGO)))
        # So old that the position has not passed it.
        await db.execute(sa.update(figure_positions).values(through_time=after(-AGO - AGO)))
    await age(store)
    await writer(store, "two").run_once()

    assert (await figures(store))["sub_one", "MINUTE"] == (0, 1, 1)


async def test_a_moved_position_adds_nothing(
    queue: Queue, store: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    A process that lost its lease while it counted adds nothing.
    """
    await attempted(queue, "sub_one", failed=1)
    await age(store)
    slow = writer(store)
    counted = slow._settled

    async def outrun(since: datetime, until: datetime) -> Any:
        found = await counted(since, until)
        if found:
            async with writing(store) as db:
                lost = {"lease_owner": "two", "lease_expire_time": after(AGO)}
                await db.execute(sa.update(figure_positions).values(lost))
        return found

    monkeypatch.setattr(slow, "_settled", outrun)
    await slow.run_once()

    assert await figures(store) == {}


async def test_figures_of_a_subscription(queue: Queue, store: AsyncEngine) -> None:
    """
    `GetSubscriptionStats` has the sum, the rate, percentiles and each period with attempts.
    """
    await attempted(queue, "sub_one", failed=1, succeeded=3)
    await age(store)
    await writer(store).run_once()

    name = f"{OWNER}/subscriptions/sub_one"
    found = await Methods(store).GetSubscriptionStats(
        pb.GetSubscriptionStatsRequest(name=name),
        None,  # type: ignore[arg-type]
    )

    assert found.subscription == name
    assert (found.total.success_count, found.total.failure_count) == (3, 1)
    assert found.total.success_rate == 0.75
    assert found.total.HasField("p50_duration")
    assert [it.figures for it in found.periods] == [found.total]
    assert found.HasField("last_success_time")
    assert found.HasField("last_failure_time")
    start, end = found.start_time.ToMicroseconds(), found.end_time.ToMicroseconds()
    assert start <= found.periods[0].start_time.ToMicroseconds() < end


async def test_figures_of_all_subscriptions(queue: Queue, store: AsyncEngine) -> None:
    """
    Those of an owner are counted together, and those of all accounts or all warehouses.
    """
    await attempted(queue, "sub_one", failed=1, succeeded=2)
    await attempted(queue, "sub_two", succeeded=3)
    await attempted(queue, "sub_three", owner=OTHER, failed=4)
    await attempted(queue, "sub_depot", owner="warehouses/wh1", succeeded=5)
    await age(store)
    await writer(store).run_once()

    methods, seen = Methods(store), {}
    for owner in (OWNER, OTHER, "accounts/-", "warehouses/-"):
        request = pb.GetSubscriptionStatsRequest(name=f"{owner}/subscriptions/-")
        found = await methods.GetSubscriptionStats(request, None)  # type: ignore[arg-type]
        assert found.subscription == request.name
        seen[owner] = (found.total.success_count, found.total.failure_count)

    assert seen == {
        OWNER: (5, 1),
        OTHER: (0, 4),
        "accounts/-": (5, 5),
        "warehouses/-": (5, 0),
    }


async def test_failing_webhooks_of_all_accounts(queue: Queue, store: AsyncEngine) -> None:
    """
    Pages of `ListSubscriptionStats` have each webhook with failures once, most failures first;
    those of a parent alone where it names one.
    """
    await attempted(queue, "sub_few", failed=1, succeeded=2)
    await attempted(queue, "sub_few", owner=OTHER, failed=1)
    await attempted(queue, "sub_many", owner=OTHER, failed=2)
    await attempted(queue, "sub_good", succeeded=1)
    await attempted(queue, "sub_depot", owner="warehouses/wh1", failed=1)
    await age(store)
    await writer(store).run_once()

    methods, seen = Methods(store), []
    request = pb.ListSubscriptionStatsRequest(parent="accounts/-", page_size=1)
    for _ in range(5):
        answer = await methods.ListSubscriptionStats(request, None)  # type: ignore[arg-type]
        seen += [(it.subscription, it.total.failure_count) for it in answer.subscription_stats]
        request.page_token = answer.next_page_token
        if not request.page_token:
            break
    assert seen == [
        (f"{OTHER}/subscriptions/sub_many", 2),
        (f"{OWNER}/subscriptions/sub_few", 1),
        (f"{OTHER}/subscriptions/sub_few", 1),
    ]

    request = pb.ListSubscriptionStatsRequest(parent="warehouses/wh1")
    answer = await methods.ListSubscriptionStats(request, None)  # type: ignore[arg-type]
    assert [it.subscription for it in answer.subscription_stats] == [
        "warehouses/wh1/subscriptions/sub_depot"
    ]


@pytest.mark.parametrize(
    ("start", "end", "unit", "field"),
    [
        (timedelta(0), timedelta(0), None, "start_time"),
        (-timedelta(hours=1), timedelta(hours=2), None, "start_time"),
        (timedelta(days=3), timedelta(0), Unit.MINUTE, "granularity"),
    ],
)
async def test_spans_are_checked(
    store: AsyncEngine, start: timedelta, end: timedelta, unit: Unit | None, field: str
) -> None:
    """
    A span that is empty, in the future or has too many periods is refused with its field.
    """
    async with reading(store) as db:
        now = await stats.clock(db)
    with pytest.raises(InvalidArgument) as refused:
        stats.span_of(now - start, now - end if end <= start else now + end, unit, now)
    assert field in str(refused.value.faults)


async def test_old_figures_are_deleted(queue: Queue, store: AsyncEngine) -> None:
    """
    Minutes are deleted after two days; hours and days of that time stay.
    """
    await attempted(queue, "sub_one", failed=1)
    await age(store)
    await writer(store).run_once()
    async with writing(store) as db:
        await db.execute(sa.update(attempt_figures).values(start_time=after(-timedelta(days=3))))
        for unit in Unit:
            await prune_statements.prune_figures(db, unit)

    assert {unit for _, unit in await figures(store)} == {"HOUR", "DAY"}
