"""
What the protos say of each field, required or optional, is what the services demand.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from google.api.field_behavior_pb2 import REQUIRED, field_behavior
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorSet
from google.protobuf.message import Message

from dispatch_service.payloads import CONTRACTS, check, example_event
from shipedge.webhooks.events.v1.event_pb2 import Event
from tests.support.project_files import ROOT

DESCRIPTORS = ROOT / "proto/python/shipedge/webhooks/descriptors.binpb"
EVENTS = ROOT / "proto/shipedge/webhooks/events/v1"

_FIELD = re.compile(r"(?:repeated |optional )?[\w.]+ (\w+) = \d+")
_SAID = re.compile(r"Required[.,]|At least one\.|Exactly one\.")


def described() -> Iterator[DescriptorProto]:
    """
    Yield all messages of the contract but the entries of maps, by their full names.
    """
    for file in FileDescriptorSet.FromString(DESCRIPTORS.read_bytes()).file:
        if file.name.startswith("shipedge/"):
            for message in file.message_type:
                yield from _with_nested(message, file.package)


def _with_nested(message: DescriptorProto, scope: str) -> Iterator[DescriptorProto]:
    inner = list(message.nested_type)
    message.name = f"{scope}.{message.name}"
    yield message
    for nested in inner:
        if not nested.options.map_entry:
            yield from _with_nested(nested, message.name)


def required_of(kind: Descriptor) -> frozenset[str]:
    """
    Return the fields of a message that are declared required.
    """
    return frozenset(
        it.name for it in kind.fields if REQUIRED in it.GetOptions().Extensions[field_behavior]
    )


def test_each_field_says_how_it_behaves() -> None:
    """
    Every field of every message has a behaviour (AIP-203).
    """
    silent = [
        f"{message.name}.{field.name}"
        for message in described()
        for field in message.field
        if not field.options.Extensions[field_behavior]
    ]

    assert silent == []


def test_comments_of_events_say_the_same() -> None:
    """
    The comments of events name the same fields as required.
    """
    declared = {
        (message.name.rpartition(".")[2], field.name)
        for message in described()
        if ".events." in message.name
        for field in message.field
        if REQUIRED in field.options.Extensions[field_behavior]
    }
    said = {pair for path in EVENTS.glob("*.proto") for pair in _said(path.read_text())}
    of_the_catalogue = {
        ("EventTypeRule", "event_type"),
        ("FilterRule", "kind"),
        ("FilterRule", "presence"),
    }

    assert said == declared - of_the_catalogue


def _said(source: str) -> Iterator[tuple[str, str]]:
    """
    Yield the fields that a comment in a proto file calls required.
    """
    message, comment = "", ""
    for line in map(str.strip, source.splitlines()):
        if line.startswith("//"):
            comment += f"{line[2:]} "
            continue
        if opened := re.match(r"message (\w+)", line):
            message = opened[1]
        elif (named := _FIELD.match(line)) and _SAID.search(comment):
            yield message, named[1]
        comment = ""


EXAMPLES = sorted({name for name, _ in CONTRACTS if not name.startswith("webhooks/")})


def set_fields(message: Message, path: str = "") -> Iterator[tuple[Any, FieldDescriptor, str]]:
    """
    Yield each field that is set in *message* and within it, with its message and its path; of a
    list the first item.
    """
    for field, value in message.ListFields():
        at = f"{path}.{field.name}" if path else field.name
        yield message, field, at
        if field.message_type is None or not field.message_type.full_name.startswith("shipedge."):
            continue
        if field.is_repeated:
            yield from set_fields(value[0], f"{at}[0]")
        else:
            yield from set_fields(value, at)


@pytest.mark.parametrize("event_type", EXAMPLES)
def test_events_lack_only_what_is_optional(event_type: str) -> None:
    """
    An example without a required field is refused and names it; without any other, it is not
    said to lack it, unless a label must say what `OTHER` is.
    """
    paths = [
        at for _, field, at in set_fields(example_event(event_type)) if field.name != "payload"
    ]
    for wanted in paths:
        event = example_event(event_type)
        message, field = next((it, found) for it, found, at in set_fields(event) if at == wanted)
        message.ClearField(field.name)
        lacking = {path for path, text in check(event) if "required" in text or "1 to" in text}

        if field.name in required_of(message.DESCRIPTOR):
            assert wanted in lacking, wanted
        elif not _is_payload(field) and not field.name.endswith("_label"):
            assert wanted not in lacking, wanted


def _is_payload(field: FieldDescriptor) -> bool:
    return field.containing_oneof is not None and field.containing_type is Event.DESCRIPTOR
