"""
Encryption of payloads, bodies and exchanges: one data key for each UTC day, which the key
ring wraps.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa

from dispatch_service.storage import associated_data
from dispatch_service.storage.schema import day_keys
from service_runtime.database.engine import reading, writing
from service_runtime.database.inserts import insert
from service_runtime.keys.keyring import (
    AssociatedData,
    DataKey,
    KeyRing,
    SealBrokenError,
    UnknownKeyError,
)
from service_runtime.rpc.shielded import shielded

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

_EPOCH = date(1970, 1, 1)
_DAY_BYTES = 4


def day_number(instant: datetime) -> int:
    """
    Return the days from 1970-01-01 to the UTC day of *instant*.
    """
    return (instant.astimezone(UTC).date() - _EPOCH).days


KeyedHash = Callable[[str, str], bytes]
"""
Hashes a value for a purpose, as `KeyRing.keyed_hash` does.
"""


class DayKeys:
    """
    The data keys of the days, read when they are needed and then held in memory.

    A sealed value begins with the number of its day in four bytes, so nothing else is needed
    to open it.
    """

    def __init__(self, engine: AsyncEngine, ring: KeyRing, clock: Callable[[], datetime]) -> None:
        self._engine = engine
        # Hashes a value by which rows are found.
        self.hashed: KeyedHash = ring.keyed_hash
        self.ring = ring
        self._clock = clock
        self._keys: dict[int, DataKey] = {}
        # The sealer of today, and the instant at which today ends.
        self._sealer: Sealer | None = None
        self._until = datetime.max.replace(tzinfo=UTC)

    async def today(self) -> Sealer:
        """
        Return the sealer of today. It costs one database round trip a day.
        """
        now = self._clock()
        if self._sealer is not None and now < self._until:
            return self._sealer
        day = day_number(now)
        key = self._keys.get(day)
        if key is None:
            key = await shielded(self._create(day))
        self._sealer = Sealer(day, key, self.hashed)
        self._until = datetime.combine(_EPOCH, time.min, UTC) + timedelta(days=day + 1)
        return self._sealer

    def newest(self) -> Sealer:
        """
        Return the sealer of the newest day in memory, without a database round trip.

        Raises `LookupError` before this process has sealed or opened a value.
        """
        if not self._keys:
            raise LookupError("no key of any day is in memory")
        day = max(self._keys)
        return Sealer(day, self._keys[day], self.hashed)

    async def open(self, sealed: bytes, associated: AssociatedData) -> bytes:
        """
        Decrypt a value. Raises `SealBrokenError` for a value that is damaged, and
        `UnknownKeyError` where its key is not there or does not open.
        """
        day = int.from_bytes(sealed[:_DAY_BYTES], "big")
        key = self._keys.get(day) or await self._stored(day)
        return key.open(sealed[_DAY_BYTES:], associated)

    async def _create(self, day: int) -> DataKey:
        """
        Create the key of *day*, unless another process has, and return it.
        """
        wrapped = self.ring.wrap(DataKey.generate(), associated_data.day_key(day))
        row = {"day": day, "wrapped_key": wrapped, "create_time": self._clock()}
        async with writing(self._engine) as db:
            statement = insert(db.dialect.name, day_keys).on_conflict_do_nothing()
            await db.execute(statement, row)
        return await self._stored(day)

    async def _stored(self, day: int) -> DataKey:
        query = sa.select(day_keys.c.wrapped_key).where(day_keys.c.day == day)
        async with reading(self._engine) as db:
            wrapped = (await db.execute(query)).scalar_one_or_none()
        if wrapped is None:
            raise UnknownKeyError(f"the database has no key of day {day}")
        try:
            key = self.ring.unwrap(wrapped, associated_data.day_key(day))
        except SealBrokenError as broken:
            # It says nothing of the values: another process may have the right key.
            raise UnknownKeyError(f"the key of day {day} does not open") from broken
        self._keys[day] = key
        return key


class Sealer:
    """
    Seals values under the key of one *day*. *hashed* is the keyed hash of the key ring.
    """

    __slots__ = ("_key", "_prefix", "day", "hashed")

    def __init__(self, day: int, key: DataKey, hashed: KeyedHash) -> None:
        self.day = day
        self._prefix = day.to_bytes(_DAY_BYTES, "big")
        self._key = key
        self.hashed = hashed

    def seal(self, plaintext: bytes, associated: AssociatedData) -> bytes:
        """
        Encrypt *plaintext* and bind it to *associated*.
        """
        return self._prefix + self._key.seal(plaintext, associated)
