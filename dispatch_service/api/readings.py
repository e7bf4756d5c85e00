"""
What is noted of those who read payloads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from service_runtime.database.engine import writing

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncEngine

    from service_runtime.audit.log import AuditLog


class ReadingMethods:
    """
    What methods that show payloads share.
    """

    _engine: AsyncEngine
    _audit: AuditLog

    async def _record_reading(self, method: str, name: str) -> None:
        """
        Write to the audit log that the caller is about to see what was published, sent or
        answered.
        """
        async with writing(self._engine) as db:
            await self._audit.record(db, method, name)
