"""
The rules on callers. No I/O, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from config_service.rules.credentials import display_name_faults
from config_service.rules.refusals import refuse
from service_runtime.rpc import names
from service_runtime.rpc.callers import EVERY_OWNER
from service_runtime.rpc.errors import InvalidArgument
from shipedge.webhooks.config.v1.caller_pb2 import Caller

MOST_OWNERS = 1000

_IDENTITY = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,253}")


def check(caller: Caller) -> None:
    """
    Check a caller. Raises `InvalidArgument` with all faults.
    """
    refuse("The caller is not valid.", "caller", _faults(caller))


def _faults(caller: Caller) -> Iterator[tuple[str, str]]:
    yield from display_name_faults(caller.display_name)
    if not caller.roles or not set(caller.roles) <= set(Caller.Role.values()[1:]):
        yield "roles", f"must be one or more of {', '.join(Caller.Role.keys()[1:])}"
    if not 1 <= len(caller.owners) <= MOST_OWNERS:
        yield "owners", f"must be 1 to {MOST_OWNERS}"
    for index, owner in enumerate(caller.owners):
        if owner not in EVERY_OWNER and not _is_owner(owner):
            yield (
                f"owners[{index}]",
                "must be accounts/{account}, warehouses/{warehouse}, accounts/- or warehouses/-",
            )
    if caller.certificate_identity and not _IDENTITY.fullmatch(caller.certificate_identity):
        yield "certificate_identity", "must be a DNS name or URI without commas"


def _is_owner(text: str) -> bool:
    try:
        names.parse_owner(text)
    except InvalidArgument:
        return False
    return True
