"""
The settings of the console.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

_ENVIRONMENT = "SHIPEDGE_ENVIRONMENT"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

DEFAULTS: Mapping[str, str] = {
    "SHIPEDGE_CONSOLE_LISTEN": "127.0.0.1:50080",
    "SHIPEDGE_CONSOLE_CONFIG_ADDRESS": "127.0.0.1:50051",
    "SHIPEDGE_CONSOLE_DISPATCH_ADDRESS": "127.0.0.1:50052",
}


class SettingsInvalidError(Exception):
    """
    The settings are invalid. The message names each problem and the allowed values.
    """


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Where the console listens, and where the services do, each as `host:port`.
    """

    listen: str = DEFAULTS["SHIPEDGE_CONSOLE_LISTEN"]
    config_address: str = DEFAULTS["SHIPEDGE_CONSOLE_CONFIG_ADDRESS"]
    dispatch_address: str = DEFAULTS["SHIPEDGE_CONSOLE_DISPATCH_ADDRESS"]

    def host(self) -> str:
        """
        Return the host to listen on, IPv6 without brackets.
        """
        return self.listen.rpartition(":")[0].strip("[]")

    def port(self) -> int:
        """
        Return the port to listen on.
        """
        return int(self.listen.rpartition(":")[2])


def read_settings(environment: Mapping[str, str]) -> Settings:
    """
    Read the settings from *environment*. Raises `SettingsInvalidError` with all problems.
    """
    given = {name: environment.get(name, default) for name, default in DEFAULTS.items()}
    if problems := _problems(given, environment):
        raise SettingsInvalidError("\n".join(problems))
    return Settings(*given.values())


def _problems(given: Mapping[str, str], environment: Mapping[str, str]) -> Sequence[str]:
    problems = [
        f"{name} is not a setting; allowed are {', '.join(DEFAULTS)}"
        for name in sorted(environment)
        if name.startswith("SHIPEDGE_CONSOLE_") and name not in DEFAULTS
    ]
    problems += [
        f"{name} must be host:port, for example {DEFAULTS[name]}"
        for name, value in given.items()
        if not _is_address(value)
    ]
    if environment.get(_ENVIRONMENT, "production") != "development":
        problems.append(
            f"{_ENVIRONMENT} must be development: the console has no sign-in, so whoever reaches"
            " it may do everything"
        )
    if given["SHIPEDGE_CONSOLE_LISTEN"].rpartition(":")[0] not in _LOOPBACK:
        problems.append(f"SHIPEDGE_CONSOLE_LISTEN must have one of the hosts {_LOOPBACK}")
    return problems


def _is_address(value: str) -> bool:
    host, _, port = value.rpartition(":")
    return bool(host) and port.isdecimal() and int(port) <= 65_535  # noqa: PLR2004
