"""
Where the services of `TestServer` listen.
"""

from __future__ import annotations

from pathlib import Path

from shipedge.webhooks.client.test_server import TestServer


def test_each_server_has_addresses_of_its_own(tmp_path: Path) -> None:
    """
    So several run beside each other, and beside the services of `make run`; settings may say
    otherwise.
    """
    one, other = TestServer(), TestServer(SHIPEDGE_CONSOLE_LISTEN="127.0.0.1:1")
    addresses = [
        address
        for server in (one, other)
        for address in (server.config_address, server.dispatch_address, server.console_address)
    ]

    assert len(set(addresses)) == len(addresses)
    assert one._environment(tmp_path)["SHIPEDGE_CONSOLE_LISTEN"] == one.console_address
    assert other._environment(tmp_path)["SHIPEDGE_CONSOLE_LISTEN"] == "127.0.0.1:1"
