"""
A service as a process: the one that has its SQLite file, the signals that end it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import gc
import signal
import socket
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service_runtime.rpc.server import PortTakenError, taken

COLLECT_AFTER = (10_000, 20, 100)
"""
How many objects more than before have the cycle collector look at the youngest, and how
many such looks have it go on to the older ones.
"""


class SecondProcessError(Exception):
    """
    Another process has the SQLite file.
    """


@contextmanager
def only_process(database: Path | None, what: str) -> Iterator[None]:
    """
    Be the only process with a SQLite file; do nothing for another database.

    Raises `SecondProcessError`. The lock goes with the process, however it ends.
    """
    if database is None:
        yield
        return
    database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with database.with_suffix(".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SecondProcessError(
                f"another {what} has {database}; several need PostgreSQL"
            ) from None
        yield


@contextmanager
def only_listener(listen: str) -> Iterator[None]:
    """
    Be the only supervisor whose workers listen on *listen*, `host:port`, and find it free.

    Raises `PortTakenError`. Workers share their port with whoever asks to, so only a look
    with sharing off tells whether somebody is there, and only a lock that nobody comes
    between the look and the workers.
    """
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            # A name without a file, of a hundred characters at most: it goes with the process.
            lock.bind(f"\0webhooks {listen[-80:]}")
            _look(listen)
        except OSError as refused:
            raise PortTakenError(taken(listen)) from refused
        yield


def _look(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in found:
        with _absent_ignored(), socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            # Only listening rules out that another listens too.
            probe.listen()


@contextmanager
def _absent_ignored() -> Iterator[None]:
    try:
        yield
    except OSError as refused:
        # A name such as localhost may stand for an address that this machine does not have.
        if refused.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
            raise


def stop_signal() -> Coroutine[Any, Any, object]:
    """
    Catch SIGTERM and SIGINT from now on; return a coroutine that waits for the first of them.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    return stopping.wait()


def spare_the_collector() -> None:
    """
    Keep the cycle collector away from what lives as long as the process, and call it rarely.

    To be called before much is loaded, and again when all that stays is in memory. What a
    delivery makes has no cycles and is freed at once; with the interpreter's own thresholds the
    collector takes a tenth of the time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def first_ended(*tasks: asyncio.Task[Any]) -> None:
    """
    Wait until one of *tasks* ends; raise what it ended with.
    """
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()
