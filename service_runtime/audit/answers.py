"""
The calls on audit logs: whose entries a List shows, and verifications with their checkpoints, a
position and the chain code there.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, TypeVar

from service_runtime.audit.chain import Fault, Link
from service_runtime.audit.verification import Verification
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault, FieldFaults, InvalidArgument
from shipedge.webhooks.config.v1.audit_entry_pb2 import AuditFault

if TYPE_CHECKING:
    from shipedge.webhooks.config.v1 import config_admin_service_pb2 as config_pb
    from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2 as dispatch_pb

    Request = config_pb.VerifyAuditLogRequest | dispatch_pb.VerifyAuditLogRequest

ResponseT = TypeVar(
    "ResponseT", "config_pb.VerifyAuditLogResponse", "dispatch_pb.VerifyAuditLogResponse"
)

USUAL_LIMIT = 10_000
MOST_LIMIT = 100_000

_CHECKPOINT = re.compile(r"(?P<position>[0-9]{1,18})(?::(?P<mac>[0-9a-f]{64}))?")


def listed_owners(parent: str, accessible: frozenset[str]) -> frozenset[str]:
    """
    Return whose entries a List with *parent* shows: with `-` those of all *accessible* owners.

    Raises `InvalidArgument`.
    """
    if parent == "-":
        return accessible
    try:
        return frozenset({names.parse_parent(parent, wildcard=True)})
    except InvalidArgument:
        rule = "must be accounts/{account}, warehouses/{warehouse}, accounts/-, warehouses/-, or -"
        fault = FieldFault("parent", f"{rule} for all that the caller may access")
        raise InvalidArgument("The request is not valid.", faults=[fault]) from None


def begin_and_limit(request: Request) -> tuple[Link | None, int]:
    """
    Return where a verification begins, None for the beginning, and how many entries it checks.

    Raises `InvalidArgument`.
    """
    faults = FieldFaults()
    if not 0 <= request.limit <= MOST_LIMIT:
        faults.add("limit", f"must be 0 to {MOST_LIMIT}")
    found = _CHECKPOINT.fullmatch(request.checkpoint)
    if request.checkpoint and found is None:
        faults.add("checkpoint", "must be the checkpoint of an earlier answer, or a position")
    faults.raise_if_any()
    limit = request.limit or USUAL_LIMIT
    if found is None:
        return None, limit
    return Link(int(found["position"]), bytes.fromhex(found["mac"] or "")), limit


def verification_message(kind: type[ResponseT], found: Verification) -> ResponseT:
    """
    Convert what was found to the answer of a service, a message of *kind*.
    """
    return kind(
        verified_count=found.verified,
        fault=None if found.fault is None else _fault_message(found.fault),
        complete=found.complete,
        checkpoint=f"{found.through.position}:{found.through.mac.hex()}".removesuffix(":"),
        last_position=found.head.position,
        pruned_position=found.head.pruned_position,
        adopted_position=found.head.adopted_position,
    )


def _fault_message(fault: Fault) -> AuditFault:
    entry_id = fault.audit_entry_id
    return AuditFault(
        position=fault.position,
        kind=AuditFault.Kind.Value(f"KIND_{fault.kind.value}"),
        audit_entry=names.audit_entry(entry_id) if entry_id else "",
    )
