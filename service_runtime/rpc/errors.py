"""
The errors of the API: one class for each canonical code, subclassed beside the
code that raises them. No grpc here: code that decides may import this.
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
When a call is tried again that found no database.
"""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """
    A field of a request and what it must be.
    """

    field: str
    description: str


class RpcError(Exception):
    """
    An error that the caller sees: a code, a reason and what varies in the message.

    *metadata* holds every variable part of the message, its names in lowerCamel.
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
        """
        The text for people.
        """
        return str(self.args[0])


class InvalidArgument(RpcError):
    """
    The request is wrong, whatever the state of the system.
    """

    code = "INVALID_ARGUMENT"
    reason = "FIELD_INVALID"


class NotFound(RpcError):
    """
    There is no such resource.
    """

    code = "NOT_FOUND"


class AlreadyExists(RpcError):
    """
    There is such a resource already.
    """

    code = "ALREADY_EXISTS"


class FailedPrecondition(RpcError):
    """
    The state of the system does not allow it.
    """

    code = "FAILED_PRECONDITION"


class Aborted(RpcError):
    """
    Somebody else was faster.
    """

    code = "ABORTED"


class OutOfRange(RpcError):
    """
    The request goes beyond what there is.
    """

    code = "OUT_OF_RANGE"


class ResourceExhausted(RpcError):
    """
    There is too much of something; wait and try again.
    """

    code = "RESOURCE_EXHAUSTED"


class PermissionDenied(RpcError):
    """
    The caller may not do this.
    """

    code = "PERMISSION_DENIED"
    reason = "CALLER_FORBIDDEN"


class Unauthenticated(RpcError):
    """
    Nobody knows who the caller is.
    """

    code = "UNAUTHENTICATED"
    reason = "CALLER_UNKNOWN"


class Unavailable(RpcError):
    """
    It does not work now; the same request may work later.
    """

    code = "UNAVAILABLE"
    reason = "STORE_UNAVAILABLE"


class StoreUnavailable(Unavailable):
    """
    The database does not answer.
    """

    reason = "STORE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__("The store does not answer; try again.", retry_after=STORE_RETRY_AFTER)


class Unimplemented(RpcError):
    """
    This release does not offer it.
    """

    code = "UNIMPLEMENTED"
    reason = "METHOD_UNIMPLEMENTED"


class Internal(RpcError):
    """
    A fault of the service itself.
    """

    code = "INTERNAL"
    reason = "INTERNAL_FAULT"


class FieldFaults:
    """
    Collects what is wrong with a request, so that all of it is said at once.
    """

    def __init__(self) -> None:
        self._faults: list[FieldFault] = []

    def add(self, field: str, description: str) -> None:
        """
        Note that *field* must be as *description* says.
        """
        self._faults.append(FieldFault(field, description))

    def __len__(self) -> int:
        return len(self._faults)

    def raise_if_any(self, reason: str = "FIELD_INVALID") -> None:
        """
        Raise `InvalidArgument` with all that was noted.
        """
        if self._faults:
            raise InvalidArgument("The request is not valid.", reason=reason, faults=self._faults)


def not_offered(method: str) -> Unimplemented:
    """
    Say that a method is in the contract but not in this release.
    """
    return Unimplemented(f"This release does not offer {method}.", method=method)
