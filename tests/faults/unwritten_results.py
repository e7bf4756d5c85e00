"""
Results cannot be written for longer than several leases, while deliveries can be claimed.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from sqlalchemy.engine import make_url

from tests.faults.harness import rows
from tests.faults.harness.endpoints import Endpoint
from tests.faults.harness.model import POSTGRESQL, Fault
from tests.faults.harness.proxy import running_proxy
from tests.faults.harness.services import DISPATCH
from tests.faults.harness.site import Site

EVENTS = 30
LEASE = {"SHIPEDGE_DISPATCH_DEADLINE": "2s", "SHIPEDGE_DISPATCH_LEASE": "14s"}
UNWRITTEN_SECONDS = 45.0
"""
Three leases.
"""

REFUSAL = """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN RAISE EXCEPTION 'no room' USING ERRCODE = '53100'; END $$
"""
REFUSE = """
CREATE TRIGGER refuse BEFORE INSERT ON attempts FOR EACH ROW
WHEN (NEW.status <> 'INTERRUPTED') EXECUTE FUNCTION refuse()
"""
ALLOW = "DROP TRIGGER refuse ON attempts"


async def refused(site: Site, seconds: float = UNWRITTEN_SECONDS) -> None:
    """
    Refuse the rows of attempts, but those of interrupted ones.
    """
    await site.start(settings=LEASE)
    endpoint = await site.endpoint()
    await site.subscribe(endpoint, 1, 60, 60)
    await rows.execute(site.dispatch_url, REFUSAL, REFUSE)
    await site.publisher.publish_many("unwritten", 1, EVENTS)
    await asyncio.sleep(seconds)
    await rows.execute(site.dispatch_url, ALLOW)
    await site.expect_all_confirmed(60)
    sent = Counter(arrival.delivery_id for arrival in site.journal.arrivals)
    again = sum(count > 1 for count in sent.values())
    site.report.expect(not again, f"{again} of {len(sent)} sent twice by a living process")


async def late_success(site: Site) -> None:
    """
    Cut one replica off from its database while it holds successes; another takes over.
    """
    endpoint = await site.endpoint(seconds=0.5)
    await site.start_config()
    async with running_proxy(site.postgres.port) as proxy:
        behind = make_url(site.dispatch_url).set(port=proxy.port)
        url = behind.render_as_string(hide_password=False)
        cut = site.service(DISPATCH, **LEASE, SHIPEDGE_DISPATCH_DATABASE_URL=url)
        await cut.start()
        site.follow()
        await site.subscribe(endpoint, 1, 600, 600)
        await site.publisher.publish_many("late", 1, 4)
        proxy.silence(new=True)
        await asyncio.sleep(2)
        held = len(site.journal.confirmed())
        site.report.expect(held == 4, f"{held} of 4 confirmed, not written")
        await _taken_over(site, endpoint)
        proxy.restore()
        # The next attempt is due in ten minutes: only the late success can settle them.
        ended = await site.ended(60)
        counts = await site.states()
        site.report.expect(ended and counts["SUCCEEDED"] == 4, f"settled: {rows.shown(counts)}")
        await site.compare()


async def _taken_over(site: Site, endpoint: Endpoint) -> None:
    """
    Start another replica and refuse what it sends, until it has tried all four.
    """
    endpoint.status = 500
    before = len(endpoint.arrivals)
    other = site.service(DISPATCH, **LEASE)
    await other.start()
    async with asyncio.timeout(60):
        while len(endpoint.arrivals) < before + 4:
            await asyncio.sleep(0.1)
    await asyncio.sleep(1)


FAULTS = (
    Fault(
        "unwritten.refused",
        "a living process sends nothing twice while its results cannot be written",
        refused,
        (POSTGRESQL,),
        seconds=200,
    ),
    Fault(
        "unwritten.late_success",
        "a 2xx that comes late settles",
        late_success,
        (POSTGRESQL,),
        seconds=240,
    ),
)
