"""
The disk is full, or a SQLite file is damaged.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import time
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy.engine import make_url

from service_runtime.process.pair import ServiceEndedError
from tests.faults.harness import rows
from tests.faults.harness.model import SQLITE, Fault
from tests.faults.harness.publisher import OK, stop
from tests.faults.harness.services import DISPATCH
from tests.faults.harness.site import Site
from tests.support.databases import run_sql

DISK_MB = 48
FULL_SECONDS = 14.0
BACK_SECONDS = 15.0
ROOTS = ("bodies", "events", "attempts", "deliveries")


async def full_disk(site: Site) -> None:
    """
    Fill the disk of the dispatch service's database, and make room again.
    """
    disk = await asyncio.to_thread(_small_disk, site.stack)
    if disk is None:
        site.report.skipped = "SKIPPED: no small file system can be mounted here"
        return
    await asyncio.to_thread(_move_database, site, disk)
    await site.start()
    endpoint = await site.endpoint()
    await site.subscribe(endpoint, 1, *[2] * 20)
    publishing = asyncio.ensure_future(site.publisher.keep_publishing("full", 1, 0.02))
    await asyncio.sleep(2)
    filler = disk / "filler"
    await asyncio.to_thread(_fill, filler)
    await asyncio.sleep(FULL_SECONDS)
    health = await site.replicas[0].health()
    site.report.expect(health == "NOT_SERVING", f"readiness {health} while full", timed=True)
    filler.unlink()
    room = time.monotonic()
    while site.publisher.first_ok_after(room) > 60 and time.monotonic() - room < 60:
        await asyncio.sleep(0.1)
    await stop(publishing)
    seconds = site.publisher.first_ok_after(room)
    site.report.expect(seconds <= BACK_SECONDS, f"first OK after {seconds:.1f} s", timed=True)
    codes = site.publisher.codes()
    site.report.expect(set(codes) <= {OK, "UNAVAILABLE"}, f"publishers saw {dict(codes)}")
    await site.expect_all_confirmed(60)


def _small_disk(stack: AsyncExitStack) -> Path | None:
    """
    Mount a small file system; return its folder, None where that is not allowed.
    """
    folder = Path(mkdtemp(prefix="webhooks-disk-"))
    options = f"size={DISK_MB}m,mode=0777"
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        folder.rmdir()
        return None
    stack.callback(shutil.rmtree, folder, ignore_errors=True)
    stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=False)
    return folder


def _move_database(site: Site, disk: Path) -> None:
    """
    Let the dispatch service's database lie on the small disk.
    """
    if site.server is None:
        site.urls[DISPATCH] = f"sqlite:///{disk}/dispatch.db"
        return
    space = disk / "space"
    space.mkdir()
    owner = site.server._place().stat()
    os.chown(space, owner.st_uid, owner.st_gid)
    run_sql(site.server.url, f"CREATE TABLESPACE small LOCATION '{space}'")
    name = make_url(site.dispatch_url).database
    run_sql(site.server.url, f'ALTER DATABASE "{name}" SET TABLESPACE small')


def _fill(file: Path) -> None:
    with file.open("wb") as filling:
        try:
            while True:
                filling.write(bytes(64 * 1024))
                filling.flush()
        except OSError:
            return


async def damaged(site: Site) -> None:
    """
    Overwrite the root page of one table after the other.
    """
    (replica,) = await site.start()
    endpoint = await site.endpoint()
    await site.subscribe(endpoint, 1, *[2] * 20)
    await site.publisher.publish_many("before", 1, 10)
    await site.ended(30)
    endpoint.status = 500
    await site.publisher.publish_many("waits", 1, 10)
    await replica.stop()
    file = Path(str(make_url(site.dispatch_url).database))
    good = await asyncio.to_thread(file.read_bytes)
    for table in ROOTS:
        await asyncio.to_thread(_overwrite, file, table)
        await _expect_noticed(site, table)
        await replica.kill()
        await asyncio.to_thread(_restore, file, good)
    endpoint.status = 200
    await replica.start()
    await site.ended(60)
    counts = await site.states()
    site.report.expect(counts["SUCCEEDED"] == 20, f"mended: {rows.shown(counts)}")


async def _expect_noticed(site: Site, table: str) -> None:
    """
    Expect that the service does not start, or says within a quarter of a minute that it is ill.
    """
    (replica,) = site.replicas
    try:
        await replica.start()
    except ServiceEndedError:
        site.report.expect(True, f"{table}: does not start")
        return
    started, health = time.monotonic(), "SERVING"
    while health == "SERVING" and time.monotonic() - started < 20:
        await asyncio.sleep(0.5)
        health = await replica.health()
    site.report.expect(health != "SERVING", f"{table}: {health}")


def _restore(file: Path, content: bytes) -> None:
    for suffix in ("-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)
    file.write_bytes(content)


def _overwrite(file: Path, table: str) -> None:
    with sqlite3.connect(file) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        query = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = ?"
        (page,) = db.execute(query, (table,)).fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    db.close()
    with file.open("r+b") as damaging:
        damaging.seek((page - 1) * size)
        damaging.write(b"\xa5" * size)


FAULTS = (
    Fault(
        "disk.full",
        "UNAVAILABLE only, NOT_SERVING, first success within 15 s of room",
        full_disk,
    ),
    Fault("disk.damaged", "a damaged page shows", damaged, (SQLITE,), seconds=200),
)
