"""
One step of the housekeeping fails, or one owner's share of it, or one job.
"""

from __future__ import annotations

import asyncio
import time

import sqlalchemy as sa

from dispatch_service.storage.schema import attempts, bodies, deliveries, resend_jobs
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb
from tests.faults.harness import rows
from tests.faults.harness.model import Fault
from tests.faults.harness.site import Site

FAILING, OTHERS = 1, (2, 3)
EVENTS = 5
SOON = {
    "SHIPEDGE_DISPATCH_PAYLOAD_RETENTION": "1s",
    "SHIPEDGE_DISPATCH_LOG_RETENTION": "1s",
    "SHIPEDGE_DISPATCH_MAINTENANCE_INTERVAL": "1s",
}

REFUSAL = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'refused for the test'; END $$
"""
POSTGRESQL_TRIGGER = """
CREATE TRIGGER refuse_{table} BEFORE {operation} ON {table} FOR EACH ROW
WHEN (OLD.owner = 'accounts/1') EXECUTE FUNCTION refuse()
"""
SQLITE_TRIGGER = """
CREATE TRIGGER refuse_{table} BEFORE {operation} ON {table} FOR EACH ROW
WHEN OLD.owner = 'accounts/1' BEGIN SELECT RAISE(ABORT, 'refused for the test'); END
"""


async def pruning(site: Site) -> None:
    """
    Refuse to delete the bodies and the attempts of one owner.
    """
    (replica,) = await site.start()
    await _deliver_to_all(site)
    await site.compare()
    await replica.stop()
    await _refuse(site, "DELETE", "bodies", "attempts")
    replica.environment |= SOON
    await replica.start()
    left = await _until_pruned(site)
    site.report.expect(not left, f"{left} rows of other owners left")
    await asyncio.sleep(5)
    _expect_logged_once(site, "maintenance.failed", most=4)


async def resend_job(site: Site) -> None:
    """
    Refuse the progress of one owner's resend job, which is the oldest.
    """
    await site.start()
    await _deliver_to_all(site)
    await _refuse(site, "UPDATE", "resend_jobs")
    for account in (FAILING, *OTHERS):
        # From the oldest on, which are SUCCEEDED: they are only sent again if forced.
        request = pb.ResendDeliveriesRequest(
            parent=f"accounts/{account}", filter="state = SUCCEEDED", force=True
        )
        await site.calls.deliveries.ResendDeliveries(request)
    done = await _until_done(site)
    site.report.expect(done == len(OTHERS), f"{done} of {len(OTHERS)} other jobs done")
    await asyncio.sleep(3)
    _expect_logged_once(site, "resend_job.failed", most=2)


async def _deliver_to_all(site: Site) -> None:
    endpoint = await site.endpoint()
    for account in (FAILING, *OTHERS):
        await site.subscribe(endpoint, account, 5, 5)
        await site.publisher.publish_many(f"kept{account}", account, EVENTS)
    await site.ended(30)


async def _refuse(site: Site, operation: str, *tables: str) -> None:
    trigger = POSTGRESQL_TRIGGER if site.server else SQLITE_TRIGGER
    made = [trigger.format(operation=operation, table=table) for table in tables]
    await rows.execute(site.dispatch_url, *([REFUSAL] if site.server else []), *made)


async def _until_pruned(site: Site) -> int:
    """
    Return how many rows of the other owners are left after half a minute at most.
    """
    started, left = time.monotonic(), 1
    while left and time.monotonic() - started < 30:
        await asyncio.sleep(0.5)
        left = sum([await _count(site, table) for table in (bodies, attempts, deliveries)])
    return left


async def _count(site: Site, table: sa.Table) -> int:
    others = table.c.owner != f"accounts/{FAILING}"
    query = sa.select(sa.func.count()).select_from(table).where(others)
    return int((await rows.select(site.dispatch_url, query))[0][0])


async def _until_done(site: Site) -> int:
    """
    Return how many jobs are done after 20 s at most.
    """
    is_done = resend_jobs.c.state == "SUCCEEDED"
    query = sa.select(sa.func.count()).select_from(resend_jobs).where(is_done)
    for _ in range(80):
        done = int((await rows.select(site.dispatch_url, query))[0][0])
        if done == len(OTHERS):
            break
        await asyncio.sleep(0.25)
    return done


def _expect_logged_once(site: Site, event: str, *, most: int) -> None:
    """
    Expect lines about the failing owner, but not one for each round.
    """
    (replica,) = site.replicas
    lines = replica.lines(event)
    traces = sum("exception" in line for line in lines)
    good = 1 <= len(lines) <= most and traces <= 1
    site.report.expect(good, f"{len(lines)} log lines, {traces} traces")


FAULTS = (
    Fault("housekeeping.pruning", "an owner whose rows stay stops no other", pruning),
    Fault("housekeeping.resend_job", "a job that fails stops no other", resend_job),
)
