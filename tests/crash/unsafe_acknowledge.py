"""
A dispatch service with a fault, which the crash tests must detect: it acknowledges events before
their commit.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256

from dispatch_service.app import run
from dispatch_service.domain.work import Receipt
from dispatch_service.intake.commit import GroupCommitter
from dispatch_service.intake.waiting_events import Entry
from dispatch_service.settings import Settings
from service_runtime.process.command import main


class EarlyAcknowledger(GroupCommitter):
    """
    Acknowledges events, then commits them.
    """

    async def _commit(self, group: Sequence[Entry]) -> None:
        for entry in group:
            now = datetime.now(UTC)  # noqa: TID251 - part of the fault
            receipt = Receipt(now, sha256(entry.content).digest(), fresh=True)
            entry.answers.give(entry.index, receipt)
        await super()._commit(group)


if __name__ == "__main__":
    GroupCommitter._commit = EarlyAcknowledger._commit  # type: ignore[assignment,method-assign]
    main("dispatch_service", Settings, run)
