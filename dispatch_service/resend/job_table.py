"""
What resend jobs and replay jobs have in common: they are created, listed, cancelled, and go on
batch by batch until they have succeeded or failed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import sqlalchemy as sa

from dispatch_service.log.filters import of_parent
from dispatch_service.storage.rows import JobRow
from service_runtime.database.instants import after, database_now
from service_runtime.database.row_values import in_keys
from service_runtime.database.typed_rows import RowReader
from service_runtime.rpc import names
from service_runtime.rpc.errors import FailedPrecondition, NotFound
from service_runtime.rpc.paging import Page, PageKey

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

JobKey = tuple[str, str]
"""
The owner of a job, and its id.
"""

RowT = TypeVar("RowT", bound=JobRow)


class JobTable(Generic[RowT]):
    """
    The jobs of one *kind*, which `names.parse` knows, in *table*; *rows* reads them.

    *name_of* writes their names; *not_found* and *ended* are the errors about a name.
    """

    def __init__(
        self,
        kind: str,
        rows: RowReader[RowT],
        table: sa.Table,
        name_of: Callable[[str, str], str],
        *,
        not_found: Callable[[str], NotFound],
        ended: Callable[[str], FailedPrecondition],
    ) -> None:
        self.kind = kind
        self.name_of = name_of
        self._rows = rows
        self._table = table
        self._id = table.c[f"{kind}_id"]
        self._not_found = not_found
        self._ended = ended

    async def create(
        self,
        db: AsyncConnection,
        values: Mapping[str, Any],
        total: int,
        *,
        rate: int,
        requested_by: str,
    ) -> None:
        """
        Create a job with *values*, due at once, that has *total* items to look at.
        """
        progress = {
            "state": "RUNNING",
            "rate_limit": rate,
            "total_count": total,
            "skipped_count": 0,
            "failed_count": 0,
            "requested_by": requested_by,
            "due_time": database_now(),
            "create_time": database_now(),
        }
        await db.execute(sa.insert(self._table).values({**values, **progress}))

    async def get(self, db: AsyncConnection, name: str) -> RowT:
        """
        Return the job *name*. Raises `InvalidArgument` and the error of a job that is not there.
        """
        parsed = names.parse(self.kind, name)
        row = await self._rows.first(
            db, self._rows.select().where(self._is((parsed.owner, parsed.id)))
        )
        if row is None:
            raise self._not_found(name)
        return row

    async def list(
        self, db: AsyncConnection, parent: str, size: int, begin_after: PageKey | None
    ) -> Page[RowT]:
        """
        List the jobs of an owner, or of all that *parent* stands for, newest first.
        """
        query = self._rows.select().where(of_parent(self._table.c.owner, parent))
        if begin_after is not None:
            query = query.where(self._id < str(begin_after[0]))
        rows = await self._rows.all(db, query.order_by(self._id.desc()).limit(size + 1))
        return Page(rows, size, lambda row: [row.job_id])

    async def cancel(self, db: AsyncConnection, key: JobKey) -> None:
        """
        Stop a job; what it made due is still sent. Raises the error of a job that has ended.
        """
        if not await self._end(db, key, "CANCELLED", {}):
            raise self._ended(self.name_of(*key))

    async def fail(self, db: AsyncConnection, key: JobKey, error: bytes) -> None:
        """
        End a job that cannot go on; *error* is a serialised `google.rpc.Status`.
        """
        await self._end(db, key, "FAILED", {"error": error})

    async def _end(
        self, db: AsyncConnection, key: JobKey, state: str, values: Mapping[str, Any]
    ) -> bool:
        ended = {"state": state, "end_time": database_now(), "due_time": None, **values}
        running = self._is(key) & (self._table.c.state == "RUNNING")
        return bool(
            (await db.execute(sa.update(self._table).where(running).values(ended))).rowcount
        )

    async def lease(self, db: AsyncConnection, job: RowT, span: timedelta) -> None:
        """
        Keep a job, which is locked, from others for *span*.
        """
        same = self._is((job.owner, job.job_id))
        await db.execute(sa.update(self._table).where(same).values(due_time=after(span)))

    async def unmoved(self, db: AsyncConnection, job: RowT) -> bool:
        """
        Lock a job; tell whether it is still as far as *job*, and goes on.
        """
        query = self._rows.select().where(self._is((job.owner, job.job_id)))
        return await self._rows.first(db, query.with_for_update()) == job

    async def next_due(self, db: AsyncConnection, resting: Collection[JobKey]) -> RowT | None:
        """
        Lock the job that has been due for longest, but none that is *resting*.
        """
        columns = self._table.c
        may_run = ~in_keys([columns.owner, self._id], list(resting)) if resting else sa.true()
        due = (
            self._rows.select()
            .where(columns.due_time <= database_now(), may_run)
            .order_by(columns.due_time)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        return await self._rows.first(db, due)

    async def advance(
        self,
        db: AsyncConnection,
        job: RowT,
        values: Mapping[str, Any],
        *,
        read: int,
        done: bool,
    ) -> None:
        """
        Store the progress of a batch that looked at *read* items. The next one is due when the
        rate of the job allows it, and there is none if the job is *done*.
        """
        pause = timedelta(seconds=read / job.rate_limit if job.rate_limit else 0)
        progress = {**values, "due_time": after(pause)}
        if done:
            progress |= {"state": "SUCCEEDED", "due_time": None, "end_time": database_now()}
        same = self._is((job.owner, job.job_id))
        await db.execute(sa.update(self._table).where(same).values(progress))

    def counted(self, **more: int) -> dict[str, sa.ColumnElement[int]]:
        """
        Return the counts of a job with *more* added to those that are named.
        """
        return {name: self._table.c[name] + count for name, count in more.items()}

    def _is(self, key: JobKey) -> sa.ColumnElement[bool]:
        return sa.and_(self._table.c.owner == key[0], self._id == key[1])
