"""
The errors of the API: a class for each canonical code, with subclasses beside the code that
raises them. This module imports no gRPC, so pure modules may import it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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


MOST_FAULTS = 20
MOST_TEXT_BYTES = 2048
MOST_VALUE_BYTES = 1024
"""
What an error shows at most: faults, bytes of its message and of all descriptions together, and
bytes of a value of its metadata. gRPC drops a status whose trailers are longer than 16 KiB.
"""


@dataclass(frozen=True, slots=True)
class FieldFault:
    """
    A field of a request, and the rule that it breaks.

    *reason* is the reason of the fault where it is not that of the error's class, and *metadata*
    what the contract promises beside that reason.
    """

    field: str
    description: str
    reason: str = ""
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)


def shortened(text: str, most_bytes: int = MOST_TEXT_BYTES) -> str:
    """
    Return *text* with at most so many bytes in UTF-8; what was cut ends in an ellipsis.
    """
    written = text.encode()
    if len(written) <= most_bytes:
        return text
    mark = "…"
    return written[: most_bytes - len(mark.encode())].decode(errors="ignore") + mark


def _bounded(faults: Sequence[FieldFault]) -> tuple[FieldFault, ...]:
    """
    Return the first faults, as many as an error shows, with their descriptions shortened.
    """
    shown = faults[:MOST_FAULTS]
    if sum(len(f"{it.field}{it.description}".encode()) for it in shown) <= MOST_TEXT_BYTES:
        return tuple(shown)
    share = MOST_TEXT_BYTES // len(shown)
    return tuple(
        replace(
            it,
            field=shortened(it.field, share // 2),
            description=shortened(it.description, share // 2),
        )
        for it in shown
    )


class RpcError(Exception):
    """
    An error that the caller sees: a code, a reason and a message.

    *metadata* holds each variable part of the message, under names in lowerCamel. The reason is
    the one given, else that of the first fault. A fault without a reason has the one given, else
    that of the class. Of many faults the first ones are shown, and texts are cut, so that the
    error fits into the trailers of a call.
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
        own = reason or self.reason
        self.faults = _bounded([replace(it, reason=it.reason or own) for it in faults])
        listed = "; ".join(f"{fault.field}: {fault.description}" for fault in self.faults)
        if len(faults) > len(self.faults):
            listed += f"; and {len(faults) - len(self.faults)} more"
        super().__init__(shortened(f"{message} {listed}".strip() if listed else message))
        self.retry_after = retry_after
        if faults:
            fields = dict.fromkeys(fault.field for fault in self.faults)
            metadata = {**metadata, **faults[0].metadata, "fields": ", ".join(fields)}
            reason = reason or self.faults[0].reason
        self.metadata = {it: shortened(text, MOST_VALUE_BYTES) for it, text in metadata.items()}
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


class ShuttingDown(Unavailable):
    """
    The process stops; another one, or this one in a moment, takes the call.
    """

    reason = "SHUTTING_DOWN"

    def __init__(self) -> None:
        super().__init__("The service is shutting down; try again.", retry_after=STORE_RETRY_AFTER)


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
