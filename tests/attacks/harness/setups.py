"""
How the pair that is attacked is set up: certificates, settings and databases.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from service_runtime.process.bootstrap import Holder, bootstrap
from service_runtime.rpc.callers import ROLES
from tests.support.databases import free_port, fresh_database, postgres_server
from tests.support.pair import environment_of
from tests.support.receivers import Receiver, Script, answering
from tests.support.templates import fill_data_directory

INNOCENT, ATTACKER, NOBODY, OPERATOR = "innocent", "attacker", "nobody", "operator"
"""
Who has a certificate. The operator is known by the settings and may do everything but follow the
feed; nobody is known to no service.
"""

FEED = "service"
"""
The certificate of the services themselves, whose holder may follow the feed.
"""

CLOSED_PORT = 1
"""
A port of an allowed target where nobody listens.
"""

_ONE_AT_A_TIME = threading.Lock()
"""
Migrated databases are made in a loop of their own, which two threads cannot share.
"""

SQLITE, POSTGRESQL = "sqlite", "postgresql"


@dataclass(frozen=True)
class Setup:
    """
    What an attack needs beside the usual: the *database*, more *holders* of certificates, more
    *settings*, in which `{port}` is that of the receiver, and how that one answers. Services whose
    memory is measured start *as_shipped*, the others forked, which is faster.
    """

    database: str = SQLITE
    holders: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    as_shipped: bool = False
    script: Script = answering(200, b"OK")  # noqa: RUF009 - a function


def environment(
    setup: Setup, directory: Path, receiver: Receiver, stack: ExitStack
) -> dict[str, str]:
    """
    Make the certificates below *directory*, and the databases; return the settings of both
    services in production mode. Not for a thread with an event loop.
    """
    with _ONE_AT_A_TIME:
        fill_data_directory(directory / "data")
    secrets = directory / "secrets"
    now = datetime.now(UTC)  # noqa: TID251 - certificates are valid from now on
    names = (INNOCENT, ATTACKER, NOBODY, OPERATOR, *setup.holders)
    callers = {name: Holder((name,)) for name in names}
    bootstrap(secrets, now, {FEED: Holder(("localhost",), service=True), **callers})
    roles = "+".join(sorted(ROLES - {"feed"}))
    config = f"localhost:{free_port()}"
    usual = environment_of(
        directory,
        receiver,
        SHIPEDGE_ENVIRONMENT="production",
        SHIPEDGE_CALLERS=f"localhost=feed,{OPERATOR}={roles}",
        SHIPEDGE_TLS_CERTIFICATE_FILE=str(secrets / FEED / "certificate.pem"),
        SHIPEDGE_TLS_KEY_FILE=str(secrets / FEED / "key.pem"),
        SHIPEDGE_TLS_CA_FILE=str(secrets / FEED / "ca.pem"),
        SHIPEDGE_CONFIG_LISTEN=config,
        SHIPEDGE_CONFIG_TOKEN_LISTEN=f"localhost:{free_port()}",
        SHIPEDGE_DISPATCH_LISTEN=f"localhost:{free_port()}",
        SHIPEDGE_DISPATCH_TOKEN_LISTEN=f"localhost:{free_port()}",
        SHIPEDGE_DISPATCH_CONFIG_ADDRESS=config,
        SHIPEDGE_ALLOWED_TARGETS=f"127.0.0.1:{receiver.port},127.0.0.1:{CLOSED_PORT}",
        SHIPEDGE_ENCRYPTION_KEYS_FILE=str(secrets / FEED / "encryption_keys"),
        SHIPEDGE_HASH_KEY_FILE=str(secrets / FEED / "hash_key"),
        **_databases(setup.database, stack),
    )
    return usual | {it: text.format(port=receiver.port) for it, text in setup.settings.items()}


def _databases(kind: str, stack: ExitStack) -> dict[str, str]:
    """
    Return the settings of the databases: none for the SQLite files of the data directory.
    """
    if kind == SQLITE:
        return {}
    server = stack.enter_context(postgres_server())
    settings = {}
    for name in ("CONFIG", "DISPATCH"):
        database = stack.enter_context(fresh_database(server))
        settings[f"SHIPEDGE_{name}_DATABASE_URL"] = database
        settings[f"SHIPEDGE_{name}_DATABASE_TLS"] = "off"
    return settings
