"""
What the protos tell generators and tools beyond types: names of resources, ids, signatures.

The rules are those of the AIPs that decision 39 follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import itemgetter
from typing import NamedTuple

import pytest
from google.api import client_pb2, field_info_pb2, resource_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FieldDescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

from tests.support.project_files import ROOT

IMAGE = FileDescriptorSet.FromString((ROOT / "proto/published.binpb").read_bytes())
OURS = re.compile(r"shipedge/webhooks/(config|dispatch)/")
FILES = [file for file in IMAGE.file if OURS.match(file.name)]
SPELLED_OTHERWISE = {"event_type"}
"""
Fields that hold what payloads say, `orders/shipped`, and not the name of the resource.
"""


class Field(NamedTuple):
    """
    A field and the name of its message.
    """

    message: str
    field: FieldDescriptorProto

    @property
    def reference(self) -> str:
        """
        The type of the resource that the field names, or of its children; empty: none.
        """
        options = self.field.options.Extensions[resource_pb2.resource_reference]
        return str(options.type or options.child_type)


def messages() -> Iterator[DescriptorProto]:
    for file in FILES:
        yield from file.message_type


def texts() -> Iterator[Field]:
    """
    Yield all fields with text.
    """
    for message in messages():
        for field in message.field:
            if field.type == FieldDescriptorProto.TYPE_STRING:
                yield Field(message.name, field)


def resources() -> dict[str, str]:
    """
    Return the singular names of all resources by their types. Raises `AssertionError` where a
    type is defined twice.
    """
    of_messages = (it.options.Extensions[resource_pb2.resource] for it in messages())
    of_files = [
        definition
        for file in FILES
        for definition in file.options.Extensions[resource_pb2.resource_definition]
    ]
    found = [it for it in (*of_messages, *of_files) if it.type]
    assert len({it.type for it in found}) == len(found)
    return {it.type: re.sub(r"(?<!^)([A-Z])", r"_\1", it.singular).lower() for it in found}


def methods() -> list[tuple[str, MethodDescriptorProto]]:
    return [
        (method.name, method)
        for file in FILES
        for service in file.service
        for method in service.method
    ]


def test_names_of_resources_say_of_which() -> None:
    """
    A text that is called by the name of a resource refers to it (AIP-122), and so do the names
    and parents in requests.
    """
    singulars = set(resources().values()) - SPELLED_OTHERWISE
    of_requests = {"name", "names", "parent"}
    missing = [
        f"{text.message}.{text.field.name}"
        for text in texts()
        if not text.reference
        and (
            text.field.name in singulars
            or (text.message.endswith("Request") and text.field.name in of_requests)
        )
    ]

    assert missing == []


def test_references_are_to_resources_that_exist() -> None:
    """
    Every type that a field refers to is defined, once.
    """
    references = {text.reference for text in texts()} - {"", "*"}

    assert references
    assert references <= set(resources())


def test_request_ids_are_uuids() -> None:
    """
    Every `request_id` has the format UUID4 (AIP-155).
    """
    formats = {
        text.message: text.field.options.Extensions[field_info_pb2.field_info].format
        for text in texts()
        if text.field.name == "request_id"
    }

    assert "CreateSubscriptionRequest" in formats
    assert set(formats.values()) == {field_info_pb2.FieldInfo.UUID4}


STORED_NOWHERE = "CreatePortalLink"
CREATIONS = [it for it in methods() if it[0].startswith("Create") and it[0] != STORED_NOWHERE]


@pytest.mark.parametrize(("name", "method"), CREATIONS, ids=map(itemgetter(0), CREATIONS))
def test_creations_have_the_id_in_their_signature(name: str, method: MethodDescriptorProto) -> None:
    """
    A signature of every Create method ends with the id of the resource (AIP-133).
    """
    resource = re.sub(r"(?<!^)([A-Z])", r"_\1", name.removeprefix("Create")).lower()
    signatures = method.options.Extensions[client_pb2.method_signature]

    assert any(it.endswith(f"{resource},{resource}_id") for it in signatures)
