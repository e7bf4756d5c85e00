"""
The tables of the outbox, and how an event gets into them.
"""

from __future__ import annotations

import time
import zlib

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from shipedge.webhooks.client.event_queue import MOST_EVENT_BYTES
from shipedge.webhooks.client.ordering import ordering_key
from shipedge.webhooks.events.v1 import event_pb2

PARTITIONS = 16
"""
The events of a resource are in one partition, and a relay works on one partition at a time.
"""

metadata = sa.MetaData()
"""
The tables, for `create_all` or a migration of your own.
"""

_NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


class _Base(DeclarativeBase):
    metadata = metadata


class OutboxEvent(_Base):
    """
    An event that is not published yet, or was refused for good: then *error* says why.

    *create_time* is in seconds since 1970.
    """

    __tablename__ = "shipedge_outbox_events"
    __table_args__ = (
        sa.Index("ix_shipedge_outbox_events_partition", "partition", "id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(_NUMBER, primary_key=True)
    partition: Mapped[int] = mapped_column(sa.Integer)
    event_id: Mapped[str] = mapped_column(sa.String(64))
    content: Mapped[bytes] = mapped_column(sa.LargeBinary)
    create_time: Mapped[float] = mapped_column(sa.Double)
    error: Mapped[str | None] = mapped_column(sa.Text, default=None)


events = metadata.tables[OutboxEvent.__tablename__]

leases = sa.Table(
    "shipedge_outbox_leases",
    metadata,
    sa.Column("partition", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("holder", sa.String(32), nullable=False),
    sa.Column("expire_time", sa.Double, nullable=False),
)
"""
Which relay works on a partition, and until when, in seconds since 1970.
"""


def add(session: Session | AsyncSession, event: event_pb2.Event) -> None:
    """
    Add an event to the transaction of a session: it is published if that is committed, and only
    then.

    Events about one resource are published in the order in which they were written, so
    transactions that change the same resource must wait for one another, by a lock on its row for
    example. Raises `ValueError` for an event without an id, or larger than the contract allows.
    """
    content = event.SerializeToString()
    if not event.event_id:
        raise ValueError("event_id: must be set, so that the event is published once only")
    if len(content) > MOST_EVENT_BYTES:
        raise ValueError(f"event: must be {MOST_EVENT_BYTES} bytes at most, not {len(content)}")
    session.add(
        OutboxEvent(
            partition=zlib.crc32(ordering_key(event).encode()) % PARTITIONS,
            event_id=event.event_id,
            content=content,
            create_time=time.time(),
        )
    )
