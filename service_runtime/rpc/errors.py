"""
The errors of the API: a class for each canonical code, with subclasses beside the code that
raises them. This module imports no gRPC, so pure modules may import it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

DOMAIN = "webhooks.shipedge.com"
"""
The domain of all reasons, as AIP-193 asks for.
"""


STORE_RETRY_AFTER = timedelta(seconds=1)
"""
How long callers wait before they retry a call that found no database.
"""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """
    A field of a request, and the rule that it breaks.
    """

    field: str
    description: str


class RpcError(Exception):
    """
    An error that the caller sees: a code, a reason and a message.

    *metadata* holds each variable part of the message, under names in lowerCamel.
    """

    code: ClassVar[str] = "UNKNOWN"
    reason: str = "INTERNAL_FAULT"

    def __init__(
        self,
        message: str,
        *,
        reason: str | None = None,
        faults: Sequence[FieldFault] = (),
        retry_after: timedelta | None = None,
        **metadata: str,
    ) -> None:
        listed = "; ".join(f"{fault.field}: {fault.description}" for fault in faults)
        super().__init__(f"{message} {listed}".strip() if listed else message)
        self.faults = tuple(faults)
        self.retry_after = retry_after
        self.metadata = dict(metadata)
        if faults:
            self.metadata["fields"] = ", ".join(dict.fromkeys(fault.field for fault in faults))
        if reason is not None:
            self.reason = reason

    @property
    def message(self) -> str:
        return str(self.args[0])


class InvalidArgument(RpcError):
    """
    The request is invalid in any state of the system.
    """

    code = "INVALID_ARGUMENT"
    reason = "FIELD_INVALID"


class NotFound(RpcError):
    code = "NOT_FOUND"


class AlreadyExists(RpcError):
    code = "ALREADY_EXISTS"


class FailedPrecondition(RpcError):
    """
    The state of the system does not allow the request.
    """

    code = "FAILED_PRECONDITION"


class Aborted(RpcError):
    """
    Another caller changed the resource first.
    """

    code = "ABORTED"


class OutOfRange(RpcError):
    """
    The request goes beyond the existing data.
    """

    code = "OUT_OF_RANGE"


class ResourceExhausted(RpcError):
    """
    A limit is reached; the caller may retry later.
    """

    code = "RESOURCE_EXHAUSTED"


class PermissionDenied(RpcError):
    code = "PERMISSION_DENIED"
    reason = "CALLER_FORBIDDEN"


class Unauthenticated(RpcError):
    """
    The caller could not be identified.
    """

    code = "UNAUTHENTICATED"
    reason = "CALLER_UNKNOWN"


class Unavailable(RpcError):
    """
    The service cannot answer now; the caller may retry the same request.
    """

    code = "UNAVAILABLE"
    reason = "STORE_UNAVAILABLE"


class StoreUnavailable(Unavailable):
    reason = "STORE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("The store does not answer; try again.", retry_after=STORE_RETRY_AFTER)


class Unimplemented(RpcError):
    code = "UNIMPLEMENTED"
    reason = "METHOD_UNIMPLEMENTED"


class Internal(RpcError):
    code = "INTERNAL"
    reason = "INTERNAL_FAULT"


class FieldFaults:
    """
    Collects the faults of a request, to report all of them at once.
    """

    def __init__(self) -> None:
        self._faults: list[FieldFault] = []

    def add(self, field: str, description: str) -> None:
        """
        Add the fault that *field* breaks the rule *description*.
        """
        self._faults.append(FieldFault(field, description))

    def __len__(self) -> int:
        return len(self._faults)

    def raise_if_any(self, reason: str = "FIELD_INVALID") -> None:
        """
        Raise `InvalidArgument` with all faults, if there are any.
        """
        if self._faults:
            raise InvalidArgument("The request is not valid.", reason=reason, faults=self._faults)


def not_offered(method: str) -> Unimplemented:
    """
    Return the error for a method of the contract that this release does not offer.
    """
    return Unimplemented(f"This release does not offer {method}.", method=method)
