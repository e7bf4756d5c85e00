"""
Callers as the contract has them, and as the directory wants them.
"""

from __future__ import annotations

from datetime import UTC

from service_runtime.rpc.caller_directory import Entry
from service_runtime.rpc.callers import Caller
from shipedge.webhooks.config.v1 import caller_pb2, feed_service_pb2

_PREFIX = "ROLE_"


def entry_of(message: feed_service_pb2.FeedCaller) -> Entry:
    """
    Read a caller of the feed; roles that are not known here give nothing.
    """
    shown = message.caller
    known = caller_pb2.Caller.Role.values()
    roles = frozenset(
        caller_pb2.Caller.Role.Name(role).removeprefix(_PREFIX).lower()
        for role in shown.roles
        if role in known and role
    )
    expires = shown.expire_time.ToDatetime(tzinfo=UTC) if shown.HasField("expire_time") else None
    return Entry(
        Caller(shown.name, roles, frozenset(shown.owners)),
        shown.certificate_identity,
        message.token_sha256,
        expires,
    )
