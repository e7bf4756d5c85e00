"""
Background work of the config service goes on past what fails, on SQLite and PostgreSQL alike.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
import sqlalchemy as sa
from structlog.testing import capture_logs

from config_service import background
from config_service.store.schema import callers, client_certificates, endpoint_events
from service_runtime.database.engine import reading, writing
from service_runtime.database.instants import after
from service_runtime.process.failures import FailureLog
from service_runtime.rpc.caller_directory import CallerDirectory
from tests.integration.config_service.api.test_callers import created
from tests.integration.config_service.api.test_credentials import certified
from tests.integration.config_service.conftest import Running
from tests.support.config_calls import create
from tests.support.figures import figure

pytestmark = pytest.mark.anyio

REFUSE = {
    "sqlite": [
        (
            "CREATE TRIGGER refuse BEFORE INSERT ON endpoint_events"
            " WHEN NEW.owner = 'accounts/100' BEGIN SELECT RAISE(ABORT, 'refused'); END"
        )
    ],
    "postgresql": [
        (
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
            " AS $$ BEGIN RAISE EXCEPTION 'refused'; END $$"
        ),
        (
            "CREATE TRIGGER refuse BEFORE INSERT ON endpoint_events FOR EACH ROW"
            " WHEN (NEW.owner = 'accounts/100') EXECUTE FUNCTION refuse()"
        ),
    ],
}


async def expiring(running: Running, owner: str, days: int) -> None:
    """
    Make a certificate of an owner that is used and expires within so many days.
    """
    certificate = await certified(running, owner)
    await create(running, owner, client_certificate=certificate.name)
    async with writing(running.engine) as db:
        mine = sa.update(client_certificates).where(client_certificates.c.owner == owner)
        await db.execute(mine.values(not_after=after(timedelta(days=days, hours=1))))


async def test_certificate_that_fails_stops_no_other(running: Running) -> None:
    """
    A certificate whose warning cannot be stored is logged; the next one is warned of.
    """
    await expiring(running, "accounts/100", 2)
    await expiring(running, "accounts/200", 20)
    async with writing(running.engine) as db:
        for statement in REFUSE[running.engine.dialect.name]:
            await db.execute(sa.text(statement))
    loop = background.store_loops(running.engine, timedelta(days=30))["certificates"]

    with capture_logs() as logs:
        await loop._run_once()

    assert [line["event"] for line in logs] == [
        "certificate.expires",
        "certificates.read_failed",
        "certificate.expires",
    ]
    async with reading(running.engine) as db:
        owners = list((await db.execute(sa.select(endpoint_events.c.owner))).scalars())
    assert owners == ["accounts/200"]


async def test_metrics_show_the_revision_and_the_first_certificate_to_expire(
    running: Running,
) -> None:
    """
    Without a certificate in use there is no number of days, which would alarm or never do so.
    """
    loops = background.store_loops(running.engine, timedelta(days=30))
    await loops["certificates"]._run_once()
    assert list(background.CERTIFICATE_DAYS.collect()) == []
    await expiring(running, "accounts/100", 20)

    for name in ("certificates", "revision"):
        await loops[name]._run_once()

    assert figure("webhooks_client_certificate_days") == 20
    assert figure("webhooks_config_revision") >= 1


async def test_caller_that_cannot_be_read_stops_no_other(running: Running) -> None:
    """
    A caller whose row is damaged is logged and not let in; the others are.
    """
    sound, broken = await created(running), await created(running, "broken")
    async with writing(running.engine) as db:
        same = callers.c.caller_id == "broken"
        await db.execute(sa.update(callers).where(same).values(config=b"\xff\xff"))
    directory = CallerDirectory()

    with capture_logs() as logs:
        await background.read_callers(running.engine, directory, FailureLog("callers.read_failed"))

    assert [line["caller"] for line in logs] == ["callers/broken"]
    assert directory.identify({"authorization": f"Bearer {sound.token}"}, {})
    assert not directory.identify({"authorization": f"Bearer {broken.token}"}, {})
