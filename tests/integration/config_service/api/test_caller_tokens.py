"""
New tokens of callers, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest

from config_service.store import caller_store
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as pb
from shipedge.webhooks.config.v1.caller_pb2 import Caller as CallerMessage
from tests.integration.config_service.api.test_callers import (
    created,
    identified,
    last_change,
    refused,
    update,
)
from tests.integration.config_service.conftest import Running
from tests.integration.config_service.store.test_feed import next_change, snapshot, watch

pytestmark = pytest.mark.anyio


async def rotate(running: Running, **fields: Any) -> CallerMessage:
    """
    Make a new token for the caller `script`.
    """
    request = pb.RotateCallerTokenRequest(**({"name": "callers/script"} | fields))
    return await running.admin.RotateCallerToken(request)


async def test_from_token_to_certificate_and_back(running: Running) -> None:
    """
    A caller has either: with a certificate the tokens end, and none is made.
    """
    made = await created(running)
    await update(running, certificate_identity="script.internal")
    assert await identified(running, made.token) == ""
    refusal = await refused(rotate(running))
    assert (refusal.code, refusal.reason) == ("FAILED_PRECONDITION", "CALLER_USES_CERTIFICATE")

    # The name of its own certificate is not that of another.
    await update(running, certificate_identity="script.internal", display_name="x")
    await update(running, "certificate_identity")
    assert await identified(running, made.token) == ""
    assert await identified(running, (await rotate(running)).token) == made.name


async def test_rotation_with_overlap(running: Running) -> None:
    """
    The old token lets in beside the new one for the grace period; both hashes are in the feed.
    """
    made = await created(running)
    stream = watch(running)
    await snapshot(stream)
    second = await rotate(running)
    assert second.token not in {"", made.token}
    assert await identified(running, made.token) == made.name
    assert await identified(running, second.token) == made.name
    (change,) = (await next_change(stream)).changes
    new, old = change.caller.tokens
    assert (new.HasField("expire_time"), old.HasField("expire_time")) == (False, True)
    assert old.expire_time == second.old_token_expire_time
    assert await last_change(running) == ("RotateCallerToken", ["token"])

    third = await rotate(running, grace_period=timedelta())
    assert [
        await identified(running, token) for token in (made.token, second.token, third.token)
    ] == ["", "", made.name]
    assert not third.HasField("old_token_expire_time")
    long = await refused(rotate(running, grace_period=timedelta(days=31)))
    assert long.faults[0].field == "grace_period"


async def test_repeated_rotation_shows_no_token(running: Running) -> None:
    """
    A call that is repeated with its request id makes no second token.
    """
    await created(running)
    request_id = str(uuid.uuid4())
    first = await rotate(running, request_id=request_id)
    again = await rotate(running, request_id=request_id)
    assert (again.token, again.revision) == ("", first.revision)
    assert await identified(running, first.token) == "callers/script"


@pytest.mark.slow
async def test_tokens_are_bounded(running: Running) -> None:
    """
    One token too many ends the oldest.
    """
    tokens = [(await created(running)).token]
    tokens += [(await rotate(running)).token for _ in range(caller_store.MOST_TOKENS)]
    let_in = [bool(await identified(running, token)) for token in tokens]
    assert let_in == [False, *[True] * caller_store.MOST_TOKENS]
