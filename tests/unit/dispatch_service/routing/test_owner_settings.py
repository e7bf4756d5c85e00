"""
Settings of owners as the feed brings them.
"""

from __future__ import annotations

from datetime import timedelta

from dispatch_service.routing.owner_settings import OwnerSettings, compile_settings
from shipedge.webhooks.config.v1 import owner_settings_pb2


def test_settings_are_read() -> None:
    """
    Features and the default schedule come from the feed.
    """
    made = owner_settings_pb2.OwnerSettings(features=[1])  # type: ignore[list-item]
    made.default_retry_schedule.delays.add(seconds=60)

    assert compile_settings(made) == OwnerSettings(frozenset({1}), (timedelta(minutes=1),))
