"""
Reads the settings of a service from the environment.

All problems are reported together. A variable of ours that no setting has is a problem, so
that a misspelt name does not go unnoticed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from service_runtime.settings.common import CommonSettings

COMMON_PREFIX = "SHIPEDGE_"
SERVICE_PREFIXES = ("SHIPEDGE_CONFIG_", "SHIPEDGE_DISPATCH_")


class SettingsInvalidError(Exception):
    """
    The settings are invalid. The message names each problem and the allowed values.
    """


SettingsT = TypeVar("SettingsT", bound=CommonSettings)


def read_settings(kind: type[SettingsT], environment: Mapping[str, str]) -> SettingsT:
    """
    Read the settings of a service from *environment*.

    Raises `SettingsInvalidError` with all problems; their texts hold no values.
    """
    problems = unknown_names(kind, environment)
    known = {name: environment[name] for name in names(kind) if name in environment}
    settings = None
    try:
        settings = kind.model_validate(known)
    except ValidationError as refused:
        problems += [_problem(error) for error in refused.errors(include_input=False)]
    if problems or settings is None:
        raise SettingsInvalidError("\n".join(problems))
    return settings


def names(kind: type[CommonSettings]) -> list[str]:
    """
    Return the names of the variables that a service reads.
    """
    return [str(field.alias) for field in kind.model_fields.values()]


def unknown_names(kind: type[CommonSettings], environment: Mapping[str, str]) -> list[str]:
    """
    Return a problem for each variable of ours that no setting has.

    Variables of the other service are no problem: both may share an environment.
    """
    known = names(kind)
    others = tuple(
        prefix for prefix in SERVICE_PREFIXES if not any(name.startswith(prefix) for name in known)
    )
    unknown = [
        name
        for name in sorted(environment)
        if name.startswith(COMMON_PREFIX) and not name.startswith(others) and name not in known
    ]
    return [f"{name} is not a setting{_suggestion(name, known)}" for name in unknown]


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _problem(error: ErrorDetails) -> str:
    text = error["msg"].removeprefix("Value error, ")
    name = ".".join(str(part) for part in error["loc"])
    return f"{name}: {text}" if name else text
