"""
Names to addresses, on threads of our own.

The event loop's default threads are few, and a name server that hangs holds one for as long as it
likes: with six threads and twenty slow names a good lookup waited five seconds.
"""

import asyncio
import queue
import socket
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress

Lookup = Callable[[str], tuple[str, ...]]
Answer = tuple[str, ...]

_MAX_CACHED = 10_000

_Job = tuple[str, Callable[[Answer], None]]


def system_lookup(host: str) -> Answer:
    """
    Ask the system's resolver for the addresses of *host*; none if it has none.
    """
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(answer[4][0]) for answer in answers))


class _Threads:
    """
    Daemon threads that look names up, started as they are needed.

    A standard executor's threads hold up the end of the process for as long as a lookup hangs.
    """

    def __init__(self, lookup: Lookup, limit: int) -> None:
        self._lookup = lookup
        self._limit = limit
        self._started = 0
        self._idle = threading.Semaphore(0)
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()

    def submit(self, job: _Job) -> None:
        """
        Have a thread look a name up and report the answer, from that thread.
        """
        if not self._idle.acquire(blocking=False) and self._started < self._limit:
            self._started += 1
            threading.Thread(target=self._work, name="dns", daemon=True).start()
        self._jobs.put(job)

    def close(self) -> None:
        """
        Let every thread end after the lookup that it is in.
        """
        for _ in range(self._started):
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            host, report = job
            try:
                answer = self._lookup(host)
            except Exception:  # noqa: BLE001  # A lookup that breaks must not end the thread.
                answer = ()
            # The loop may have been closed while the lookup hung.
            with suppress(RuntimeError):
                report(answer)
            self._idle.release()


class Resolver:
    """
    Resolves names with a cap per owner, a short cache and one lookup at a time per owner and name.

    Answers are cached for `ttl` seconds, the answer that there is none for `negative_ttl`. They
    are not judged here: a cached answer is judged again by whoever connects. For one event loop.
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
        self._cache: OrderedDict[str, tuple[float, Answer]] = OrderedDict()
        self._flights: dict[tuple[str, str], asyncio.Future[Answer]] = {}
        self._running: dict[str, int] = {}
        self._waiting: dict[str, deque[str]] = {}

    async def resolve(self, owner: str, host: str) -> Answer:
        """
        Find the addresses of *host*, in the order in which to try them; none if it has none.

        A caller may be cancelled; the lookup goes on, and its answer is cached.
        """
        loop = asyncio.get_running_loop()
        cached = self._cache.get(host)
        if cached is not None and cached[0] > loop.time():
            return cached[1]

        flight = self._flights.get((owner, host))
        if flight is None:
            flight = self._flights[owner, host] = loop.create_future()
            self._begin(loop, owner, host)
        return await asyncio.shield(flight)

    def close(self) -> None:
        """
        Let go of the threads; lookups that still run are not waited for.
        """
        self._threads.close()

    def _begin(self, loop: asyncio.AbstractEventLoop, owner: str, host: str) -> None:
        """
        Start a lookup, or queue it behind the owner's others.
        """
        if self._running.get(owner, 0) >= self._per_owner:
            self._waiting.setdefault(owner, deque()).append(host)
            return
        self._running[owner] = self._running.get(owner, 0) + 1

        def report(answer: Answer) -> None:
            loop.call_soon_threadsafe(self._finish, loop, owner, host, answer)

        self._threads.submit((host, report))

    def _finish(
        self, loop: asyncio.AbstractEventLoop, owner: str, host: str, answer: Answer
    ) -> None:
        """
        Cache an answer, hand it to who waits for it, and start the owner's next lookup.
        """
        self._remember(host, answer, loop.time())
        flight = self._flights.pop((owner, host))
        if not flight.done():
            flight.set_result(answer)

        self._running[owner] -= 1
        if not self._running[owner]:
            del self._running[owner]
        if waiting := self._waiting.get(owner):
            self._begin(loop, owner, waiting.popleft())
            if not waiting:
                del self._waiting[owner]

    def _remember(self, host: str, answer: Answer, now: float) -> None:
        """
        Put an answer into the cache, which forgets the oldest when it is full.
        """
        self._cache.pop(host, None)
        self._cache[host] = now + (self._ttl if answer else self._negative_ttl), answer
        if len(self._cache) > _MAX_CACHED:
            self._cache.popitem(last=False)
