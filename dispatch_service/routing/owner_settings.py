"""
Settings of owners, as matching and retention need them. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from google.protobuf import duration_pb2

from shipedge.webhooks.config.v1 import owner_settings_pb2


@dataclass(frozen=True, slots=True)
class OwnerSettings:
    """
    Settings of an owner. None and the empty schedule stand for the defaults of the service.
    """

    features: frozenset[int] = frozenset()
    schedule: tuple[timedelta, ...] = ()
    payload_retention: timedelta | None = None
    log_retention: timedelta | None = None


DEFAULT_SETTINGS = OwnerSettings()


def compile_settings(message: owner_settings_pb2.OwnerSettings) -> OwnerSettings:
    return OwnerSettings(
        frozenset(message.features),
        read_schedule(message.default_retry_schedule.delays),
        message.payload_retention.ToTimedelta() or None,
        message.log_retention.ToTimedelta() or None,
    )


def read_schedule(delays: Iterable[duration_pb2.Duration]) -> tuple[timedelta, ...]:
    return tuple(delay.ToTimedelta() for delay in delays)
