"""
The race of connections to the addresses of one host.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from dispatch_service.egress import racing
from dispatch_service.egress.racing import ConnectTo, first_connected, in_turns

pytestmark = pytest.mark.anyio

SECONDS = 20.0


@pytest.mark.parametrize(
    ("addresses", "order"),
    [
        ([], ()),
        (["1.1.1.1", "1.0.0.1"], ("1.1.1.1", "1.0.0.1")),
        (["::1", "::2", "::3", "1.1.1.1"], ("::1", "1.1.1.1", "::2", "::3")),
        (["1.1.1.1", "1.0.0.1", "::1"], ("1.1.1.1", "::1", "1.0.0.1")),
    ],
)
def test_families_take_turns(addresses: list[str], order: tuple[str, ...]) -> None:
    """
    One family that is dead costs one step, however many addresses it has.
    """
    assert in_turns(addresses) == order


class Hosts:
    """
    Addresses that connect, refuse, fail otherwise or never answer, by their first letter.
    """

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.sockets: list[socket.socket] = []
        self.given_up: list[str] = []

    async def connect(self, address: str) -> socket.socket:
        """
        Do what the address stands for.
        """
        self.asked.append(address)
        if address.startswith("refuses"):
            raise ConnectionRefusedError(111, address)
        if address.startswith("blocked"):
            raise KeyError(address)
        if address.startswith("dead"):
            try:
                await asyncio.Event().wait()
            finally:
                self.given_up.append(address)
        sock = socket.socket()
        self.sockets.append(sock)
        return sock


@pytest.fixture
def hosts(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """
    Yield hosts that are asked hardly apart, and close their sockets.
    """
    monkeypatch.setattr(racing, "APART_SECONDS", 0.01)
    hosts = Hosts()
    yield hosts
    for sock in hosts.sockets:
        sock.close()


async def raced(connect: ConnectTo, *addresses: str) -> str:
    """
    Return the address that won.
    """
    async with asyncio.timeout(SECONDS):
        sock, address = await first_connected(addresses, connect)
    assert sock.fileno() >= 0
    return address


@pytest.mark.parametrize(
    ("addresses", "winner", "asked"),
    [
        (("good",), "good", 1),
        (("good", "good 2"), "good", 1),
        (("refuses", "good"), "good", 2),
        (("dead", "good"), "good", 2),
        (("dead", "refuses", "dead 2", "good"), "good", 4),
    ],
)
async def test_first_that_accepts_wins(
    hosts: Hosts, addresses: tuple[str, ...], winner: str, asked: int
) -> None:
    """
    One that refuses gives way at once, one that is dead after a moment; neither is asked twice.
    """
    assert await raced(hosts.connect, *addresses) == winner
    await asyncio.sleep(0)

    assert len(hosts.asked) == asked
    assert hosts.given_up == [it for it in addresses if it.startswith("dead")]


@pytest.mark.parametrize("addresses", [("refuses",), ("refuses", "refuses 2")])
async def test_all_refuse(hosts: Hosts, addresses: tuple[str, ...]) -> None:
    """
    The error is that of the last.
    """
    with pytest.raises(ConnectionRefusedError, match=addresses[-1]):
        await raced(hosts.connect, *addresses)


async def test_other_errors_end_the_race(hosts: Hosts) -> None:
    """
    An address that the guard refuses leads to no other.
    """
    with pytest.raises(KeyError):
        await raced(hosts.connect, "dead", "blocked", "good")
    await asyncio.sleep(0)

    assert hosts.asked == ["dead", "blocked"]
    assert hosts.given_up == ["dead"]


async def test_two_that_accept_at_once() -> None:
    """
    One is taken, and the other is closed.
    """
    go, made = asyncio.Event(), []

    async def connect(_: str) -> socket.socket:
        await go.wait()
        made.append(socket.socket())
        return made[-1]

    race = asyncio.create_task(first_connected(("a", "b"), connect))
    await asyncio.sleep(2 * racing.APART_SECONDS)
    go.set()
    sock, _ = await race
    await asyncio.sleep(0)

    assert sorted(it.fileno() >= 0 for it in made) == [False, True]
    sock.close()


async def test_cancelled_race_gives_up_all(hosts: Hosts) -> None:
    """
    The deadline of an exchange cancels from outside.
    """
    race = asyncio.create_task(first_connected(("dead", "dead 2"), hosts.connect))
    async with asyncio.timeout(SECONDS):
        while len(hosts.asked) < 2:
            await asyncio.sleep(0.01)
    race.cancel()
    await asyncio.gather(race, return_exceptions=True)
    await asyncio.sleep(0)

    assert race.cancelled()
    assert sorted(hosts.given_up) == ["dead", "dead 2"]
