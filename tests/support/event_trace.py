"""
The way of one event through the running pair: `python -m tests.support.event_trace`.

Both services run as in development, with SQLite and a TLS receiver; one event is published to
one subscription. The dispatch service records the calls of the project's functions.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from dispatch_service.payloads import example_event
from tests.support.pair import CONFIG, DISPATCH, Pair, environment_of
from tests.support.receivers import answering, https_receiver
from tests.support.trace_figures import Call, Moments, of_event, table, totals, way
from tests.support.traced_service import RECORD

EVENT_TYPE, VERSION = "orders/shipped", "v2"
MOST_SECONDS = 180.0
RESULT_SECONDS = 60.0
CALM_SECONDS = 0.5
IDLE_SECONDS = 6.0
"""
How long the tasks are watched that run while nothing is asked of the service: longer than the
longest pause of a loop that belongs to no event, which is 5 seconds.
"""

AFTERWARDS_SECONDS = 0.2
"""
How long the service may take to go on after the commit of the result.
"""


async def main() -> int:
    """
    Trace an event and print its way; return the exit code.
    """
    with tempfile.TemporaryDirectory(prefix="webhooks-trace-") as directory:
        async with asyncio.timeout(MOST_SECONDS):
            calls = await traced(Path(directory))
    print(f"The way of an event of {EVENT_TYPE} {VERSION} to one subscription, in the order of")
    print("the first call of each function; * marks a file that was left before.\n")
    print("\n".join([*way(calls), "", *table(totals(calls))]))
    return 0


async def traced(directory: Path) -> list[Call]:
    """
    Run the pair and publish one event; return the calls from its acceptance to its result.
    """
    record, database = directory / "calls.json", directory / "dispatch.db"
    async with https_receiver(answering(200, b"OK"), host="127.0.0.1") as receiver:
        environment = environment_of(
            directory, receiver, SHIPEDGE_DISPATCH_DATABASE_URL=f"sqlite:///{database}"
        )
        async with traced_pair({**environment, RECORD: str(record)}) as pair:
            moments = await deliver(pair, receiver.url, database)
    calls = [Call(*call) for call in json.loads(record.read_text())]
    return of_event(calls, moments, AFTERWARDS_SECONDS)


@asynccontextmanager
async def traced_pair(environment: dict[str, str]) -> AsyncIterator[Pair]:
    """
    Run both services, the dispatch service with a record of its calls; stop them at the end.
    """
    config = environment["SHIPEDGE_CONFIG_LISTEN"]
    pair = Pair({"SHIPEDGE_DISPATCH_CONFIG_ADDRESS": config, **environment})
    try:
        await pair.start(CONFIG)
        await pair.start(DISPATCH, "tests.support.traced_service")
        yield pair
    finally:
        for package in (DISPATCH, CONFIG):
            if package in pair.children:
                await pair.stop(package)


async def deliver(pair: Pair, url: str, database: Path) -> Moments:
    """
    Publish an event to a subscription and wait for its result.
    """
    subscription = await pair.subscribe(url, EVENT_TYPE, VERSION)
    await pair.known(subscription.name)
    await asyncio.sleep(CALM_SECONDS)
    idle = time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    published = time.monotonic()
    [result] = await pair.publish(example_event(EVENT_TYPE))
    if not result.HasField("accepted"):
        raise RuntimeError(f"the event was refused: {result.error.message}")
    await succeeded(database)
    committed = time.monotonic()
    await asyncio.sleep(AFTERWARDS_SECONDS)
    return Moments(idle, published, committed)


async def succeeded(database: Path) -> None:
    """
    Wait until the delivery has succeeded. The file is read from outside: a call of the service
    would be in the trace. Raises `TimeoutError` after a minute.
    """
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        async with asyncio.timeout(RESULT_SECONDS):
            while connection.execute("SELECT state FROM deliveries").fetchall() != [("SUCCEEDED",)]:
                await asyncio.sleep(0.005)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
