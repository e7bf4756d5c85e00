"""
The `update_mask` of an Update: which fields a request changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from google.api import field_behavior_pb2
from google.protobuf import field_mask_pb2
from google.protobuf.message import Message

from service_runtime.rpc.errors import FieldFault, InvalidArgument

MessageT = TypeVar("MessageT", bound=Message)

_NOT_SETTABLE = frozenset({field_behavior_pb2.OUTPUT_ONLY, field_behavior_pb2.IDENTIFIER})


def settable_fields(resource: Message) -> tuple[str, ...]:
    """
    Return the fields that an Update can change; `etag` is none of them.
    """
    return tuple(
        field.name
        for field in resource.DESCRIPTOR.fields
        if field.name != "etag"
        and not _NOT_SETTABLE.intersection(
            field.GetOptions().Extensions[field_behavior_pb2.field_behavior]
        )
    )


def masked_fields(resource: Message, mask: field_mask_pb2.FieldMask) -> Sequence[str]:
    """
    Return the fields that an Update changes: those that the mask names, all of them for `*`, and
    without a mask those that are set.

    Raises `InvalidArgument` for a path that cannot be set. Paths below the first level are
    refused, because lists and messages change as a whole.
    """
    settable = settable_fields(resource)
    if not mask.paths:
        present = {field.name for field, _ in resource.ListFields()}
        return [name for name in settable if name in present]
    if list(mask.paths) == ["*"]:
        return settable
    wrong = [path for path in mask.paths if path not in settable]
    if wrong:
        raise InvalidArgument(
            "The request is not valid.",
            faults=[
                FieldFault(
                    "update_mask", f"{path!r} cannot be set; paths are {', '.join(settable)}"
                )
                for path in wrong
            ],
        )
    return list(dict.fromkeys(mask.paths))


def merged(before: MessageT, given: MessageT, fields: Sequence[str]) -> MessageT:
    """
    Return a copy of *before* with the *fields* of *given*.
    """
    after, chosen = type(before)(), type(before)()
    after.CopyFrom(before)
    chosen.CopyFrom(given)
    for field in before.DESCRIPTOR.fields_by_name:
        (after if field in fields else chosen).ClearField(field)
    after.MergeFrom(chosen)
    return after
