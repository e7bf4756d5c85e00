"""
A dispatch service with a fault, which the crash tests must detect: it acknowledges events before
their commit.
"""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

from dispatch_service.app import run
from dispatch_service.domain.work import Receipt
from dispatch_service.intake.commit import GroupCommitter
from dispatch_service.intake.waiting import WaitingEvent
from dispatch_service.settings import Settings
from dispatch_service.storage.sealing import Sealer
from service_runtime.process.command import main

commit = GroupCommitter._commit


async def acknowledge_first(
    committer: GroupCommitter, group: Sequence[WaitingEvent], sealer: Sealer
) -> None:
    """
    Answer a group, let the answers reach their publishers, then commit it.
    """
    for waiting in group:
        now = datetime.now(UTC)  # noqa: TID251 - part of the fault
        receipt = Receipt(now, sha256(waiting.content).digest(), fresh=True)
        waiting.answers.give(waiting.index, receipt)
    await asyncio.sleep(0.2)
    await commit(committer, group, sealer)


if __name__ == "__main__":
    GroupCommitter._commit = acknowledge_first  # type: ignore[assignment,method-assign]
    main("dispatch_service", Settings, run)
