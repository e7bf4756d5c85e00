"""
The table of challenges: each revision of a subscription is asked by one process, once.
"""

from __future__ import annotations

from datetime import timedelta
from enum import Enum, auto
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.routing.subscriptions import Subscription
from dispatch_service.storage.schema import url_challenges
from service_runtime.database.inserts import insert
from service_runtime.database.instants import after, database_now

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection


class Turn(Enum):
    """
    Whose turn it is to ask for a revision: *OWN*, *OTHER* while another process does so, nobody's
    once it has *ENDED*.
    """

    OWN = auto()
    OTHER = auto()
    ENDED = auto()


async def take(db: AsyncConnection, subscription: Subscription, lease: timedelta) -> Turn:
    """
    Take the turn to ask for the revision of a subscription, if nobody has it.
    """
    columns = url_challenges.c
    taken = {"revision": subscription.revision, "lease_time": after(lease), "end_time": None}
    row = insert(db.dialect.name, url_challenges).values(**_key(subscription), **taken)
    left = sa.and_(
        columns.revision == subscription.revision,
        columns.end_time.is_(None),
        columns.lease_time <= database_now(),
    )
    own = row.on_conflict_do_update(
        index_elements=[columns.owner, columns.subscription],
        set_=taken,
        where=sa.or_(columns.revision < subscription.revision, left),
    ).returning(columns.revision)
    if (await db.execute(own)).first() is not None:
        return Turn.OWN
    query = sa.select(columns.revision, columns.end_time).where(_is(subscription))
    found = (await db.execute(query)).one()
    over = found.end_time is not None or found.revision > subscription.revision
    return Turn.ENDED if over else Turn.OTHER


async def end(db: AsyncConnection, subscription: Subscription) -> bool:
    """
    Note that the turn has ended; return whether it had not before, and no later revision was asked.
    """
    same = (_is(subscription), url_challenges.c.revision == subscription.revision)
    query = sa.update(url_challenges).where(*same, url_challenges.c.end_time.is_(None))
    return bool((await db.execute(query.values(end_time=database_now()))).rowcount)


def _key(subscription: Subscription) -> dict[str, str]:
    return {"owner": subscription.owner, "subscription": subscription.subscription_id}


def _is(subscription: Subscription) -> sa.ColumnElement[bool]:
    columns = url_challenges.c
    mine = (columns[name] == value for name, value in _key(subscription).items())
    return sa.and_(*mine)
