"""
The resolver.
"""

import asyncio
import threading

import pytest

from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.resolver import Resolver
from shipedge.webhooks.failures.causes import Cause
from tests.support.transports import LOOPS, failure, guarded_transport, outbound

pytestmark = pytest.mark.anyio
PUBLIC = "93.184.216.34"


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    """
    Run every test on both event loops.
    """
    return request.param


async def test_slow_name_ends_with_the_deadline() -> None:
    """
    A name server that does not answer delays its caller to the deadline, and no other owner.
    """
    hang = threading.Event()

    def lookup(host: str) -> tuple[str, ...]:
        if host.startswith("slow"):
            hang.wait()
        return ("127.0.0.1",)

    resolver = Resolver(lookup, threads=16, per_owner=2)
    try:
        slow = [
            asyncio.create_task(resolver.resolve("accounts/100", f"slow{number}.com"))
            for number in range(20)
        ]
        await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await resolver.resolve("accounts/100", "good.com")
        good = await asyncio.wait_for(resolver.resolve("accounts/200", "good.com"), 20)
    finally:
        hang.set()
    answers = await asyncio.gather(*slow)
    resolver.close()

    assert good == ("127.0.0.1",)
    assert answers == [("127.0.0.1",)] * 20


async def test_one_lookup_at_a_time() -> None:
    """
    Callers for the same name share one lookup, and later callers get the cached addresses.
    """
    asked: list[str] = []
    go = threading.Event()

    def lookup(host: str) -> tuple[str, ...]:
        asked.append(host)
        go.wait()
        return () if host == "none.com" else (PUBLIC,)

    resolver = Resolver(lookup)
    waiting = [asyncio.create_task(resolver.resolve("a", "a.com")) for _ in range(10)]
    nothing = asyncio.create_task(resolver.resolve("a", "none.com"))
    await asyncio.sleep(0)
    waiting.pop().cancel()
    go.set()
    answers = await asyncio.gather(*waiting, nothing)
    again = await resolver.resolve("b", "a.com"), await resolver.resolve("b", "none.com")
    resolver.close()

    assert answers == [(PUBLIC,)] * 9 + [()]
    assert again == ((PUBLIC,), ())
    assert sorted(asked) == ["a.com", "none.com"]


async def test_failed_lookup_has_no_addresses() -> None:
    """
    A lookup that raises finds no addresses, and its thread goes on with the next lookup.
    """

    def lookup(host: str) -> tuple[str, ...]:
        raise RuntimeError(host)

    resolver = Resolver(lookup, threads=1)
    answers = [await resolver.resolve("a", f"{number}.com") for number in range(3)]
    resolver.close()

    assert answers == [(), (), ()]


async def test_deadline_covers_the_lookup() -> None:
    """
    The deadline ends an exchange that still waits for the lookup.
    """
    hang = threading.Event()

    class Slow(dict[str, tuple[str, ...]]):
        """
        A name server that does not answer.
        """

        def get(self, key: str, default: object = None) -> tuple[str, ...]:
            """
            Wait until the test ends.
            """
            del key, default
            hang.wait()
            return ()

    async with guarded_transport(answers=Slow()) as transport:
        failed = await failure(transport, outbound("https://a.com/", deadline_seconds=0.1))
        hang.set()

    assert failed.kind is FailureKind.TIMEOUT
    assert failed.cause is Cause.TIMEOUT_DNS
    assert failed.timings.dns_us is not None
