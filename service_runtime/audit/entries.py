"""
What an audit entry says, and its message in the contract.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from service_runtime.audit.chain import Content
from service_runtime.rpc import filters, names
from shipedge.webhooks.config.v1.audit_entry_pb2 import AuditEntry

FILTER_FIELDS: Mapping[str, filters.FieldKind] = {
    "create_time": filters.instant(),
    "caller": filters.text(),
    "method": filters.text(),
    "resource": filters.text(),
}


class AuditChange(msgspec.Struct, frozen=True):
    """
    A field that changed. Both values are empty for a secret, of which only the change shows.
    """

    field: str
    before: str = ""
    after: str = ""
    secret: bool = False


class AuditRow(Content, frozen=True, gc=False):
    """
    A stored entry; *changes* is a JSON array of `AuditChange`. *position* is None for one that
    is not in the chain.
    """

    position: int | None


def entry_message(row: AuditRow) -> AuditEntry:
    """
    Convert an entry to the message of the contract.
    """
    message = AuditEntry(
        name=names.audit_entry(row.audit_entry_id),
        caller=row.caller,
        method=row.method,
        resource=row.resource,
        owner=row.owner,
        position=row.position or 0,
    )
    message.create_time.FromDatetime(row.create_time)
    for change in msgspec.json.decode(row.changes, type=list[AuditChange]):
        message.changes.add(
            field=change.field, before=change.before, after=change.after, secret=change.secret
        )
    return message
