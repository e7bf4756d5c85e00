"""
Rules of the protos that buf does not check.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import attrgetter
from pathlib import Path

import pytest
from google.api import field_behavior_pb2, resource_pb2
from google.protobuf.descriptor import Descriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet

import config_service.rules.errors
import dispatch_service.domain.errors
from service_runtime.rpc import errors as rpc_errors
from shipedge.webhooks.config.v1 import (
    config_admin_service_pb2,
    config_service_pb2,
)
from shipedge.webhooks.dispatch.v1 import (
    delivery_service_pb2,
    payload_service_pb2,
    publisher_service_pb2,
)
from shipedge.webhooks.dispatch.v1 import dispatch_admin_service_pb2 as dispatch_admin_pb2
from shipedge.webhooks.errors.v1 import error_reason_pb2
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)

REASONS = [
    value.name.removeprefix("ERROR_REASON_")
    for value in error_reason_pb2.ErrorReason.DESCRIPTOR.values[1:]
]
PROTO = Path(__file__).parent.parent.parent / "proto/shipedge/webhooks"
FILES = [
    config_admin_service_pb2,
    config_service_pb2,
    feed_service_pb2,
    dispatch_admin_pb2,
    delivery_service_pb2,
    payload_service_pb2,
    publisher_service_pb2,
]


def methods() -> Iterator[MethodDescriptor]:
    for file in FILES:
        for service in file.DESCRIPTOR.services_by_name.values():
            yield from service.methods


def behaviours(message: Descriptor, field: str) -> list[int]:
    """
    Return the field behaviours (AIP-203) of a field.
    """
    options = message.fields_by_name[field].GetOptions()
    return list(options.Extensions[field_behavior_pb2.field_behavior])


LISTS = [it for it in methods() if "page_token" in it.input_type.fields_by_name]


@pytest.mark.parametrize("method", LISTS, ids=attrgetter("name"))
def test_lists_are_paged(method: MethodDescriptor) -> None:
    """
    A method with pages answers with a list and the token of the next page (AIP-158); every List
    method has pages.
    """
    assert {"page_size", "page_token"} <= set(method.input_type.fields_by_name)
    first, second = method.output_type.fields[:2]
    assert (first.number, first.is_repeated, second.name) == (1, True, "next_page_token")
    assert {it.name for it in methods() if it.name.startswith("List")} <= {it.name for it in LISTS}


@pytest.mark.parametrize("method", list(methods()), ids=attrgetter("full_name"))
def test_request_fields_say_how_they_behave(method: MethodDescriptor) -> None:
    """
    Every field of a request is required or optional (AIP-203), except members of a oneof.
    """
    undeclared = [
        field.name
        for field in method.input_type.fields
        if field.containing_oneof is None and not behaviours(method.input_type, field.name)
    ]

    assert undeclared == []


def test_resources_have_their_name_first() -> None:
    """
    Field 1 of a resource is its name, with the behaviour IDENTIFIER (AIP-122).
    """
    for method in methods():
        message = method.output_type
        if not message.GetOptions().HasExtension(resource_pb2.resource):
            continue
        assert message.fields[0].name == "name"
        assert behaviours(message, "name") == [field_behavior_pb2.IDENTIFIER]


def test_reasons_have_an_example() -> None:
    """
    Every error reason is documented with its code and an example.
    """
    text = (PROTO / "errors/v1/error_reason.proto").read_text()
    documented = re.findall(
        r'`[A-Z_]+`\. [^=]*?"reason": "([A-Z_]+)"[^=]*?ERROR_REASON_(\w+) =', text
    )

    names = [it.removeprefix("ERROR_REASON_") for it in error_reason_pb2.ErrorReason.keys()[1:]]
    assert [reason for reason, _ in documented] == [name for _, name in documented] == names


def test_errors_use_documented_reasons() -> None:
    """
    Every error class has a reason of the contract.
    """
    classes = [
        member
        for module in (config_service.rules.errors, dispatch_service.domain.errors)
        for member in vars(module).values()
        if isinstance(member, type) and member.__module__ == module.__name__
    ]
    reasons = {it.reason for it in classes if issubclass(it, rpc_errors.RpcError)}

    assert reasons
    assert reasons <= set(REASONS)


def test_reasons_in_comments_exist() -> None:
    """
    Comments of methods name only existing reasons.
    """
    named = set()
    for path in PROTO.glob("*/v1/*_service.proto"):
        text = " ".join(re.findall(r"// (.*)", path.read_text()))
        for group in re.findall(r"`[A-Z_]+` / ((?:`[A-Z_]+`(?! /)(?:, )?)+)", text):
            named |= set(re.findall(r"`([A-Z_]+)`", group))

    assert named
    assert named <= set(REASONS)


def test_published_image_suffices_for_tools() -> None:
    """
    It has comments, JSON names and the details of errors: grpcurl shows all with it alone.
    """
    image = FileDescriptorSet.FromString((PROTO.parent.parent / "published.binpb").read_bytes())
    files = {file.name: file for file in image.file}
    assert "ErrorInfo" in {it.name for it in files["google/rpc/error_details.proto"].message_type}
    file = files["shipedge/webhooks/config/v1/caller.proto"]
    assert any(it.leading_comments for it in file.source_code_info.location)
    assert "displayName" in {it.json_name for it in file.message_type[0].field}
