"""
The settings of a service as a table for people.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import SecretStr

from service_runtime.settings.common import CommonSettings
from service_runtime.settings.secret_files import SUFFIX


def describe(kind: type[CommonSettings]) -> list[tuple[str, str, str]]:
    """
    Return (name, default, meaning) of each setting of a service.
    """
    rows = []
    for field in kind.model_fields.values():
        name = str(field.alias)
        rows.append((name, _shown_default(field.get_default()), str(field.description)))
        if field.annotation is SecretStr:
            text = f"file with the value of `{name}`, which not all users may read"
            rows.append((name + SUFFIX, "", text))
    return rows


def _shown_default(default: Any) -> str:
    if isinstance(default, timedelta):
        return f"{default.total_seconds():.10g}s"
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return "" if default is None or isinstance(default, SecretStr) else str(default)
