"""
Calls that carry the token of a reader.
"""

from __future__ import annotations

from typing import Any

import grpc

from shipedge.webhooks.client.deadlines import DeadlineChannel

_LINK = "shpl_"


def is_link(token: str) -> bool:
    """
    Tell whether a token is that of a portal link.
    """
    return token.startswith(_LINK)


def is_text(token: str) -> bool:
    """
    Tell whether a token can stand in a header.
    """
    return bool(token) and token.isascii() and token.isprintable()


class TokenChannel(DeadlineChannel):
    """
    A channel whose unary calls have a bearer token, if there is one.
    """

    def __init__(self, channel: grpc.aio.Channel, token: str) -> None:
        super().__init__(channel, {})
        self._metadata = (("authorization", f"Bearer {token}"),) if token else ()

    def unary_unary(self, method: str, *about: Any, **more: Any) -> Any:
        call = self._channel.unary_unary(method, *about, **more)

        def signed(request: Any, **options: Any) -> Any:
            return call(request, metadata=self._metadata, **options)

        return signed
