"""
The audit log of the configuration, and the changes that an entry lists.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping

from google.protobuf import json_format
from google.protobuf.message import Message

from config_service.store.schema import audit
from service_runtime.audit.entries import AuditChange
from service_runtime.audit.log import AuditLog
from service_runtime.keys.keyring import KeyRing


def _new_id() -> str:
    """
    Make an id of 20 digits, nanoseconds since 1970, and 8 random hexadecimal digits.
    """
    return f"{time.time_ns():020d}{secrets.token_hex(4)}"


def audit_log(ring: KeyRing) -> AuditLog:
    """
    Return the audit log of the config service.
    """
    return AuditLog(audit, ring, _new_id)


def shown_fields(message: Message) -> Mapping[str, str]:
    """
    Return the fields of a resource as JSON texts, to be compared by `differences`.
    """
    shown = json_format.MessageToDict(message, preserving_proto_field_name=True)
    return {
        field: json.dumps(value, sort_keys=True, ensure_ascii=False)
        for field, value in shown.items()
    }


def differences(
    before: Mapping[str, str], after: Mapping[str, str], secret: frozenset[str] = frozenset()
) -> list[AuditChange]:
    """
    List the fields that differ; for fields in *secret* without their values.
    """
    return [
        AuditChange(field, secret=True)
        if field in secret
        else AuditChange(field, before.get(field, ""), after.get(field, ""))
        for field in dict.fromkeys((*before, *after))
        if before.get(field) != after.get(field)
    ]
