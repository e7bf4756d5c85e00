"""
The life of a service's process: its locks, its signals and its garbage collector.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import fcntl
import gc
import resource
import signal
import socket
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import structlog

from service_runtime.rpc.server import PortTakenError, taken

log = structlog.get_logger()

COLLECT_AFTER = (10_000, 20, 100)
"""
The thresholds of the garbage collector: new objects before a collection of the youngest, and
collections of a generation before one of the next.
"""


LARGE_BYTES = 256 * 1024
"""
Blocks of memory from this size on are returned to the system when they are free.
"""

_M_MMAP_THRESHOLD = -3


class StartRefusedError(Exception):
    """
    A service must not start; the message tells the operator why.
    """


class SecondProcessError(StartRefusedError):
    """
    Another process uses the SQLite file.
    """


@contextmanager
def only_process(database: Path | None, what: str) -> Iterator[None]:
    """
    Lock a SQLite file for this process; do nothing for another database.

    Raises `SecondProcessError`. The lock ends with the process, however that ends.
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
def only_listeners(listens: Iterable[str]) -> Iterator[None]:
    """
    Lock addresses as `only_listener` does. Raises `PortTakenError`.
    """
    with ExitStack() as stack:
        for listen in listens:
            stack.enter_context(only_listener(listen))
        yield


@contextmanager
def only_listener(listen: str) -> Iterator[None]:
    """
    Lock *listen*, `host:port`, for the workers of one supervisor. Raises `PortTakenError`.

    Workers share their port with any process that asks to share it. So a probe without sharing
    finds out whether the port is free, and a lock keeps other supervisors from taking it
    between the probe and the start of the workers.
    """
    with socket.socket(socket.AF_UNIX) as lock:
        try:
            # An abstract name, at most 100 characters long: it ends with the process.
            lock.bind(f"\0webhooks {listen[-80:]}")
            _probe(listen)
        except OSError as refused:
            raise PortTakenError(taken(listen)) from refused
        yield


def _probe(listen: str) -> None:
    host, _, port = listen.rpartition(":")
    found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in found:
        with _absent_ignored(), socket.socket(family, kind, protocol) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            # With SO_REUSEADDR the bind may succeed although another socket listens.
            probe.listen()


@contextmanager
def _absent_ignored() -> Iterator[None]:
    try:
        yield
    except OSError as refused:
        # A name such as localhost may have an address that this machine does not have.
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


def ignore_hangup() -> None:
    """
    Ignore SIGHUP until `on_reload` is called: it never ends a service.

    A supervisor starts its workers with the signal blocked, so that it waits until here.
    """
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def on_reload(call: Callable[[], object]) -> None:
    """
    Call *call* in the event loop for each SIGHUP from now on.
    """
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, call)


def return_large_memory() -> None:
    """
    Have memory of large messages returned to the system as soon as it is free.

    The allocator of glibc would raise the size from which it does so to that of the largest
    block that was ever freed. Other allocators are left alone.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE_BYTES)


def tune_garbage_collector() -> None:
    """
    Exclude all objects of now from garbage collection, and make collections rare.

    Call it before much is loaded, and again when everything that stays is in memory. A delivery
    makes no cycles, so its objects are freed at once; with the thresholds of the interpreter the
    collector takes a tenth of the CPU time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def first_ended(*tasks: asyncio.Task[Any]) -> None:
    """
    Wait until one of *tasks* ends. Raises what that task raised.
    """
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


def allow_files(wanted: int) -> None:
    """
    Raise the limit of open files of this process as far as it may; warn if that is less than
    *wanted*.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit != resource.RLIM_INFINITY and limit < wanted:
        log.warning("process.few_files", count=limit, number=wanted)
