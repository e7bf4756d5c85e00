"""
A dispatch service with a fault: it acknowledges events before they are committed.
The crash tests must notice.
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


class HastyCommitter(GroupCommitter):
    """
    Answers first.
    """

    async def _commit(self, group: Sequence[Entry]) -> None:
        for entry in group:
            now = datetime.now(UTC)  # noqa: TID251 - a fault of its own
            receipt = Receipt(now, sha256(entry.content).digest(), fresh=True)
            entry.answers.give(entry.index, receipt)
        await super()._commit(group)


if __name__ == "__main__":
    GroupCommitter._commit = HastyCommitter._commit  # type: ignore[assignment,method-assign]
    main("dispatch_service", Settings, run)
