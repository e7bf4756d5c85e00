"""
The PostgreSQL server answers with errors, or its connections vanish.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from functools import partial
from pathlib import Path

import asyncpg
from sqlalchemy.engine import make_url

from tests.faults.harness.model import POSTGRESQL, Fault
from tests.faults.harness.proxy import Proxy, running_proxy
from tests.faults.harness.publisher import OK, stop
from tests.faults.harness.services import DISPATCH
from tests.faults.harness.site import Site

FAULT_SECONDS = 18.0
READY_SECONDS = 14.0
"""
After which a store that takes no writes shows: ten seconds, and the intervals of
heartbeats and health checks.
"""

BACK_SECONDS = 15.0
PUBLISHERS = 3
FILLER = "filler"
ALLOWED_CODES = {OK, "UNAVAILABLE"}

ServerFault = Callable[[Site], AbstractAsyncContextManager[None]]


async def run(site: Site, fault: ServerFault) -> None:
    """
    Publish all the time, bring the fault about and end it; look at codes and health.
    """
    await site.start(2)
    async with _load(site):
        async with fault(site):
            await asyncio.sleep(READY_SECONDS)
            await _look_at_health(site)
            await asyncio.sleep(FAULT_SECONDS - READY_SECONDS)
        await _until_ok(site, time.monotonic())
    await _judge(site)


async def vanished(site: Site) -> None:
    """
    Let all connections fall silent for ever; new ones are answered at once.
    """
    async with AsyncExitStack() as stack:
        proxies = [await _replica_behind_proxy(site, stack) for _ in range(2)]
        async with _load(site):
            for proxy in proxies:
                proxy.silence(new=False)
            await _until_ok(site, time.monotonic(), least=1)
            await asyncio.sleep(10)
        await _judge(site)


async def _replica_behind_proxy(site: Site, stack: AsyncExitStack) -> Proxy:
    if not site.services:
        await site.start_config()
    proxy = await stack.enter_async_context(running_proxy(site.postgres.port))
    url = make_url(site.dispatch_url).set(port=proxy.port).render_as_string(hide_password=False)
    await site.service(DISPATCH, SHIPEDGE_DISPATCH_DATABASE_URL=url).start()
    site.follow()
    return proxy


@asynccontextmanager
async def _load(site: Site) -> AsyncIterator[None]:
    """
    Publish without a pause to a plain and to an ordered subscription.
    """
    endpoint = await site.endpoint()
    await site.subscribe(endpoint, 1, *[2] * 20)
    await site.subscribe(endpoint, 2, *[2] * 20, ordered=True)
    keep = site.publisher.keep_publishing
    tasks = [asyncio.ensure_future(keep(f"p{n}", 1 + n % 2)) for n in range(PUBLISHERS)]
    await asyncio.sleep(2)
    try:
        yield
    finally:
        await stop(*tasks)


async def _look_at_health(site: Site) -> None:
    for replica in site.replicas:
        health = await replica.health()
        site.report.expect(health == "NOT_SERVING", f"readiness {health}", timed=True)
        liveness = await replica.health("liveness")
        site.report.expect(liveness == "SERVING", f"liveness {liveness}")


async def _until_ok(site: Site, end: float, least: float = 0.0) -> None:
    """
    Wait for the first success after *end*, by *least* seconds, and report how long it took.
    """
    while time.monotonic() - end < 4 * BACK_SECONDS:
        if site.publisher.first_ok_after(end, least) < float("inf"):
            break
        await asyncio.sleep(0.1)
    seconds = site.publisher.first_ok_after(end, least)
    site.report.expect(seconds <= BACK_SECONDS, f"first OK after {seconds:.1f} s", timed=True)


async def _judge(site: Site) -> None:
    codes = site.publisher.codes()
    others = set(codes) - ALLOWED_CODES
    text = ", ".join(f"{count} {code}" for code, count in sorted(codes.items()))
    site.report.expect(not others, f"publishers saw {text}")
    await site.expect_all_confirmed(60)


@asynccontextmanager
async def _administrator(site: Site) -> AsyncIterator[asyncpg.Connection]:
    """
    Connect to the server, unaffected by its settings for transactions.
    """
    settings = {"default_transaction_read_only": "off", "lock_timeout": "0"}
    connection = await asyncpg.connect(site.postgres.url, server_settings=settings)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def _setting(site: Site, name: str, value: str) -> AsyncIterator[asyncpg.Connection]:
    """
    Change a setting of the server, for the sessions that there are and new ones.
    """
    async with _administrator(site) as connection:
        await connection.execute(f"ALTER SYSTEM SET {name} = {value}")
        await connection.execute("SELECT pg_reload_conf()")
        try:
            yield connection
        finally:
            await connection.execute(f"ALTER SYSTEM RESET {name}")
            await connection.execute("SELECT pg_reload_conf()")


@asynccontextmanager
async def read_only(site: Site) -> AsyncIterator[None]:
    """
    Refuse to write, as a standby does.
    """
    async with _setting(site, "default_transaction_read_only", "on"):
        yield


@asynccontextmanager
async def lock_timeout(site: Site) -> AsyncIterator[None]:
    """
    Lock the table of deliveries, and let those who wait for it give up after a second.
    """
    async with _setting(site, "lock_timeout", "'1s'"):
        locking = await asyncpg.connect(site.dispatch_url)
        try:
            async with locking.transaction():
                await locking.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
                yield
        finally:
            await locking.close()


@asynccontextmanager
async def login(site: Site, *, method: str) -> AsyncIterator[None]:
    """
    Refuse all logins, or those without the right password.
    """
    async with _administrator(site) as connection:
        with _authentication(site, method):
            await _end_sessions(connection)
            yield
        await connection.execute("SELECT pg_reload_conf()")


@contextmanager
def _authentication(site: Site, method: str) -> Iterator[None]:
    rules = Path(site.postgres._place()) / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all all 127.0.0.1/32 {method}\n")
    try:
        yield
    finally:
        rules.write_text(before)


async def _end_sessions(connection: asyncpg.Connection) -> None:
    """
    Read the rules of logins anew, and end the sessions of others.
    """
    await connection.execute("ALTER ROLE postgres PASSWORD 'changed'")
    await connection.execute("SELECT pg_reload_conf()")
    await asyncio.sleep(0.5)
    others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    await connection.execute(f"{others} AND backend_type = 'client backend'")


@asynccontextmanager
async def no_slots(site: Site) -> AsyncIterator[None]:
    """
    Use up all connections of the server.
    """
    taken: list[asyncpg.Connection] = []
    async with _administrator(site) as connection:
        filling = [asyncio.ensure_future(_fill(site, taken)) for _ in range(4)]
        ending = asyncio.ensure_future(_keep_ending(connection))
        try:
            yield
        finally:
            for task in (ending, *filling):
                task.cancel()
            await asyncio.gather(ending, *filling, return_exceptions=True)
            await asyncio.gather(*(each.close() for each in taken))


async def _keep_ending(connection: asyncpg.Connection) -> None:
    """
    End the sessions that are not of the fillers, so that these take their places.
    """
    others = f"pid <> pg_backend_pid() AND application_name <> '{FILLER}'"
    mine = f"backend_type = 'client backend' AND {others}"
    while True:
        await connection.execute(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {mine}"  # noqa: S608
        )
        await asyncio.sleep(0.1)


async def _fill(site: Site, taken: list[asyncpg.Connection]) -> None:
    """
    Take connections as fast as there are any, until cancelled.
    """
    while True:
        try:
            settings = {"application_name": FILLER}
            taken.append(await asyncpg.connect(site.postgres.url, server_settings=settings))
        except (asyncpg.PostgresError, OSError):
            await asyncio.sleep(0.02)


PROMISE = "UNAVAILABLE only, NOT_SERVING, first success within 15 s:"


def _fault(name: str, what: str, fault: ServerFault) -> Fault:
    scenario = partial(run, fault=fault)
    return Fault(f"store.{name}", f"{PROMISE} {what}", scenario, (POSTGRESQL,), seconds=180)


FAULTS = (
    _fault("read_only", "the primary is read-only", read_only),
    _fault("lock_timeout", "locks time out", lock_timeout),
    _fault("login_rejected", "logins are rejected", partial(login, method="reject")),
    _fault("wrong_password", "the password is wrong", partial(login, method="scram-sha-256")),
    _fault("no_slots", "all connections are used up", no_slots),
    Fault(
        "store.vanished",
        f"{PROMISE} connections vanish without a reset",
        vanished,
        (POSTGRESQL,),
        seconds=200,
    ),
)
