"""
The audit log of manual actions. An entry is written in the transaction of its action, and before
the answer of a method that shows what was sent or answered.
"""

from __future__ import annotations

from dispatch_service.storage.ids import new_id
from dispatch_service.storage.schema import audit
from service_runtime.audit.log import AuditLog
from service_runtime.keys.keyring import KeyRing


def audit_log(ring: KeyRing) -> AuditLog:
    """
    Return the audit log of the dispatch service.
    """
    return AuditLog(audit, ring, new_id)
