"""
Calls that are refused before their method, or end in spite of it, by the reason. They are made to
the interceptor of both services, around methods of a test.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import StringValue
from google.rpc import status_pb2

from dispatch_service.domain.errors import BacklogFull
from dispatch_service.queue.sqlite import SqliteQueue
from service_runtime.database.engine import create_engine
from service_runtime.database.faults import is_unavailable
from service_runtime.rpc import access
from service_runtime.rpc.gate.limits import Limits
from service_runtime.rpc.status import to_status
from shipedge.webhooks.config.v1.config_service_pb2 import GetSubscriptionRequest
from tests.support.gated_service import GatedService, called, published, serving, watched
from tests.support.provocations.scene import OTHER_OWNER, named, status_of
from tests.support.running_intake import running_intake, shipped
from tests.support.templates import fill_data_directory

_GET = "/shipedge.webhooks.config.v1.ConfigService/GetSubscription"


class Failing(GatedService):
    """
    A service whose method fails with an error.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error
        self.add("a")

    async def call(self, request: Any, _context: Any) -> Empty:
        """
        Fail.
        """
        raise self.error


def known(*callers: str) -> GatedService:
    """
    Make a service that lets callers in.
    """
    service = GatedService()
    for name in callers:
        service.add(name, "reader", owners=frozenset({OTHER_OWNER}))
    return service


async def _called(service: GatedService, caller: str = "a", **options: Any) -> status_pb2.Status:
    async with serving(service, **options) as connection:
        return await status_of(called(connection, caller))


async def _unknown() -> status_pb2.Status:
    return await _called(known())


async def _forbidden() -> status_pb2.Status:
    request = GetSubscriptionRequest(name=named("subscriptions", "used"))

    def authorise(caller: Any, _method: str, _request: Any) -> Any:
        return access.authorise(caller, _GET, request)

    return await _called(known("a"), authorise=authorise)


async def _timed_out() -> status_pb2.Status:
    return await _called(known("a"), deadline_seconds=0.05)


async def _fault() -> status_pb2.Status:
    return await _called(Failing(ValueError("a fault")))


async def _no_store() -> status_pb2.Status:
    return await _called(Failing(ConnectionRefusedError()), store_is_away=is_unavailable)


async def _over(limits: Limits, caller: str) -> status_pb2.Status:
    """
    Open a watch of account 100 as caller a, then another one as *caller*.
    """
    async with serving(known("a", "b"), limits=limits) as connection:
        await watched(connection, "a", "100").read()
        return await status_of(_read(watched(connection, caller, "100")))


async def _read(stream: Any) -> Any:
    """
    Read the next message of a stream.
    """
    return await stream.read()


async def _over_caller() -> status_pb2.Status:
    return await _over(Limits(caller_watches=1), "a")


async def _over_account() -> status_pb2.Status:
    return await _over(Limits(account_watches=1), "b")


async def _over_service() -> status_pb2.Status:
    return await _over(Limits(total_streams=1), "b")


async def _revoked() -> status_pb2.Status:
    service = known("a")
    async with serving(service) as connection:
        stream = published(connection, "a")
        await stream.write(_text())
        await stream.read()
        del service.callers["a"]
        await stream.write(_text())
        return await status_of(_read(stream))


def _text() -> StringValue:
    return StringValue(value="100")


async def _draining() -> status_pb2.Status:
    service = known("a")
    async with serving(service) as connection:
        watch = watched(connection, "a", "100")
        await watch.read()
        assert service.drain is not None
        await service.drain()
        return await status_of(_read(watch))


async def _aged() -> status_pb2.Status:
    async with serving(known("a"), stream_seconds=0) as connection:
        watch = watched(connection, "a", "100")
        await watch.read()
        return await status_of(_read(watch))


CALLS: Mapping[str, Callable[[], Awaitable[status_pb2.Status]]] = {
    "CALLER_UNKNOWN": _unknown,
    "CALLER_FORBIDDEN": _forbidden,
    "CALLER_REVOKED": _revoked,
    "CALLER_LIMIT_REACHED": _over_caller,
    "ACCOUNT_LIMIT_REACHED": _over_account,
    "SERVICE_LIMIT_REACHED": _over_service,
    "CALL_TIMED_OUT": _timed_out,
    "INTERNAL_FAULT": _fault,
    "STORE_UNAVAILABLE": _no_store,
    "SHUTTING_DOWN": _draining,
    "CONNECTION_AGED": _aged,
}
"""
What to call for each reason.
"""


async def full_backlog(directory: Path) -> status_pb2.Status:
    """
    Let one account have its share of what waits for its commit; return the status of one more
    event. BACKLOG_FULL needs no service, and a database that nothing is written to.
    """
    fill_data_directory(directory)
    engine = create_engine(f"sqlite:///{directory}/dispatch.db", application_name="tests")
    queue = SqliteQueue(engine)
    try:
        async with running_intake(engine, queue) as intake:
            flood = [shipped(f"e{number}") for number in range(50)]
            waiting = intake.waiting.submit(flood)
            try:
                await intake.accept(shipped("more"))
            except BacklogFull as full:
                await waiting.all()
                return to_status(full)
    finally:
        await queue.close()
        await engine.dispose()
    raise AssertionError("accepted")
