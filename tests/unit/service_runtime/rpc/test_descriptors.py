"""
Finding the files of symbols.
"""

from __future__ import annotations

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto

from service_runtime.rpc.reflection.descriptors import DescriptorIndex
from service_runtime.rpc.reflection.servicer import contract

CONFIG = "shipedge.webhooks.config.v1"
CALLER = "shipedge/webhooks/config/v1/caller.proto"
ADMIN = "shipedge/webhooks/config/v1/config_admin_service.proto"
BEHAVIOR = "google/api/field_behavior.proto"


@pytest.mark.parametrize(
    ("symbol", "file"),
    [
        (f"{CONFIG}.Caller", CALLER),
        (f"{CONFIG}.Caller.display_name", CALLER),
        (f"{CONFIG}.Caller.Role", CALLER),
        (f"{CONFIG}.Caller.ROLE_ADMIN", CALLER),
        (f"{CONFIG}.Caller.Role.ROLE_ADMIN", None),
        (f"{CONFIG}.ConfigAdminService", ADMIN),
        (f"{CONFIG}.ConfigAdminService.UpdateCaller", ADMIN),
        ("shipedge.webhooks.feed.v1.FeedChange.change", "/feed/v1/feed_service.proto"),
        ("google.api.field_behavior", BEHAVIOR),
        ("google.api.REQUIRED", BEHAVIOR),
        ("google.rpc.ErrorInfo", "google/rpc/error_details.proto"),
        ("google.rpc.QuotaFailure.Violation.subject", "google/rpc/error_details.proto"),
        ("grpc.health.v1.Health.Check", "/v1/health.proto"),
        ("grpc.reflection.v1.ServerReflection", "/v1/reflection.proto"),
        ("grpc.reflection.v1alpha.ErrorResponse", "/v1alpha/reflection.proto"),
        (CONFIG, None),
        ("", None),
    ],
)
def test_symbols_of_all_kinds(symbol: str, file: str | None) -> None:
    """
    A symbol has the file that declares it; a package has none.
    """
    found = contract().file_of(symbol)
    assert found is None if file is None else str(found).endswith(file)


def test_extensions() -> None:
    """
    They are found by the extended message and their number, at the top and within messages.
    """
    options = "google.protobuf.FieldOptions"
    assert contract().file_of_extension(options, 1052) == BEHAVIOR
    assert contract().file_of_extension(options, 1) is None
    assert 1052 in (contract().extensions_of(options) or ())
    assert contract().extensions_of(f"{CONFIG}.Caller") == []
    assert contract().extensions_of(f"{CONFIG}.Nothing") is None

    file = FileDescriptorProto(name="a.proto")
    outer = file.message_type.add(name="Outer")
    outer.extension.add(name="inner", number=7, extendee=".Outer")
    index = DescriptorIndex([file])
    assert (index.file_of("Outer.inner"), index.file_of_extension("Outer", 7)) == ("a.proto",) * 2


def test_imports_come_with_a_file() -> None:
    """
    All of them, each once, but for those that are known already.
    """
    found = contract().with_imports(ADMIN)
    assert next(iter(found)) == ADMIN
    assert {CALLER, BEHAVIOR, "google/protobuf/descriptor.proto"} <= set(found)
    again = contract().with_imports(ADMIN, found)
    assert list(again) == [ADMIN]
    with pytest.raises(KeyError):
        contract().with_imports("none.proto")


def test_json_names_and_comments() -> None:
    """
    Tools print names as JSON has them, and show what the protos say.
    """
    file = FileDescriptorProto.FromString(contract().with_imports(CALLER)[CALLER])
    (message,) = file.message_type
    assert [it.json_name for it in message.field if it.name == "display_name"] == ["displayName"]
    comments = [it.leading_comments for it in file.source_code_info.location]
    assert any("A program or a person" in comment for comment in comments)
