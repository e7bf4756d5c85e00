"""
The service config: how long clients wait for a method, and whether they may repeat it.

It follows from the protos alone, so that a new method has its entry at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from google.protobuf.descriptor_pb2 import (
    FileDescriptorSet,
    MethodDescriptorProto,
    MethodOptions,
)

DEADLINE_SECONDS = 30
"""
What the services use for calls that come without a deadline.
"""

RETRIES = {
    "maxAttempts": 5,
    "initialBackoff": "0.2s",
    "maxBackoff": "2s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
"""
The attempts are spread over three seconds: about what a service needs to start again.
"""

REPEATABLE = {MethodOptions.NO_SIDE_EFFECTS, MethodOptions.IDEMPOTENT}


def service_config(image: FileDescriptorSet) -> str:
    """
    Return the service config of all methods of *image* as JSON, for gRPC libraries.

    Calls have a deadline, streams have none: they go on. Methods that the protos call repeatable
    are repeated when a service is `UNAVAILABLE`, all others are not.
    """
    kinds: dict[tuple[bool, bool], list[dict[str, str]]] = {}
    for name, method in methods(image):
        kinds.setdefault((is_stream(method), is_repeatable(method)), []).append(name)
    configs = [
        method_config(names, stream=stream, repeatable=repeatable)
        for (stream, repeatable), names in sorted(kinds.items())
    ]
    return json.dumps({"methodConfig": configs}, indent=2) + "\n"


def method_config(names: list[dict[str, str]], *, stream: bool, repeatable: bool) -> dict[str, Any]:
    """
    Return the entry of all methods of one kind.
    """
    config: dict[str, Any] = {"name": names}
    if not stream:
        config["timeout"] = f"{DEADLINE_SECONDS}s"
    if repeatable:
        config["retryPolicy"] = RETRIES
    return config


def methods(image: FileDescriptorSet) -> Iterable[tuple[dict[str, str], MethodDescriptorProto]]:
    """
    Yield the methods with their names, in the order of the protos.
    """
    for file in image.file:
        for service in file.service:
            for method in service.method:
                yield {"service": f"{file.package}.{service.name}", "method": method.name}, method


def is_stream(method: MethodDescriptorProto) -> bool:
    """
    Tell whether requests or answers are a stream.
    """
    return method.client_streaming or method.server_streaming


def is_repeatable(method: MethodDescriptorProto) -> bool:
    """
    Tell whether the protos say that to repeat the method is as good as to call it once.
    """
    return method.options.idempotency_level in REPEATABLE
