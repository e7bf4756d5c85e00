"""
Settings of owners over the wire, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import pytest

from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.owner_settings_pb2 import OwnerSettings
from shipedge.webhooks.events.v1.catalogue_pb2 import OWNER_FEATURE_INVENTORY_MIRROR
from tests.integration.config_service.conftest import Running
from tests.support.config_calls import OWNER, create, error

pytestmark = pytest.mark.anyio


async def test_mirror_needs_the_feature_of_its_owner(running: Running) -> None:
    """
    With the feature in the settings the mirror may be subscribed to.
    """
    refused = await error(create(running, event_type="inventory/mirror"))
    assert (refused.code, refused.reason) == ("FAILED_PRECONDITION", "FEATURE_MISSING")

    settings = OwnerSettings(name=f"{OWNER}/settings", features=[OWNER_FEATURE_INVENTORY_MIRROR])
    await running.config.UpdateOwnerSettings(pb.UpdateOwnerSettingsRequest(settings=settings))

    assert (await create(running, event_type="inventory/mirror")).name
    got = await running.config.GetOwnerSettings(
        pb.GetOwnerSettingsRequest(name=f"{OWNER}/settings")
    )
    assert list(got.features) == [OWNER_FEATURE_INVENTORY_MIRROR]


async def test_settings_are_checked(running: Running) -> None:
    """
    Settings that cannot be are refused with their fields.
    """
    settings = OwnerSettings(name=f"{OWNER}/settings", features=[99])  # type: ignore[list-item]
    settings.payload_retention.seconds = 1

    refused = await error(
        running.config.UpdateOwnerSettings(pb.UpdateOwnerSettingsRequest(settings=settings))
    )

    assert {it.field for it in refused.faults} == {
        "settings.features[0]",
        "settings.payload_retention",
    }
