"""
The audit log of manual actions. An entry is written in the transaction of its action, and before
the answer of a method that shows what was sent or answered.
"""

from __future__ import annotations

from dispatch_service.storage.ids import new_id
from dispatch_service.storage.schema import audit_entries
from service_runtime.database.audit_log import AuditLog

AUDIT_LOG = AuditLog(audit_entries, new_id)
