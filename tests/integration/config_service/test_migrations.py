"""
What stands in the tables of the config service stays when they change.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from alembic import command

from config_service.store.schema import feed_items, subscriptions
from service_runtime.database.engine import create_engine
from service_runtime.database.instants import database_now
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from tests.integration.service_runtime.database.test_migrations import read_rows, step

pytestmark = pytest.mark.anyio

PACKAGE = "config_service"


async def test_tokens_of_callers_migrate_there_and_back(database_url: str) -> None:
    """
    Revision 0006 gives tokens a table; back, the newest one stays.
    """
    engine = create_engine(database_url, application_name="tests")
    await step(engine, command.downgrade, "0005", PACKAGE)
    sqlite = engine.dialect.name == "sqlite"
    old, new = ("X'0a'", "X'0b'") if sqlite else ("'\\x0a'", "'\\x0b'")
    now = "1" if sqlite else "current_timestamp"
    columns = "caller_id, created_revision, revision, config, create_time, token_sha256"
    async with engine.begin() as db:
        for caller in (f"'script', 1, 1, {old}, {now}, {old}", f"'oms', 2, 2, {old}, {now}, NULL"):
            await db.execute(sa.text(f"INSERT INTO callers ({columns}) VALUES ({caller})"))  # noqa: S608 - words of ours

    await step(engine, command.upgrade, "0006", PACKAGE)
    query = "SELECT caller_id, token_sha256, expire_time FROM caller_tokens"
    assert await read_rows(engine, query) == [("script", b"\x0a", None)]
    touched = "SELECT caller_id FROM callers WHERE update_time = create_time"
    assert await read_rows(engine, touched) == [("oms",), ("script",)]

    async with engine.begin() as db:
        values = f"'script', {new}, 3, NULL"
        await db.execute(sa.text(f"INSERT INTO caller_tokens VALUES ({values})"))  # noqa: S608 - words of ours
    await step(engine, command.downgrade, "0005", PACKAGE)
    kept = await read_rows(engine, "SELECT caller_id, token_sha256 FROM callers")
    assert kept == [("oms", None), ("script", b"\x0b")]
    await engine.dispose()


async def test_wildcards_of_callers_migrate_there_and_back(database_url: str) -> None:
    """
    Revision 0009 writes all accounts or warehouses with a hyphen, and nothing else.
    """
    engine = create_engine(database_url, application_name="tests")
    await step(engine, command.downgrade, "0008", PACKAGE)
    before = Caller(display_name="accounts/*", owners=["accounts/*", "accounts/7", "warehouses/*"])
    values = {"config": before.SerializeToString(), "caller_id": "ops"}
    columns = "caller_id, created_revision, revision, config, create_time, update_time"
    now = "1" if engine.dialect.name == "sqlite" else "current_timestamp"
    async with engine.begin() as db:
        row = f"INSERT INTO callers ({columns}) VALUES (:caller_id, 1, 1, :config, {now}, {now})"  # noqa: S608 - words of ours
        await db.execute(sa.text(row), values)

    await step(engine, command.upgrade, "0009", PACKAGE)
    ((config,),) = await read_rows(engine, "SELECT config FROM callers")
    assert list(Caller.FromString(config).owners) == ["accounts/-", "accounts/7", "warehouses/-"]
    await step(engine, command.downgrade, "0008", PACKAGE)
    ((config,),) = await read_rows(engine, "SELECT config FROM callers")
    assert Caller.FromString(config).owners == before.owners
    await engine.dispose()


async def test_signing_keys_migrate_back_when_no_subscription_uses_one(database_url: str) -> None:
    """
    Before revision 0010 requests of such a subscription would have no signature: its downgrade
    changes nothing then, and says what is to be done.
    """
    engine = create_engine(database_url, application_name="tests")
    row = {
        **dict.fromkeys(("owner", "subscription_id", "event_type", "payload_version"), "any"),
        **dict.fromkeys(("credential", "client_certificate"), ""),
        **dict.fromkeys(("url_hash", "sealed_config", "endpoint_health"), b""),
        **dict.fromkeys(("created_revision", "revision", "skipped_event_count"), 1),
        **dict.fromkeys(("create_time", "update_time", "delete_time"), database_now()),
        "status": "ACTIVE",
        "status_reason": "MANUAL",
    }
    async with engine.begin() as db:
        await db.execute(sa.insert(subscriptions).values(row | {"signing_key": "key"}))
        for kind in ("signing_key", "subscription"):
            item = {
                **dict.fromkeys(("name", "kind"), kind),
                "revision": len(kind),
                "deleted": False,
                "change_time": database_now(),
            }
            await db.execute(sa.insert(feed_items).values(item))
    with pytest.raises(RuntimeError, match=r"use a signing key \(1, deleted ones included\)"):
        await step(engine, command.downgrade, "0009", PACKAGE)
    query = "SELECT signing_key FROM subscriptions"
    assert await read_rows(engine, query) == [("key",)]

    async with engine.begin() as db:
        await db.execute(sa.update(subscriptions).values(signing_key=""))
    await step(engine, command.downgrade, "0009", PACKAGE)
    assert await read_rows(engine, "SELECT subscription_id FROM subscriptions") == [("any",)]
    assert await read_rows(engine, "SELECT kind FROM feed_items") == [("subscription",)]
    await step(engine, command.upgrade, "0010", PACKAGE)
    assert await read_rows(engine, query) == [("",)]
    await engine.dispose()


async def test_endpoint_events_migrate_there_and_back(database_url: str) -> None:
    """
    Rows that were there before revision 0012 stay, and await what completes them.
    """
    engine = create_engine(database_url, application_name="tests")
    await step(engine, command.downgrade, "0010", PACKAGE)
    sqlite = engine.dialect.name == "sqlite"
    report, now = ("X'0a'", "1") if sqlite else ("'\\x0a'", "current_timestamp")
    columns = "endpoint_event_id, owner, received_revision, stale, report, create_time"
    async with engine.begin() as db:
        values = f"'one', 'accounts/1', 7, false, {report}, {now}"
        await db.execute(sa.text(f"INSERT INTO endpoint_events ({columns}) VALUES ({values})"))  # noqa: S608 - words of ours

    await step(engine, command.upgrade, "0012", PACKAGE)
    added = "SELECT report, subscription, kind, failure_kind, occur_time FROM endpoint_events"
    assert await read_rows(engine, added) == [(b"\x0a", "", "", "", None)]
    await step(engine, command.downgrade, "0010", PACKAGE)
    kept = "SELECT endpoint_event_id, report FROM endpoint_events"
    assert await read_rows(engine, kept) == [("one", b"\x0a")]
    await engine.dispose()


async def test_unverified_subscriptions_migrate_back(database_url: str) -> None:
    """
    Before revision 0013 nothing asks their URLs: they stay Inactive, as if somebody had set it.
    """
    engine = create_engine(database_url, application_name="tests")
    row = {
        **dict.fromkeys(("owner", "subscription_id", "event_type", "payload_version"), "any"),
        **dict.fromkeys(("credential", "client_certificate"), ""),
        **dict.fromkeys(("url_hash", "sealed_config", "endpoint_health"), b""),
        **dict.fromkeys(("created_revision", "revision", "skipped_event_count"), 1),
        **dict.fromkeys(("create_time", "update_time"), database_now()),
        "status": "INACTIVE",
        "status_reason": "UNVERIFIED",
    }
    async with engine.begin() as db:
        await db.execute(sa.insert(subscriptions).values(row))
    await step(engine, command.downgrade, "0012", PACKAGE)
    query = "SELECT status, status_reason FROM subscriptions"
    assert await read_rows(engine, query) == [("INACTIVE", "MANUAL")]
    await step(engine, command.upgrade, "0013", PACKAGE)
    assert await read_rows(engine, "SELECT verified_url_hash FROM subscriptions") == [(None,)]
    await engine.dispose()
