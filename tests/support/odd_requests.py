"""
Requests with odd values in any field: what a fuzzer sends to every method of the contract.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import message_factory
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message

from service_runtime.rpc.status import read_error

UNANSWERED = {"INTERNAL", "UNKNOWN"}
"""
Codes that say that a service met something it did not expect.
"""

STREAM_SECONDS = 0.3
UNARY_SECONDS = 20.0
DEEPEST = 5
MOST_ITEMS = 4

TEXTS: Sequence[str] = (
    *(
        "",
        "\0",
        "a\0b",
        "x" * 5_000,
        "é" * 400,
        "\ud7ff",
        "\r\n",
        "'; --",
        "%00",
        "../../x",
        "*",
        "-",
    ),
    *(
        "accounts/1",
        "accounts/-",
        "accounts/0",
        f"accounts/{2**63}",
        "warehouses/w-1",
        "callers/odd-1",
    ),
    *("warehouses/\0", "accounts/1/subscriptions/sub_0000000000", "accounts/1/subscriptions/-"),
    *(
        "accounts/1/deliveries/-",
        "accounts/1/events/e-1",
        "accounts/1/credentials/crd_1",
        "whsec_AAAA",
    ),
    *(
        "accounts/1/settings",
        "eventTypes/orders.shipped",
        "orders/shipped",
        "orders/any_status_change",
    ),
    *("accounts/1/deliveries/dlv_00000000-0000-7000-8000-000000000000", "v1", "v3"),
    *("https://example.com/hook", "https://example.com/\0", "http://127.0.0.1/", "https://[::1"),
    *('event = "\0"', 'url = "https://a/\0?x"', "response_code = 99999999999999", "state = FAILED"),
    *("duration_ms > 9223372036854775807", 'start_time > "0001-01-01T00:00:00+14:00"'),
    *('create_time < "9999-12-31T23:59:59-14:00"', 'subscription = "accounts/1/subscriptions/\0"'),
    *("status = ACTIVE", "2026-01-31T00:00:00Z", "https://example.com/" + "y" * 3_000),
)

INTEGERS: Sequence[int] = (0, 1, -1, 7, 100, 1_000, 2**31 - 1, -(2**31), 2**53, 2**63 - 1, -(2**63))

KNOWN: Mapping[str, float] = defaultdict(lambda: 0.2, parent=0.8, name=0.8, names=0.8)
"""
How often a text is the name of something that exists, by the field.
"""

_BOUNDS: Mapping[int, tuple[int, int]] = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


@dataclass
class OddRequests:
    """
    Makes requests whose fields hold values that no rule expects, between plausible ones.

    *names* are those of resources that exist: most requests are about one of them, for others are
    refused before anything else is looked at. The same *seed* makes the same requests.
    """

    names: Sequence[str]
    seed: int

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311 - the same in each run

    def request(self, method: MethodDescriptor) -> Message:
        """
        Make a request of a method.
        """
        request: Message = message_factory.GetMessageClass(method.input_type)()
        # Few fields are set in most requests: with many, the first odd one is the only one judged.
        self._fill(request, self._chance.choice((0.1, 0.3, 0.9)), DEEPEST)
        return request

    def _fill(self, message: Message, share: float, depth: int) -> None:
        for it in message.DESCRIPTOR.fields:
            is_key = it.name in {"parent", "name"}
            if self._chance.random() > (0.95 if is_key else share):
                continue
            if it.message_type is not None and it.message_type.GetOptions().map_entry:
                continue
            if it.is_repeated:
                self._fill_list(getattr(message, it.name), it, share, depth)
            elif it.message_type is not None:
                if depth:
                    getattr(message, it.name).SetInParent()
                    self._fill(getattr(message, it.name), share, depth - 1)
            else:
                setattr(message, it.name, self._scalar(it))

    def _fill_list(self, items: Any, it: Any, share: float, depth: int) -> None:
        for _ in range(self._chance.randint(1, MOST_ITEMS)):
            if it.message_type is None:
                items.append(self._scalar(it))
            elif depth:
                self._fill(items.add(), share, depth - 1)

    def _scalar(self, it: Any) -> Any:
        choose = self._chance.choice
        match it.cpp_type:
            case FieldDescriptor.CPPTYPE_STRING if it.type == FieldDescriptor.TYPE_BYTES:
                return self._chance.randbytes(choose((0, 1, 16, 300)))
            case FieldDescriptor.CPPTYPE_STRING:
                return choose(self.names if self._chance.random() < KNOWN[it.name] else TEXTS)
            case FieldDescriptor.CPPTYPE_BOOL:
                return choose((False, True))
            case FieldDescriptor.CPPTYPE_ENUM:
                return choose((0, 1, 2, 3, 99))
            case FieldDescriptor.CPPTYPE_DOUBLE | FieldDescriptor.CPPTYPE_FLOAT:
                return choose((0.0, -1.5, float("inf"), float("nan")))
            case kind:
                least, most = _BOUNDS[kind]
                return max(least, min(most, choose(INTEGERS)))


@dataclass
class Answers:
    """
    What a service answered: how often which code, and the requests that it did not expect.
    """

    codes: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)

    def add(self, method: str, request: Message, code: str, reason: str) -> None:
        """
        Count an answer; keep the request where the code should not be.
        """
        self.codes[code] += 1
        if code in UNANSWERED or (code not in {"OK", "DEADLINE_EXCEEDED"} and not reason):
            self.unexpected.append(f"{code} {reason} {method}: {str(request)[:600]}")


async def call_all(
    connection: grpc.aio.Channel,
    methods: Mapping[str, MethodDescriptor],
    rounds: int,
    requests: OddRequests,
    answers: Answers,
) -> None:
    """
    Call each method *rounds* times with odd requests, one call after the other.
    """
    for path, method in _in_turn(methods, rounds):
        request = requests.request(method)
        code, reason, _ = await answer_of(connection, path, method, request)
        answers.add(path, request, code, reason)


def _in_turn(
    methods: Mapping[str, MethodDescriptor], rounds: int
) -> Iterator[tuple[str, MethodDescriptor]]:
    for _ in range(rounds):
        yield from methods.items()


async def answer_of(
    connection: grpc.aio.Channel,
    path: str,
    method: MethodDescriptor,
    request: Message,
    *,
    metadata: Sequence[tuple[str, str]] = (),
    stream_seconds: float = STREAM_SECONDS,
) -> tuple[str, str, list[Any]]:
    """
    Make a call as its kind wants it; return its code, the reason of its error, and what was
    answered. A stream is read for *stream_seconds*; that it is then still open is OK.
    """
    write = type(request).SerializeToString
    read = message_factory.GetMessageClass(method.output_type).FromString
    answers: list[Any] = []
    call: Any
    if method.client_streaming:

        async def requests() -> Any:
            yield request

        call = connection.stream_stream(path, write, read)(
            requests(), metadata=metadata, timeout=stream_seconds
        )
    elif method.server_streaming:
        call = connection.unary_stream(path, write, read)(
            request, metadata=metadata, timeout=stream_seconds
        )
    else:
        call = connection.unary_unary(path, write, read)(
            request, metadata=metadata, timeout=UNARY_SECONDS
        )
    try:
        await _read_all(call, answers, streams=method.server_streaming)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.DEADLINE_EXCEEDED and method.server_streaming:
            return "OK", "", answers
        return error.code().name, read_error(error).reason, answers
    return "OK", "", answers


async def _read_all(call: Any, answers: list[Any], *, streams: bool) -> None:
    if not streams:
        answers.append(await call)
        return
    # Not a comprehension, which would lose what came before an error.
    async for answer in call:
        answers.append(answer)  # noqa: PERF401
