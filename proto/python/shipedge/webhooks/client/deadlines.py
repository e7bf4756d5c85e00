"""
Deadlines of calls that are made without one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import grpc


def without_deadlines(service_config: str) -> str:
    """
    Return a service config with its retries only.

    The gRPC core takes the start of a call from the processor's cycle counter and the end from the
    system's clock, so its deadlines are wrong by the difference of the two: by seconds, or by
    anything after the machine was suspended or moved (grpc/grpc issue 40633).
    """
    config = json.loads(service_config)
    for entry in config["methodConfig"]:
        entry.pop("timeout", None)
    return json.dumps(config)


def deadlines(service_config: str) -> dict[str, float]:
    """
    Return the deadlines of a service config in seconds, by the paths of methods.
    """
    return {
        f"/{name['service']}/{name['method']}": float(entry["timeout"].removesuffix("s"))
        for entry in json.loads(service_config)["methodConfig"]
        for name in entry["name"]
        if "timeout" in entry
    }


class DeadlineChannel(grpc.aio.Channel):
    """
    A channel whose calls have the deadline of their method, unless they are given another one.
    """

    def __init__(self, channel: grpc.aio.Channel, seconds: Mapping[str, float]) -> None:
        self._channel = channel
        self._seconds = seconds

    async def __aenter__(self) -> DeadlineChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - the library's
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    def unary_unary(self, method: str, *about: Any, **more: Any) -> Any:
        call, seconds = self._channel.unary_unary(method, *about, **more), self._seconds.get(method)

        def bounded(request: Any, *, timeout: float | None = None, **options: Any) -> Any:
            return call(request, timeout=seconds if timeout is None else timeout, **options)

        return bounded

    def unary_stream(self, *about: Any, **more: Any) -> Any:
        return self._channel.unary_stream(*about, **more)

    def stream_unary(self, *about: Any, **more: Any) -> Any:
        return self._channel.stream_unary(*about, **more)

    def stream_stream(self, *about: Any, **more: Any) -> Any:
        return self._channel.stream_stream(*about, **more)
