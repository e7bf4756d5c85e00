"""
The rows that the benchmark writes for many subscriptions.
"""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from config_service.rules.subscriptions import normalised
from config_service.store import associated_data
from config_service.store.schema import feed_items, signing_secrets, subscriptions
from config_service.store.store import Sealing
from service_runtime.keys.keyring import KeyRing
from service_runtime.rules.urls import UrlRules
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from tests.bench.bulk_subscriptions import rows_of, subscription_to

RING = KeyRing({"a": b"k" * 32}, b"h" * 32)
WANTED = normalised(subscription_to("https://example.com/hooks"))
ROWS = rows_of(WANTED, ("accounts/100", "sub-0"), 1, Sealing(RING, UrlRules()))


@pytest.mark.parametrize(
    ("table", "row"),
    list(zip((subscriptions, signing_secrets, feed_items), ROWS, strict=True)),
)
def test_rows_fill_all_required_columns(table: sa.Table, row: dict[str, object]) -> None:
    """
    Every NOT NULL column has a value, and every value has a column.
    """
    assert {column.name for column in table.columns if not column.nullable} <= set(row)
    assert set(row) <= set(table.columns.keys())


def test_config_service_can_open_the_rows() -> None:
    """
    Values are sealed for the same associated data as in the config service.
    """
    subscription, secret, _ = ROWS
    config = RING.open(
        subscription["sealed_config"],
        associated_data.subscription("accounts/100", subscription["subscription_id"]),
    )
    associated = associated_data.signing_secret("accounts/100", "sub-0", secret["secret_id"])

    assert Subscription.FromString(config) == WANTED
    assert RING.open(secret["sealed_secret"], associated).startswith(b"whsec_")
