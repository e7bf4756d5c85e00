"""
The settings of the console.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from console.web.sealing import KEY_BYTES

_ENVIRONMENT = "SHIPEDGE_ENVIRONMENT"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")

DEFAULTS: Mapping[str, str] = {
    "SHIPEDGE_CONSOLE_LISTEN": "127.0.0.1:50080",
    "SHIPEDGE_CONSOLE_CONFIG_ADDRESS": "127.0.0.1:50051",
    "SHIPEDGE_CONSOLE_DISPATCH_ADDRESS": "127.0.0.1:50052",
    "SHIPEDGE_CONSOLE_HOSTS": "127.0.0.1,localhost,[::1]",
    "SHIPEDGE_CONSOLE_CERTIFICATE_FILE": "",
    "SHIPEDGE_CONSOLE_TLS_KEY_FILE": "",
    "SHIPEDGE_CONSOLE_KEY_FILE": "",
    "SHIPEDGE_TLS_CA_FILE": "",
}
_ADDRESSES = tuple(DEFAULTS)[:3]
_OF_PRODUCTION = tuple(DEFAULTS)[3:]


class SettingsInvalidError(Exception):
    """
    The settings are invalid. The message names each problem and the allowed values.
    """


@dataclass(frozen=True, slots=True)
class Settings:
    """
    Where the console listens, and where the services do, each as `host:port`; the names of hosts
    that it answers under, joined by commas. In *production* readers sign in: paths of the
    certificate that browsers see, of its key, of the key that seals sessions, and of the authority
    of the services' certificates.
    """

    listen: str = DEFAULTS["SHIPEDGE_CONSOLE_LISTEN"]
    config_address: str = DEFAULTS["SHIPEDGE_CONSOLE_CONFIG_ADDRESS"]
    dispatch_address: str = DEFAULTS["SHIPEDGE_CONSOLE_DISPATCH_ADDRESS"]
    hosts: str = DEFAULTS["SHIPEDGE_CONSOLE_HOSTS"]
    certificate_file: str = ""
    tls_key_file: str = ""
    key_file: str = ""
    ca_file: str = ""
    production: bool = False

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

    def names(self) -> list[str]:
        """
        Return the names of hosts that the console answers under.
        """
        return [name.strip() for name in self.hosts.split(",") if name.strip()]


def read_settings(environment: Mapping[str, str]) -> Settings:
    """
    Read the settings from *environment*. Raises `SettingsInvalidError` with all problems.
    """
    given = {name: environment.get(name, default) for name, default in DEFAULTS.items()}
    production = environment.get(_ENVIRONMENT, "production") != "development"
    problems = list(_problems(given, environment))
    problems += _of_production(given, environment) if production else _of_development(given)
    if problems:
        raise SettingsInvalidError("\n".join(problems))
    return Settings(
        listen=given["SHIPEDGE_CONSOLE_LISTEN"],
        config_address=given["SHIPEDGE_CONSOLE_CONFIG_ADDRESS"],
        dispatch_address=given["SHIPEDGE_CONSOLE_DISPATCH_ADDRESS"],
        hosts=given["SHIPEDGE_CONSOLE_HOSTS"],
        certificate_file=given["SHIPEDGE_CONSOLE_CERTIFICATE_FILE"],
        tls_key_file=given["SHIPEDGE_CONSOLE_TLS_KEY_FILE"],
        key_file=given["SHIPEDGE_CONSOLE_KEY_FILE"],
        # In development the services have no TLS.
        ca_file=given["SHIPEDGE_TLS_CA_FILE"] if production else "",
        production=production,
    )


def read_key(path: str) -> bytes:
    """
    Read the key that seals sessions. Raises `ValueError` if it is none, `OSError` if it cannot be
    read.
    """
    key = b64decode(Path(path).read_text().strip(), validate=True)
    if len(key) != KEY_BYTES:
        raise ValueError(f"it has {len(key)} bytes")
    return key


def _problems(given: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(environment):
        if name.startswith("SHIPEDGE_CONSOLE_") and name not in DEFAULTS:
            yield f"{name} is not a setting; allowed are {', '.join(DEFAULTS)}"
    for name in _ADDRESSES:
        if not _is_address(given[name]):
            yield f"{name} must be host:port, for example {DEFAULTS[name]}"


def _of_development(given: Mapping[str, str]) -> Iterator[str]:
    """
    Yield what is wrong where nobody signs in: whoever reaches the console may do everything.
    """
    if given["SHIPEDGE_CONSOLE_LISTEN"].rpartition(":")[0] not in _LOOPBACK:
        yield f"SHIPEDGE_CONSOLE_LISTEN must have one of the hosts {_LOOPBACK} in development"
    if given["SHIPEDGE_CONSOLE_HOSTS"] != DEFAULTS["SHIPEDGE_CONSOLE_HOSTS"]:
        yield "SHIPEDGE_CONSOLE_HOSTS is for production: in development nobody signs in"


def _of_production(given: Mapping[str, str], environment: Mapping[str, str]) -> Iterator[str]:
    missing = [name for name in _OF_PRODUCTION if not environment.get(name)]
    for name in missing:
        yield f"{name} is needed in production ({_ENVIRONMENT}=development needs none)"
    for name in _OF_PRODUCTION:
        if name.endswith("_FILE") and name not in missing and not Path(given[name]).is_file():
            yield f"{name} must name a file that can be read"
    if "*" in given["SHIPEDGE_CONSOLE_HOSTS"]:
        yield "SHIPEDGE_CONSOLE_HOSTS must be names of hosts, joined by commas"
    try:
        if Path(given["SHIPEDGE_CONSOLE_KEY_FILE"]).is_file():
            read_key(given["SHIPEDGE_CONSOLE_KEY_FILE"])
    except (ValueError, OSError):
        yield (
            "SHIPEDGE_CONSOLE_KEY_FILE must hold the base64 of 32 random bytes"
            " (openssl rand -base64 32)"
        )


def _is_address(value: str) -> bool:
    host, _, port = value.rpartition(":")
    return bool(host) and port.isdecimal() and int(port) <= 65_535  # noqa: PLR2004
