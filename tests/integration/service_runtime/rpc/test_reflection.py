"""
Reflection over the wire, in both versions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2 as pb

from service_runtime.rpc import server
from service_runtime.rpc.callers import ROLES, Caller
from service_runtime.rpc.interceptors import CallInterceptor
from service_runtime.rpc.reflection import servicer
from shipedge.webhooks.client import channel
from tests.support.databases import free_port

pytestmark = pytest.mark.anyio

SERVICE = "shipedge.webhooks.config.v1.ConfigAdminService"
VERSIONS = pytest.mark.parametrize("version", servicer.VERSIONS)


@asynccontextmanager
async def serving(caller: Caller | None) -> AsyncIterator[grpc.aio.Channel]:
    """
    Serve reflection behind the gate, to *caller*; yield a channel.
    """
    address = f"127.0.0.1:{free_port()}"
    interceptor = CallInterceptor(lambda *_: caller)
    grpc_server, _ = server.build(address, interceptors=[interceptor], credentials=None)
    servicer.enable(grpc_server, [SERVICE])
    await grpc_server.start()
    async with channel.connect(address) as connection:
        yield connection
    await server.stop(grpc_server, 0)


def asked(connection: grpc.aio.Channel, version: str, *requests: Any) -> Any:
    """
    Open a stream with *requests*.
    """
    method = connection.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        pb.ServerReflectionRequest.SerializeToString,
        pb.ServerReflectionResponse.FromString,
    )
    return method(iter(requests))


@VERSIONS
@pytest.mark.parametrize("role", sorted(ROLES))
async def test_known_callers_of_any_role(version: str, role: str) -> None:
    """
    Whoever is known may look: nothing of it is secret.
    """
    caller = Caller("callers/x", frozenset({role}), frozenset())
    async with serving(caller) as connection:
        request = pb.ServerReflectionRequest(list_services="", host="here")
        (answer,) = [it async for it in asked(connection, version, request)]
    assert (answer.valid_host, answer.original_request) == ("here", request)
    assert [it.name for it in answer.list_services_response.service] == [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        SERVICE,
    ]


@VERSIONS
async def test_nobody_is_refused(version: str) -> None:
    """
    Who is not known learns nothing.
    """
    async with serving(None) as connection:
        call = asked(connection, version)
        assert await call.code() is grpc.StatusCode.UNAUTHENTICATED


@VERSIONS
async def test_questions(version: str) -> None:
    """
    A file is found by name, by symbol and by extension; a stream brings each import once.
    """
    requests = [
        pb.ServerReflectionRequest(file_containing_symbol=f"{SERVICE}.GetCaller"),
        pb.ServerReflectionRequest(file_by_filename="shipedge/webhooks/config/v1/caller.proto"),
        pb.ServerReflectionRequest(
            file_containing_extension=pb.ExtensionRequest(
                containing_type="google.protobuf.FieldOptions", extension_number=1052
            )
        ),
        pb.ServerReflectionRequest(all_extension_numbers_of_type="google.protobuf.FieldOptions"),
    ]
    caller = Caller("callers/x", frozenset({"reader"}), frozenset())
    async with serving(caller) as connection:
        answers = [it async for it in asked(connection, version, *requests)]
    files = [
        [
            FileDescriptorProto.FromString(raw).name.rpartition("/")[2]
            for raw in answer.file_descriptor_response.file_descriptor_proto
        ]
        for answer in answers
    ]
    assert (files[0][0], "caller.proto" in files[0]) == ("config_admin_service.proto", True)
    assert files[1:3] == [["caller.proto"], ["field_behavior.proto"]]
    assert 1052 in answers[3].all_extension_numbers_response.extension_number


@VERSIONS
async def test_what_is_not_there(version: str) -> None:
    """
    It is answered as an error of that request; the stream goes on.
    """
    requests = [
        pb.ServerReflectionRequest(file_containing_symbol="shipedge.Nothing"),
        pb.ServerReflectionRequest(file_by_filename="nothing.proto"),
        pb.ServerReflectionRequest(all_extension_numbers_of_type="shipedge.Nothing"),
        pb.ServerReflectionRequest(),
    ]
    caller = Caller("callers/x", frozenset({"reader"}), frozenset())
    async with serving(caller) as connection:
        answers = [it async for it in asked(connection, version, *requests)]
    not_found, invalid = grpc.StatusCode.NOT_FOUND.value[0], grpc.StatusCode.INVALID_ARGUMENT
    assert [it.error_response.error_code for it in answers] == [not_found] * 3 + [invalid.value[0]]
