"""
Request ids, which make repeated calls harmless.
"""

from __future__ import annotations

import uuid

from service_runtime.rpc.errors import FieldFault, InvalidArgument


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
