"""
The rules on settings of owners. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from config_service.rules.refusals import refuse
from config_service.rules.subscriptions import schedule_faults
from shipedge.webhooks.config.v1.owner_settings_pb2 import OwnerSettings
from shipedge.webhooks.events.v1.catalogue_pb2 import OwnerFeature

_DAY = timedelta(days=1)
_LONGEST = {"payload_retention": timedelta(days=90), "log_retention": timedelta(days=400)}


def check(settings: OwnerSettings) -> None:
    """
    Check settings. Raises `InvalidArgument` with all faults.
    """
    refuse("The settings are not valid.", "settings", _faults(settings))


def _faults(settings: OwnerSettings) -> Iterator[tuple[str, str]]:
    known = OwnerFeature.values()
    for index, feature in enumerate(settings.features):
        if feature == 0 or feature not in known:
            yield f"features[{index}]", f"must be one of {', '.join(OwnerFeature.keys()[1:])}"
    if settings.HasField("default_retry_schedule"):
        field = "default_retry_schedule.delays"
        for fault in schedule_faults(settings.default_retry_schedule.delays, field):
            yield fault.field, fault.description
    for name, longest in _LONGEST.items():
        if settings.HasField(name):  # type: ignore[arg-type]
            span = getattr(settings, name).ToTimedelta()
            if not _DAY <= span <= longest:
                yield name, f"must be 1 to {longest.days} days"
