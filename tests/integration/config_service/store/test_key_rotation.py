"""
Wrapping sealed values anew, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from config_service.store import subscription_store
from config_service.store.schema import subscriptions
from config_service.store.sealed_columns import SEALED_COLUMNS
from config_service.store.signing import keys
from service_runtime.database.engine import reading, writing
from service_runtime.keys.keyring import KeyRing
from service_runtime.keys.rotation import KeysMissingError, check_keys, rotate
from service_runtime.rpc import names
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as pb
from shipedge.webhooks.config.v1.signing_key_pb2 import CreateSigningKeyRequest, SigningKey
from tests.integration.config_service.api.test_credentials import certified, created
from tests.integration.config_service.conftest import Running
from tests.support.config_calls import OWNER, create, error

pytestmark = pytest.mark.anyio

KEY = b"k" * 32  # the key of the running service
BOTH = KeyRing({"next": b"n" * 32, "test": KEY}, b"h" * 32)
NEXT = KeyRing({"next": b"n" * 32}, b"h" * 32)


async def test_every_value_is_wrapped_anew(running: Running) -> None:
    """
    Some at a time, until the new key alone opens everything.
    """
    made = await create(running)
    await created(running)
    await certified(running)
    shared = await running.config.CreateSigningKey(
        CreateSigningKeyRequest(parent=OWNER, signing_key=SigningKey(display_name="shop"))
    )
    async with writing(running.engine) as db:
        assert await rotate(db, BOTH, SEALED_COLUMNS, 3) == (3, 6)
    async with reading(running.engine) as db:
        with pytest.raises(KeysMissingError, match="6 values"):
            await check_keys(db, NEXT, SEALED_COLUMNS)
        await check_keys(db, BOTH, SEALED_COLUMNS)
    async with writing(running.engine) as db:
        assert await rotate(db, BOTH, SEALED_COLUMNS, 6) == (6, 0)
        assert await rotate(db, BOTH, SEALED_COLUMNS, 3) == (0, 0)
    async with reading(running.engine) as db:
        await check_keys(db, NEXT, SEALED_COLUMNS)
        row = await subscription_store.find(db, *names.split(made.name))
        assert row is not None
        (message,) = await subscription_store.feed_subscriptions(db, [row], NEXT)
        (key,) = await keys.feed_signing_keys(db, [shared.name], NEXT)
    assert message.signing_secrets[0].secret == made.signing_secret
    assert key.signing_key.display_name == "shop"
    assert key.signing_secrets[0].secret == shared.secret
    assert key.signing_secrets[0].signing_key.startswith("whsk_")


async def test_nothing_to_rotate(running: Running) -> None:
    """
    Under the first key already: nothing is done, and that is said.
    """
    await create(running)
    answer = await running.admin.RotateEncryptionKeys(pb.RotateEncryptionKeysRequest())
    assert (answer.rotated_count, answer.remaining_count, answer.key_id) == (0, 0, "test")
    wrong = running.admin.RotateEncryptionKeys(pb.RotateEncryptionKeysRequest(limit=10_001))
    assert (await error(wrong)).faults[0].field == "limit"


@pytest.mark.parametrize("damaged", [b"not sealed at all", b""])
async def test_damaged_value_is_no_missing_key(running: Running, damaged: bytes) -> None:
    """
    One value that cannot be read does not keep a service from starting, or a key from changing.
    """
    made, _ = await create(running), await create(running)
    owner, subscription_id = names.split(made.name)
    columns = subscriptions.c
    is_made = sa.and_(columns.owner == owner, columns.subscription_id == subscription_id)
    async with writing(running.engine) as db:
        await db.execute(sa.update(subscriptions).where(is_made).values(sealed_config=damaged))

    async with writing(running.engine) as db:
        await check_keys(db, BOTH, SEALED_COLUMNS)
        assert await rotate(db, BOTH, SEALED_COLUMNS, 10) == (6, 0)
        await check_keys(db, NEXT, SEALED_COLUMNS)
