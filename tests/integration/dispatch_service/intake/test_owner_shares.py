"""
What one owner floods is refused to it alone, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from dispatch_service.domain.errors import BacklogFull
from dispatch_service.domain.work import Receipt
from dispatch_service.intake.backlog_limits import Backlog, Limits
from dispatch_service.intake.waiting import Answer
from dispatch_service.queue.protocol import Queue
from tests.support.dispatch_factories import LEASE, new_delivery, new_event, subscription
from tests.support.figures import moved
from tests.support.running_intake import RunningIntake, kinds, running_intake, shipped

pytestmark = pytest.mark.anyio

WAITING, SHARE = 50, 12


async def flood(intake: RunningIntake) -> asyncio.Task[list[Answer]]:
    """
    Have as many events of account 100 wait as may.
    """
    task = asyncio.create_task(intake.accept(*(shipped(f"flood-{n}") for n in range(WAITING))))
    await asyncio.sleep(0)
    assert len(intake.waiting) == WAITING
    return task


async def test_flood_of_one_account_is_refused_to_it_alone(intake: RunningIntake) -> None:
    """
    It learns the limit, what it holds and how long to wait; others are served.
    """
    flooding = await flood(intake)

    with (
        pytest.raises(BacklogFull) as raised,
        moved("webhooks_share_refusals_total") as shares,
        moved("webhooks_events_refused_total", reason="BACKLOG_FULL") as refused,
    ):
        await intake.accept(shipped("more"))
    assert (shares(), refused()) == (1, 1)
    answers = await intake.accept(*(shipped(f"e{n}", account=200) for n in range(SHARE)))

    assert raised.value.metadata == {
        "waiting": "50",
        "limit": "50",
        "owner": "accounts/100",
        "held": "50",
    }
    assert "50 for accounts/100" in raised.value.message
    assert raised.value.retry_after is not None
    assert set(kinds(answers)) == {Receipt}
    assert set(kinds(await flooding)) == {Receipt}


async def test_refusal_names_no_owner_when_all_is_taken(intake: RunningIntake) -> None:
    """
    Several accounts have taken what is kept, so it is nobody's alone.
    """
    floods = [
        asyncio.create_task(intake.accept(*(shipped(f"e{n}", account=it) for n in range(count))))
        for it, count in ((100, WAITING), (200, SHARE))
    ]
    await asyncio.sleep(0)

    with pytest.raises(BacklogFull) as raised:
        await intake.accept(shipped("e", account=300))

    assert raised.value.metadata == {"waiting": "62", "limit": "62"}
    await asyncio.gather(*floods)


async def test_batch_for_several_accounts_is_judged_event_by_event(intake: RunningIntake) -> None:
    """
    Those of the account that has its share are refused, their neighbours are accepted.
    """
    flooding = await flood(intake)

    answers = await intake.accept(
        shipped("a"), shipped("b", account=200), shipped("c"), shipped("d", account=300)
    )

    assert kinds(answers) == [BacklogFull, Receipt, BacklogFull, Receipt]
    await flooding


async def backlog_of(store: AsyncEngine, queue: Queue, **counts: int) -> Backlog:
    """
    Store so many deliveries of owners and count them; 40 may be stored, 10 are a share.
    """
    for owner, count in counts.items():
        kind, number = owner.split("_")
        for _ in range(count):
            await queue.insert([new_event(new_delivery(owner=f"{kind}/{number}"))], LEASE)
    backlog = Backlog(store, Limits(40, 0))
    await backlog.count()
    return backlog


@pytest.mark.slow
@pytest.mark.parametrize(
    ("counts", "refused"),
    [
        ({"accounts_100": 29}, {}),
        ({"accounts_100": 30}, {0: "accounts/100", 1: "accounts/100"}),
        ({"accounts_100": 10, "accounts_300": 20}, {0: "accounts/100", 1: "accounts/100"}),
        ({"accounts_100": 9, "accounts_300": 21}, {}),
        ({"warehouses_w1": 30}, {1: "warehouses/w1", 2: "warehouses/w1"}),
        ({"accounts_300": 31, "accounts_400": 9}, {0: None, 1: None, 2: None}),
    ],
)
async def test_backlog_is_shared(
    store: AsyncEngine, queue: Queue, counts: dict[str, int], refused: dict[int, str | None]
) -> None:
    """
    One owner may fill all but a share. Then events of owners that have theirs are refused, those
    for a warehouse too; of all owners only when all is full.
    """
    published = [shipped("a"), shipped("b"), shipped("c", account=200)]
    published[1].warehouses.append("w1")
    published[2].warehouses.extend(["w2", "w1"])

    backlog = await backlog_of(store, queue, **counts)

    found = backlog.refusals(published)
    assert {index: it.metadata.get("owner") for index, it in found.items()} == refused


async def test_backlog_is_known_between_two_counts(store: AsyncEngine, queue: Queue) -> None:
    """
    What is stored counts at once, and what has ended no longer.
    """
    async with running_intake(store, queue) as intake:
        intake.subscriptions.put(subscription())
        await intake.accept(shipped("a"), shipped("b"))
        assert (intake.backlog.counts.total, intake.backlog.counts.of("accounts/100")) == (2, 2)
        await intake.accept(shipped("a"))
        assert intake.backlog.counts.total == 2

    await intake.backlog.count()

    assert (intake.backlog.counts.total, intake.backlog.counts.of("accounts/100")) == (2, 2)
