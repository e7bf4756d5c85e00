"""
What a developer's copy of an attempt is made of: the delivery, and its payload.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa
from msgspec.structs import replace

from dispatch_service.domain.transitions import TEST_RESOURCES
from dispatch_service.storage import associated_data
from dispatch_service.storage.rows import SettledAttemptRow
from dispatch_service.storage.schema import attempts, bodies, deliveries
from dispatch_service.storage.sealing import DayKeys
from service_runtime.database.engine import reading
from service_runtime.database.row_values import in_keys
from service_runtime.database.typed_rows import RowReader
from service_runtime.keys.keyring import SealBrokenError, UnknownKeyError
from service_runtime.process.failures import FailureLog

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

BATCH = 20
"""
How many payloads are in memory at once for one stream.
"""

_KEY = (attempts.c.owner, attempts.c.delivery_id, attempts.c.number)
_BODY_KEY = ("owner", "account", "event_id", "event_type", "payload_version")

_failures = FailureLog("delivery.read_failed")


class ForwardedAttempt(msgspec.Struct, frozen=True, gc=False):
    """
    An attempt with what its request says of the delivery, and the sealed payload. The id of the
    delivery has no hyphens, as receivers see it.
    """

    owner: str
    delivery_id: str
    number: int
    account: int
    event_id: str
    subscription: str
    event_type: str
    payload_version: str
    resource: str
    sequence: int
    occurred_at: datetime
    replayed: bool
    sealed_body: bytes

    @property
    def test(self) -> bool:
        """
        Whether the delivery is a test with a sample.
        """
        return self.resource.startswith(TEST_RESOURCES)


FORWARDED = RowReader(ForwardedAttempt, attempts, deliveries, bodies)

_JOINED = attempts.join(
    deliveries,
    sa.and_(*(attempts.c[it] == deliveries.c[it] for it in ("owner", "delivery_id"))),
).join(bodies, sa.and_(*(deliveries.c[it] == bodies.c[it] for it in _BODY_KEY)))


async def payloads(
    engine: AsyncEngine, keys: DayKeys, rows: Sequence[SettledAttemptRow]
) -> list[tuple[SettledAttemptRow, ForwardedAttempt, bytes]]:
    """
    Return some attempts, at most `BATCH`, with what they sent.

    Those whose payload was erased or pruned are left out; one that cannot be opened is logged and
    left out.
    """
    wanted = {(it.owner, it.delivery_id, it.number): it for it in rows}
    query = FORWARDED.select().select_from(_JOINED).where(in_keys(_KEY, wanted))
    async with reading(engine) as db:
        found = await FORWARDED.all(db, query)
    sent = {(it.owner, it.delivery_id, it.number): _as_sent(it) for it in found}
    still_there = [(row, sent[key]) for key, row in wanted.items() if key in sent]
    return [
        (row, attempt, body)
        for row, attempt in still_there
        if (body := await _opened(keys, attempt)) is not None
    ]


def _as_sent(attempt: ForwardedAttempt) -> ForwardedAttempt:
    return replace(attempt, delivery_id=attempt.delivery_id.replace("-", ""))


async def _opened(keys: DayKeys, attempt: ForwardedAttempt) -> bytes | None:
    contract = (attempt.event_type, attempt.payload_version)
    associated = associated_data.body(attempt.owner, attempt.account, attempt.event_id, contract)
    try:
        return await keys.open(attempt.sealed_body, associated)
    except (SealBrokenError, UnknownKeyError) as error:
        _failures.log(error, owner=attempt.owner, delivery=attempt.delivery_id)
        return None
