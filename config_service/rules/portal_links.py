"""
The rules on portal links. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from service_runtime.rpc.callers import Caller
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.portal.links import LONGEST, roles_to_give
from shipedge.webhooks.config.v1.caller_pb2 import Caller as CallerMessage
from shipedge.webhooks.config.v1.config_service_pb2 import CreatePortalLinkRequest

_PREFIX = "ROLE_"
_SHORTEST = timedelta(seconds=1)


def role_of(request: CreatePortalLinkRequest) -> str:
    """
    Return the role that a link would give, in lower case; "" for one that is not known.
    """
    number = request.role
    known = number in CallerMessage.Role.values()
    return CallerMessage.Role.Name(number).removeprefix(_PREFIX).lower() if known else ""


def lifetime(request: CreatePortalLinkRequest) -> timedelta:
    """
    Return how long a link would be good for: an hour where nothing is said.
    """
    return request.ttl.ToTimedelta() if request.HasField("ttl") else LONGEST


def check(request: CreatePortalLinkRequest, maker: Caller) -> None:
    """
    Check what *maker* asks for. Raises `InvalidArgument` with all faults.
    """
    if faults := [FieldFault(field, text) for field, text in _faults(request, maker)]:
        raise InvalidArgument("The link is not valid.", faults=faults)


def _faults(request: CreatePortalLinkRequest, maker: Caller) -> Iterator[tuple[str, str]]:
    allowed = roles_to_give(maker)
    if role_of(request) not in allowed:
        named = ", ".join(f"{_PREFIX}{it.upper()}" for it in allowed)
        yield "role", f"must be one that the caller has, or one below it: {named}"
    if not _SHORTEST <= lifetime(request) <= LONGEST:
        yield "ttl", "must be 1 second to 1 hour"
