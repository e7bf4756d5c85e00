"""
Resolve host names to addresses, on threads of our own.

The event loop has few default threads, and a name server that does not answer blocks one of them:
with six threads and twenty slow names, a good lookup waited five seconds.
"""

import asyncio
import queue
import socket
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress

Addresses = tuple[str, ...]
Lookup = Callable[[str], Addresses]

_MAX_CACHED = 10_000

_Job = tuple[str, Callable[[Addresses], None]]


def system_lookup(host: str) -> Addresses:
    """
    Return the addresses of *host* as the system's resolver knows them; none if it has none.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


class _Threads:
    """
    Look names up on daemon threads, started as they are needed.

    The process would not end while a thread of a standard executor waits for a lookup.
    """

    def __init__(self, lookup: Lookup, limit: int) -> None:
        self._lookup = lookup
        self._limit = limit
        self._started = 0
        self._idle = threading.Semaphore(0)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()

    def submit(self, job: _Job) -> None:
        """
        Look a name up on a thread, which then reports the addresses.
        """
        if not self._idle.acquire(blocking=False) and self._started < self._limit:
            self._started += 1
            threading.Thread(target=self._work, name="dns", daemon=True).start()
        self._jobs.put(job)

    def close(self) -> None:
        """
        End every thread after its current lookup.
        """
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            host, report = job
            try:
                addresses = self._lookup(host)
            except Exception:  # noqa: BLE001 - a lookup that fails must not end the thread
                addresses = ()
            # The loop may have been closed while the lookup hung.
            with suppress(RuntimeError):
                report(addresses)
            self._idle.release()


class Resolver:
    """
    Resolve names, with a limit per owner, a short cache, and one lookup per owner and name.

    Addresses are cached for `ttl` seconds, the absence of addresses for `negative_ttl`. Nothing
    is checked here: the connector checks cached addresses each time. For one event loop.
    """

    def __init__(
        self,
        lookup: Lookup = system_lookup,
        *,
        threads: int = 64,
        per_owner: int = 4,
        ttl: float = 5.0,
        negative_ttl: float = 1.0,
    ) -> None:
        self._threads = _Threads(lookup, threads)
        self._per_owner = per_owner
        self._ttl = ttl
        self._negative_ttl = negative_ttl
        self._cache: OrderedDict[str, tuple[float, Addresses]] = OrderedDict()
        self._lookups: dict[tuple[str, str], asyncio.Future[Addresses]] = {}
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[str]] = {}

    async def resolve(self, owner: str, host: str) -> Addresses:
        """
        Return the addresses of *host*, in the order in which to try them; none if it has none.

        If the caller is cancelled, the lookup goes on and its addresses are cached.
        """
        loop = asyncio.get_running_loop()
        cached = self._cache.get(host)
        if cached is not None and cached[0] > loop.time():
            return cached[1]

        lookup = self._lookups.get((owner, host))
        if lookup is None:
            lookup = self._lookups[owner, host] = loop.create_future()
            self._begin(loop, owner, host)
        return await asyncio.shield(lookup)

    def close(self) -> None:
        """
        Release the threads, without waiting for their lookups.
        """
        self._threads.close()

    def _begin(self, loop: asyncio.AbstractEventLoop, owner: str, host: str) -> None:
        """
        Start a lookup, or queue it behind other lookups of the owner.
        """
        if self._running.get(owner, 0) >= self._per_owner:
            self._waiting.setdefault(owner, deque()).append(host)
            return
        self._running[owner] = self._running.get(owner, 0) + 1

        def report(addresses: Addresses) -> None:
            loop.call_soon_threadsafe(self._finish, loop, owner, host, addresses)

        self._threads.submit((host, report))

    def _finish(
        self, loop: asyncio.AbstractEventLoop, owner: str, host: str, addresses: Addresses
    ) -> None:
        """
        Cache the addresses, wake the callers, and start the next lookup of the owner.
        """
        self._cache_addresses(host, addresses, loop.time())
        lookup = self._lookups.pop((owner, host))
        if not lookup.done():
            lookup.set_result(addresses)

        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]
        if waiting := self._waiting.get(owner):
            self._begin(loop, owner, waiting.popleft())
            if not waiting:
                del self._waiting[owner]

    def _cache_addresses(self, host: str, addresses: Addresses, now: float) -> None:
        """
        Cache the addresses of a name; a full cache drops its oldest entry.
        """
        self._cache.pop(host, None)
        self._cache[host] = now + (self._ttl if addresses else self._negative_ttl), addresses
        if len(self._cache) > _MAX_CACHED:
            self._cache.popitem(last=False)
