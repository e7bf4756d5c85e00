"""
The gauges of open connections, with real ones.
"""

from __future__ import annotations

import socket

from service_runtime.process.serving import _offer_gauges
from tests.support.figures import figure


def test_connections_of_each_listener_are_counted() -> None:
    """
    Those to the listener for tokens are counted for themselves; those that were closed are not.
    """
    with (
        socket.create_server(("127.0.0.1", 0)) as usual,
        socket.create_server(("127.0.0.1", 0)) as tokens,
    ):
        _offer_gauges(usual.getsockname()[1], f"127.0.0.1:{tokens.getsockname()[1]}")
        assert figure("webhooks_connections") == 0
        with (
            socket.create_connection(usual.getsockname()),
            socket.create_connection(tokens.getsockname()),
            socket.create_connection(tokens.getsockname()),
        ):
            # The accepting ends count, whether accepted yet or not.
            assert figure("webhooks_connections") == 1
            assert figure("webhooks_token_connections") == 2
