"""
Streams that stay open when their caller is gone or may do less.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask

from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_admin_service_pb2
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from tests.attacks.harness.model import Attack, Verdict
from tests.attacks.harness.setups import NOBODY
from tests.attacks.harness.stage import Stage, serves
from tests.attacks.idle_streams import KINDS

MOST_SECONDS = 3.0
OPEN_SECONDS = 2.0
EXPIRES_SECONDS = 15.0
NAME = f"callers/{NOBODY}"
_BOTH = (Caller.ROLE_PUBLISHER, Caller.ROLE_READER)
_REVOKED = ("UNAUTHENTICATED", "CALLER_REVOKED")
_NARROWED = ("PERMISSION_DENIED", "CALLER_FORBIDDEN")

Change = Callable[[Stage], Awaitable[None]]


async def _open(stage: Stage, kind: str) -> Any:
    package, path, message = KINDS[kind]
    connection: Any = await stage.connect(NOBODY, package)
    if kind == "publish":
        return connection.stream_stream(path)()
    return connection.unary_stream(path)(message)


async def _ended(stream: Any) -> tuple[float, tuple[str, str]]:
    try:
        while await stream.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        detail = read_error(error)
        return time.monotonic(), (detail.code, detail.reason)
    return time.monotonic(), ("OK", "")


async def _stays(stage: Stage, kind: str) -> bool:
    stream = await _open(stage, kind)
    ending = asyncio.ensure_future(_ended(stream))
    await asyncio.wait([ending], timeout=0.5)
    stream.cancel()
    return not ending.done()


async def revoked(
    stage: Stage, change: Change, outcomes: set[tuple[str, str]], *, seconds: float = 0.0
) -> Verdict:
    """
    Open a stream of each kind, change the caller, and wait for their ends. A caller that
    expires by itself does so *seconds* after it was created.
    """
    verdict = Verdict()
    created = time.monotonic()
    await stage.create(NOBODY, "accounts/100", *_BOTH, seconds=seconds)
    for kind in ("attempts", "endpoints"):
        await serves(lambda kind=kind: _stays(stage, kind))  # type: ignore[misc]
    streams = {kind: await _open(stage, kind) for kind in KINDS}
    endings = {kind: asyncio.ensure_future(_ended(it)) for kind, it in streams.items()}
    await asyncio.sleep(OPEN_SECONDS)
    verdict.expect(not any(it.done() for it in endings.values()), "streams are open before")
    await change(stage)
    changed = max(time.monotonic(), created + seconds)
    await asyncio.wait(endings.values(), timeout=seconds + 20)
    for kind, ending in endings.items():
        if not ending.done():
            verdict.expect(False, f"{kind} ends")
            streams[kind].cancel()
            continue
        at, outcome = ending.result()
        verdict.expect(outcome in outcomes, f"{kind} ends with {outcome}")
        verdict.expect(at - changed < MOST_SECONDS, f"after {at - changed:.1f} s", late=True)
    return verdict


async def _delete(stage: Stage) -> None:
    request = config_admin_service_pb2.DeleteCallerRequest(name=NAME)
    await (await stage.admin()).DeleteCaller(request)


async def _narrow(stage: Stage) -> None:
    fewer = Caller(name=NAME, roles=[Caller.ROLE_READER], owners=["accounts/101"])
    mask = FieldMask(paths=["roles", "owners"])
    request = config_admin_service_pb2.UpdateCallerRequest(caller=fewer, update_mask=mask)
    await (await stage.admin()).UpdateCaller(request)


async def _wait(_stage: Stage) -> None:
    pass


async def deleted(stage: Stage) -> Verdict:
    return await revoked(stage, _delete, {_REVOKED})


async def narrowed(stage: Stage) -> Verdict:
    return await revoked(stage, _narrow, {_NARROWED})


async def expired(stage: Stage) -> Verdict:
    return await revoked(stage, _wait, {_REVOKED}, seconds=EXPIRES_SECONDS)


PROMISE = "all open streams of a caller end within 3 s of"

ATTACKS = [
    Attack(f"callers.{name}", scenario, f"{PROMISE} {what}", alone=False)
    for name, scenario, what in (
        ("deleted", deleted, "its deletion"),
        ("narrowed", narrowed, "the loss of a role and an owner"),
        ("expired", expired, "its expiry"),
    )
]
