"""
What a delivery leaves behind and what a rate of deliveries takes: disk, write-ahead log,
connections, memory and processor.

    python -m tests.bench.sizing [RATE …]

Publishes 3,000 events one after the other, then 15 seconds at each RATE in events a second (100 and
1,000 unless told), to a receiver that confirms them, and prints figures for docs/sizing.md.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from service_runtime.database.engine import create_engine, reading
from tests.bench.deployment import Deployment, running_deployment
from tests.support.databases import running_postgres

FIRST, SECONDS = 3_000, 15

_SIZES = """
SELECT relname, pg_table_size(relid), pg_indexes_size(relid), n_tup_upd, n_tup_hot_upd
FROM pg_stat_user_tables WHERE pg_total_relation_size(relid) > 200000 ORDER BY 2 DESC
"""
_LOG = "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn"
_CONNECTIONS = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"


async def rows(url: str, statement: str) -> Sequence[Sequence[Any]]:
    """
    Return the rows of a statement.
    """
    engine = create_engine(url, application_name="benchmark")
    try:
        async with reading(engine) as db:
            return [tuple(row) for row in await db.exec_driver_sql(statement)]
    finally:
        await engine.dispose()


async def kept(deployment: Deployment) -> None:
    """
    Print the bytes that one delivery of a single event leaves in each table.
    """
    before = (await rows(deployment.database, _LOG))[0][0]
    sizes = {it[0]: it for it in await rows(deployment.database, _SIZES)}
    await deployment.measure(total=FIRST, batch=1, parallel=64)
    for name, table, indexes, updates, hot in await rows(deployment.database, _SIZES):
        _, table_before, indexes_before, *_ = sizes.get(name, (name, 0, 0))
        parts = ((table - table_before) / FIRST, (indexes - indexes_before) / FIRST)
        print(f"{name}: table {parts[0]:.0f}, indexes {parts[1]:.0f} bytes; hot {hot} of {updates}")
    written = float((await rows(deployment.database, _LOG))[0][0] - before)
    print(f"write-ahead log: {written / FIRST:.0f} bytes for a delivery")


async def at_rate(deployment: Deployment, rate: int) -> Mapping[str, float]:
    """
    Measure what a rate of events takes.
    """
    loading = asyncio.create_task(
        deployment.measure(total=rate * SECONDS, rate=rate, batch=10 if rate > 100 else 1)
    )
    most = 0
    while not loading.done():
        await asyncio.sleep(1)
        most = max(most, (await rows(deployment.database, _CONNECTIONS))[0][0] - 1)
    measured = await loading
    cores = {name: used / SECONDS for name, used in measured.cpu_s.items()}
    return {
        "deliveries a second": measured.per_second,
        "connections": most,
        "memory of the dispatch service, MiB": deployment.memory_mb(),
        **{f"cores of {name}": cores[name] for name in ("dispatcher", "postgres")},
    }


async def main(rates: Sequence[int]) -> None:
    """
    Print all figures.
    """
    with running_postgres(durable=True) as postgres:
        async with running_deployment(
            postgres, SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY="128"
        ) as deployment:
            await deployment.subscribe()
            await deployment.measure(total=1_000)
            print(
                f"at rest: {(await rows(deployment.database, _CONNECTIONS))[0][0] - 1} connections"
            )
            print(f"at rest: {deployment.memory_mb():.0f} MiB")
            await kept(deployment)
            for rate in rates:
                figures = await at_rate(deployment, rate)
                print(f"{rate}:", ", ".join(f"{name} {it:.3g}" for name, it in figures.items()))


if __name__ == "__main__":
    asyncio.run(main([int(it) for it in sys.argv[1:]] or [100, 1_000]))
