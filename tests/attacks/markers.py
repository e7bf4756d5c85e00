"""
Markers in every secret, in paths and queries of URLs, in payloads and in values of SQL: they are
found nowhere but where they are to be shown, even when every table is away.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import sqlalchemy as sa
from google.protobuf import message_factory
from google.protobuf.message import Message

from config_service.store.schema import metadata as config_tables
from dispatch_service.storage.schema import metadata as dispatch_tables
from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from tests.attacks.harness.clock import publish
from tests.attacks.harness.model import Attack, Verdict
from tests.attacks.harness.setups import ATTACKER, CLOSED_PORT, OPERATOR, POSTGRESQL, SQLITE, Setup
from tests.attacks.harness.stage import Stage, serves
from tests.e2e.test_markers import BODY, MARKERS, PATH, QUERY, SECRET, configure
from tests.e2e.test_pair import shipped
from tests.support.odd_requests import answer_of
from tests.support.pair import CONFIG, DISPATCH, Pair
from tests.support.receivers import Receiver
from tests.unit.service_runtime.rpc.test_access import METHODS, OWNER

VALUE = "marker-value"
ALL = (*MARKERS, VALUE)
"""
What must not be found; `VALUE` is in filters, so in the values of statements alone.
"""

SHOWN_URL = f"https://127.0.0.1:{CLOSED_PORT}/{PATH}/…"
"""
What anybody may see of the URL that a token comes from: its first segment is short.
"""

OK = 200
AWAY_SECONDS = 3.0
LEAST_FAULTS = 10
FILTERS = (
    "",
    f'url = "https://127.0.0.1:{CLOSED_PORT}/hook/{PATH}/x?{QUERY}"',
    f'url = "https://{VALUE}/{PATH}"',
    f'event = "{VALUE}"',
    f'subscription = "{OWNER}/subscriptions/{VALUE}"',
    f'resource = "{VALUE}"',
    f'caller = "callers/{VALUE}"',
)
SETTINGS = {"SHIPEDGE_LOG_LEVEL": "debug", "SHIPEDGE_LOG_FORMAT": "json"}


def reading_calls(names: Sequence[str]) -> Iterator[tuple[str, Message]]:
    """
    Yield calls that read: every list with every filter, and everything that has one of *names*.
    """
    for path, method in METHODS.items():
        verb = method.name
        kind: Any = message_factory.GetMessageClass(method.input_type)
        if verb.startswith("List") and "parent" in method.input_type.fields_by_name:
            parent = f"{OWNER}/deliveries/-" if verb == "ListAttempts" else OWNER
            for text in FILTERS if "filter" in method.input_type.fields_by_name else ("",):
                yield path, kind(**{"parent": parent, **({"filter": text} if text else {})})
        elif verb.startswith("Get") and "name" in method.input_type.fields_by_name:
            # The names of other kinds are refused before anything is read.
            yield from ((path, kind(name=name)) for name in names)


def writing_calls() -> Iterator[tuple[str, Message]]:
    """
    Yield calls that write markers.
    """
    config = "/shipedge.webhooks.config.v1.ConfigService"
    url = f"https://127.0.0.1:{CLOSED_PORT}/{PATH}/y?{QUERY}"
    credential = Credential(display_name="broken")
    credential.bearer.token = SECRET
    wanted = Subscription(event_type="orders/shipped", payload_version="v2", url=url)
    yield (
        f"{config}/CreateCredential",
        config_service_pb2.CreateCredentialRequest(parent=OWNER, credential=credential),
    )
    yield (
        f"{config}/CreateSubscription",
        config_service_pb2.CreateSubscriptionRequest(parent=OWNER, subscription=wanted),
    )
    request = publish(int(OWNER.rpartition("/")[2]))
    request.events[0].order_status_changed.order.number = BODY
    yield "/shipedge.webhooks.dispatch.v1.PublisherService/PublishEvents", request


async def answers(stage: Stage, who: str, calls: Sequence[tuple[str, Message]]) -> list[str]:
    """
    Make calls; return codes, reasons and answers as text.
    """
    connections = {it: await stage.connect(who, it) for it in (CONFIG, DISPATCH)}

    async def answer(path: str, request: Message) -> str:
        connection = connections[DISPATCH if ".dispatch." in path else CONFIG]
        return str(await answer_of(connection, path, METHODS[path], request))

    # At once, because a client tries again for a while when the store is away.
    return await asyncio.gather(*(answer(*call) for call in calls))


async def deliver_marked(stage: Stage) -> list[str]:
    """
    Configure and deliver with markers everywhere; return the names of what there is now.
    """
    pair = Pair(stage.environment)
    for package in (CONFIG, DISPATCH):
        pair.channels[package] = await stage.connect(OPERATOR, package)
    names = await configure(
        pair,
        stage.receiver,
        Receiver(scheme="https", host="127.0.0.1", port=CLOSED_PORT, ca_pem=""),
    )
    await pair.known(*names)
    event = shipped("marked")
    event.order_status_changed.order.number = BODY
    await pair.publish(event)
    await serves(partial(_attempted, pair))
    deliveries = await pair.log_of(OWNER)
    attempts = await pair.all_attempts(OWNER)
    return [OWNER, names[0], deliveries[0].name, *(it.name for it in attempts[-2:])]


async def _attempted(pair: Pair) -> bool:
    """
    Tell whether there were an attempt that succeeded and one that failed.
    """
    outcomes = {it.response_code == OK for it in await pair.all_attempts(OWNER)}
    return len(outcomes) > 1


async def rename_tables(stage: Stage, *, away: bool) -> None:
    """
    Give all tables of both services other names, or their own again.
    """
    for package, metadata in ((CONFIG, config_tables), (DISPATCH, dispatch_tables)):
        for table in metadata.tables:
            names = (table, f"{table}_away")[:: 1 if away else -1]
            await sql(stage, package, f"ALTER TABLE {names[0]} RENAME TO {names[1]}")


async def sql(stage: Stage, package: str, statement: str) -> list[str]:
    """
    Run a statement in the database of a service; return its rows as text.
    """
    url = stage.environment.get(
        f"SHIPEDGE_{package.split('_', maxsplit=1)[0].upper()}_DATABASE_URL"
    )
    if url is not None:
        connection = await asyncpg.connect(url)
        try:
            return [str(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()
    file = stage.directory / "data" / f"{_word(package)}.db"
    return await asyncio.to_thread(_sqlite, file, statement)


def _word(package: str) -> str:
    return package.partition("_")[0]


def _sqlite(file: Path, statement: str) -> list[str]:
    engine = sa.create_engine(f"sqlite:///{file}", connect_args={"timeout": 30})
    with engine.begin() as db:
        result = db.exec_driver_sql(statement)
        rows = [str(row) for row in result] if result.returns_rows else []
    engine.dispose()
    return rows


async def stored(stage: Stage) -> str:
    """
    Return all that is in both databases.
    """
    files = [it for it in (stage.directory / "data").rglob("*.db*") if it.is_file()]
    found = [file.read_bytes().decode("latin-1") for file in files]
    if "SHIPEDGE_CONFIG_DATABASE_URL" in stage.environment:
        for package, metadata in ((CONFIG, config_tables), (DISPATCH, dispatch_tables)):
            for table in metadata.tables:
                found += await sql(stage, package, f"SELECT * FROM {table}")  # noqa: S608
    return "\n".join(found)


async def everywhere(stage: Stage) -> Verdict:
    """
    Read as a reader; let all stores fail; then look at answers, logs and databases.
    """
    verdict = Verdict()
    names = await deliver_marked(stage)
    reading = list(reading_calls(names))
    shown = await answers(stage, ATTACKER, reading)
    read = sum(it.startswith("('OK'") for it in shown)
    verdict.expect(read >= LEAST_FAULTS, f"{read} answers to a reader")
    await rename_tables(stage, away=True)
    broken = await answers(stage, OPERATOR, [*reading, *writing_calls()])
    await asyncio.sleep(AWAY_SECONDS)
    await rename_tables(stage, away=False)
    faults = sum(it.startswith(("('INTERNAL'", "('UNAVAILABLE'")) for it in broken)
    verdict.expect(faults >= LEAST_FAULTS, f"{faults} calls met a broken store")
    await serves(partial(_publishes, stage))
    logs = "".join(stage.log(package).read_text() for package in (CONFIG, DISPATCH))
    traces = logs.count("Traceback")
    verdict.expect(traces > 0, f"{traces} traces in {logs.count(chr(10))} lines of log")
    for source, text in (
        ("answers to a reader", "\n".join(shown).replace(SHOWN_URL, "")),
        ("errors", "\n".join(broken)),
        ("logs", logs),
        ("databases", await stored(stage)),
    ):
        found = [text[max(text.find(it) - 60, 0) :][:120] for it in ALL if it in text]
        verdict.expect(not found, f"{source}: {found or 'no marker'}")
    return verdict


async def _publishes(stage: Stage) -> bool:
    return bool(await stage.innocent(1))


PROMISE = "markers in secrets, URLs, payloads and SQL are found nowhere but where they belong"

ATTACKS = [
    Attack(
        f"secrets.markers.{database}",
        everywhere,
        f"{PROMISE}, {database}",
        Setup(database, settings=SETTINGS),
        alone=False,
    )
    for database in (SQLITE, POSTGRESQL)
]
