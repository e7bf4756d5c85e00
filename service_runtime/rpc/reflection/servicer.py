"""
The services `grpc.reflection.v1` and `v1alpha`.

The package `grpcio-reflection` serves what the stubs know, which is neither comments nor JSON
names, and has no `v1`. Both versions have the same messages but for the name of their package.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import grpc
from google.protobuf import text_format
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2 as pb

from service_runtime.rpc.reflection.descriptors import DescriptorIndex

VERSIONS = ("v1", "v1alpha")

_FILE = "descriptors.binpb"
_METHOD = "ServerReflectionInfo"

Answer = Callable[[Any, set[str]], Any]


def enable(server: grpc.aio.Server, services: Sequence[str]) -> None:
    """
    Offer reflection of *services*, of health and of itself.
    """
    offered = [f"grpc.reflection.{version}.ServerReflection" for version in VERSIONS]
    names = sorted((*services, "grpc.health.v1.Health", *offered))
    handler = grpc.stream_stream_rpc_method_handler(
        _Reflection(names).serve,
        request_deserializer=pb.ServerReflectionRequest.FromString,
        response_serializer=pb.ServerReflectionResponse.SerializeToString,
    )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(name, {_METHOD: handler}) for name in offered]
    )


@cache
def contract() -> DescriptorIndex:
    """
    Return the contract with its comments, read at the first use.
    """
    content = resources.files("shipedge.webhooks").joinpath(_FILE).read_bytes()
    return DescriptorIndex([*FileDescriptorSet.FromString(content).file, *_others()])


def _others() -> Sequence[FileDescriptorProto]:
    """
    Return the descriptors of services that are not of the contract.
    """
    health, alpha = FileDescriptorProto(), FileDescriptorProto()
    health_pb2.DESCRIPTOR.CopyToProto(health)
    pb.DESCRIPTOR.CopyToProto(alpha)
    text = text_format.MessageToString(alpha).replace("v1alpha", "v1")
    return health, alpha, text_format.Parse(text, FileDescriptorProto())


class _Reflection:
    def __init__(self, services: Sequence[str]) -> None:
        self._services = [pb.ServiceResponse(name=name) for name in services]
        self._answers: Mapping[str | None, Answer] = {
            "file_by_filename": self._file,
            "file_containing_symbol": self._symbol,
            "file_containing_extension": self._extension,
            "all_extension_numbers_of_type": self._extension_numbers,
            "list_services": self._list,
        }

    async def serve(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        """
        Answer each request. A file that a stream has brought is not sent again as an import.
        """
        sent: set[str] = set()
        async for request in requests:
            answer = self._answers.get(request.WhichOneof("message_request"), _nothing)
            response = answer(request, sent)
            response.valid_host = request.host
            response.original_request.CopyFrom(request)
            yield response

    def _file(self, request: Any, sent: set[str]) -> Any:
        return _files(request.file_by_filename, sent)

    def _symbol(self, request: Any, sent: set[str]) -> Any:
        return _files(contract().file_of(request.file_containing_symbol), sent)

    def _extension(self, request: Any, sent: set[str]) -> Any:
        wanted = request.file_containing_extension
        file = contract().file_of_extension(wanted.containing_type, wanted.extension_number)
        return _files(file, sent)

    def _extension_numbers(self, request: Any, _sent: set[str]) -> Any:
        name = request.all_extension_numbers_of_type
        numbers = contract().extensions_of(name)
        if numbers is None:
            return _error(grpc.StatusCode.NOT_FOUND, "there is no such message")
        found = pb.ExtensionNumberResponse(base_type_name=name, extension_number=numbers)
        return pb.ServerReflectionResponse(all_extension_numbers_response=found)

    def _list(self, _request: Any, _sent: set[str]) -> Any:
        found = pb.ListServiceResponse(service=self._services)
        return pb.ServerReflectionResponse(list_services_response=found)


def _files(name: str | None, sent: set[str]) -> Any:
    try:
        found = contract().with_imports(name or "", sent)
    except KeyError:
        return _error(grpc.StatusCode.NOT_FOUND, "there is no such file or symbol")
    sent.update(found)
    content = pb.FileDescriptorResponse(file_descriptor_proto=found.values())
    return pb.ServerReflectionResponse(file_descriptor_response=content)


def _nothing(_request: Any, _sent: set[str]) -> Any:
    return _error(grpc.StatusCode.INVALID_ARGUMENT, "message_request must be set")


def _error(code: grpc.StatusCode, text: str) -> Any:
    error = pb.ErrorResponse(error_code=code.value[0], error_message=text)
    return pb.ServerReflectionResponse(error_response=error)
