"""
Reads the settings of a service from the environment.

All problems are reported together. A variable of ours that no setting has is a problem, so
that a misspelt name does not go unnoticed.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import TypeVar

from pydantic import JsonValue, ValidationError
from pydantic_core import ErrorDetails

from service_runtime.settings.common import SEPARATOR, CommonSettings
from service_runtime.settings.secret_files import SUFFIX, read_secret_files, secret_names

COMMON_PREFIX = "SHIPEDGE_"
SERVICE_PREFIXES = ("SHIPEDGE_CONFIG_", "SHIPEDGE_CONSOLE_", "SHIPEDGE_DISPATCH_")

NEVER_SUGGESTED: dict[str, JsonValue] = {"suggested": False}
"""
The mark of a setting that is not offered in place of a misspelt name.
"""


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
    files = read_secret_files(kind, environment)
    problems += files.problems.values()
    # A file that cannot be used is reported once, not as a missing value too.
    excused = tuple(f"{name} is required" for name in files.problems)
    known = {name: environment[name] for name in names(kind) if name in environment}
    known |= files.values
    settings = None
    try:
        settings = kind.model_validate(known)
    except ValidationError as refused:
        found = [line for error in refused.errors(include_input=False) for line in _lines(error)]
        problems += [line for line in found if not line.startswith(excused)]
    if problems or settings is None:
        raise SettingsInvalidError("\n".join(problems))
    return settings


def names(kind: type[CommonSettings]) -> list[str]:
    """
    Return the names of the variables that a service reads.
    """
    settings = [str(field.alias) for field in kind.model_fields.values()]
    return [*settings, *(name + SUFFIX for name in secret_names(kind))]


def unknown_names(kind: type[CommonSettings], environment: Mapping[str, str]) -> list[str]:
    """
    Return a problem for each variable of ours that no setting has.

    Variables of the other programs are no problem: they may share an environment.
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
    near = [name for name in known if name not in _never_suggested(kind)]
    return [f"{name} is not a setting{_suggestion(name, near)}" for name in unknown]


def _never_suggested(kind: type[CommonSettings]) -> set[str]:
    fields = kind.model_fields.values()
    return {str(field.alias) for field in fields if field.json_schema_extra == NEVER_SUGGESTED}


def _suggestion(name: str, known: Sequence[str]) -> str:
    # All names begin alike, so only what follows says whether two are near.
    by_rest = {_rest(each): each for each in known}
    near = difflib.get_close_matches(_rest(name), by_rest, n=1)
    return f"; did you mean {by_rest[near[0]]}?" if near else ""


def _rest(name: str) -> str:
    for prefix in SERVICE_PREFIXES:
        name = name.removeprefix(prefix)
    return name.removeprefix(COMMON_PREFIX)


def _lines(error: ErrorDetails) -> list[str]:
    text = error["msg"].removeprefix("Value error, ")
    name = ".".join(str(part) for part in error["loc"])
    return [f"{name}: {text}"] if name else text.split(SEPARATOR)
