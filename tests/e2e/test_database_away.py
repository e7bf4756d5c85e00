"""
Both services while their database is unavailable.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_service_pb2
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2
from tests.support.databases import Postgres, fresh_database, running_postgres
from tests.support.pair import environment_of, running_pair
from tests.support.receivers import Receiver

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Databases:
    """
    A database server that can be stopped, and the settings with a database of each service.
    """

    server: Postgres
    settings: dict[str, str]


@pytest.fixture
def databases() -> Iterator[Databases]:
    """
    Yield a new server with two databases.
    """
    with running_postgres() as server, ExitStack() as stack:
        names = ("SHIPEDGE_CONFIG_DATABASE_URL", "SHIPEDGE_DISPATCH_DATABASE_URL")
        urls = {name: stack.enter_context(fresh_database(server.url)) for name in names}
        yield Databases(server, urls)


async def reason(call: Awaitable[object]) -> tuple[str, str]:
    """
    Return code and reason of a call that must fail.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    error = read_error(raised.value)
    return error.code, error.reason


async def test_reads_are_unavailable(
    tmp_path: Path, receiver: Receiver, databases: Databases
) -> None:
    """
    Reads fail with UNAVAILABLE and STORE_UNAVAILABLE, and succeed again with the database.
    """
    async with running_pair(environment_of(tmp_path, receiver, **databases.settings)) as pair:
        assert await pair.log_of() == []
        databases.server.stop("immediate")

        listing = delivery_service_pb2.ListDeliveriesRequest(parent="accounts/100")
        deliveries = await reason(pair.deliveries.ListDeliveries(listing))
        wanted = config_service_pb2.ListSubscriptionsRequest(parent="accounts/100")
        subscriptions = await reason(pair.config.ListSubscriptions(wanted))

        databases.server.start()
        assert await pair.log_of() == []
    assert deliveries == subscriptions == ("UNAVAILABLE", "STORE_UNAVAILABLE")
