"""
Channels that take up a new certificate.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import grpc

GRACE_SECONDS = 5.0
"""
How long calls of the old connection may go on after a new one was opened.
"""


class RenewableChannel(grpc.aio.Channel):
    """
    A channel whose calls use the connection that *connect* made last.

    The credentials of a channel cannot be changed, so a new one takes its place; clients that
    were made from this channel need not know.
    """

    def __init__(self, connect: Callable[[], grpc.aio.Channel]) -> None:
        self._connect = connect
        self._current = connect()

    async def renew(self) -> None:
        """
        Use a new connection from now on. Calls on the old one have a few seconds to end.
        """
        old, self._current = self._current, self._connect()
        await old.close(GRACE_SECONDS)

    async def __aenter__(self) -> RenewableChannel:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        await self._current.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002 - the library's
        return self._current.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._current.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._current.channel_ready()

    def unary_unary(self, *about: Any, **more: Any) -> Any:
        return self._method("unary_unary", *about, **more)

    def unary_stream(self, *about: Any, **more: Any) -> Any:
        return self._method("unary_stream", *about, **more)

    def stream_unary(self, *about: Any, **more: Any) -> Any:
        return self._method("stream_unary", *about, **more)

    def stream_stream(self, *about: Any, **more: Any) -> Any:
        return self._method("stream_stream", *about, **more)

    def _method(self, kind: str, *about: Any, **more: Any) -> Any:
        """
        Return a method that is called on the connection of that time.
        """

        def call(*given: Any, **options: Any) -> Any:
            return getattr(self._current, kind)(*about, **more)(*given, **options)

        return call
