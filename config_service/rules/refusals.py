"""
The refusal of what callers want to configure.
"""

from __future__ import annotations

from collections.abc import Iterable

from service_runtime.rpc.errors import FieldFault, InvalidArgument


def refuse(message: str, within: str, faults: Iterable[tuple[str, str]]) -> None:
    """
    Raise `InvalidArgument` if there are *faults*: fields of the field *within* of the request, with
    the rules that they break.
    """
    found = [FieldFault(f"{within}.{field}", text) for field, text in faults]
    if found:
        raise InvalidArgument(message, faults=found)
