"""
Request ids, which make repeated calls harmless.
"""

from __future__ import annotations

import uuid

from service_runtime.rpc.errors import AlreadyExists, FieldFault, InvalidArgument


class RequestIdReused(AlreadyExists):
    """
    A request id was used for another request.
    """

    reason = "REQUEST_ID_REUSED"

    def __init__(self, method: str) -> None:
        super().__init__(f"The request id was used for another {method}.", method=method)


def check_request_id(text: str) -> None:
    """
    Raise `InvalidArgument` for a request id that is neither empty nor a UUID.
    """
    if not text:
        return
    try:
        uuid.UUID(text)
    except ValueError:
        raise InvalidArgument(
            "The request is not valid.", faults=[FieldFault("request_id", "must be a UUID")]
        ) from None
