"""
Limits of the store that a busy machine does not reach. The services keep theirs, and so do the
tests of the limits themselves.
"""

from __future__ import annotations

from typing import Any

import pytest

from service_runtime.database import engine
from service_runtime.database.sessions import STATEMENT_SECONDS, connect_args

_SECONDS = 90.0
_MILLISECONDS = str(round(_SECONDS * 1000))


def give_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Let engines that this process makes have time to connect, for statements and between them.
    """
    monkeypatch.setattr(engine, "connect_args", _patient_args)


def _patient_args(application_name: str, statement_seconds: float | None) -> dict[str, Any]:
    made = connect_args(application_name, statement_seconds)
    if statement_seconds != STATEMENT_SECONDS:
        return made
    limits = ("statement_timeout", "idle_in_transaction_session_timeout")
    settings = made["server_settings"] | dict.fromkeys(limits, _MILLISECONDS)
    return made | {"timeout": _SECONDS, "command_timeout": _SECONDS, "server_settings": settings}
