"""
The services to call and how: from a file of profiles, the environment and flags.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import yaml

PREFIX: Final = "WEBHOOKSCTL_"
FILE: Final = f"{PREFIX}FILE"
PROFILE: Final = f"{PREFIX}PROFILE"

_PATHS: Final = ("ca_file", "certificate_file", "key_file", "token_file")


class ProfileInvalidError(Exception):
    """
    The settings are invalid. The message names the setting and what is allowed.
    """


@dataclass(frozen=True, slots=True)
class Profile:
    """
    Addresses as `host:port`, an owner for commands that name none, the paths of TLS files in PEM,
    and a bearer token or the path of its file.
    """

    config_address: str = "127.0.0.1:50051"
    dispatch_address: str = "127.0.0.1:50052"
    owner: str = ""
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    token: str = ""
    token_file: str = ""

    @property
    def uses_tls(self) -> bool:
        """
        Whether connections have TLS: always, but to this machine where no file or token is named.
        """
        named = (self.ca_file, self.certificate_file, self.token, self.token_file)
        addresses = (self.config_address, self.dispatch_address)
        return any(named) or not all(map(_is_loopback, addresses))

    def bearer_token(self) -> str:
        """
        Return the token, empty if there is none. Raises `ProfileInvalidError` if its file cannot
        be read.
        """
        return read_file("token_file", self.token_file).decode().strip() or self.token


FIELDS: Final = tuple(field.name for field in fields(Profile))


def read_file(setting: str, path: str) -> bytes:
    """
    Return the content of the file of a setting; nothing without one. Raises `ProfileInvalidError`.
    """
    if not path:
        return b""
    try:
        return Path(path).expanduser().read_bytes()
    except OSError as refused:
        raise ProfileInvalidError(f"{setting}: {path}: {refused.strerror}") from refused


def default_file(environment: Mapping[str, str]) -> Path:
    """
    Return where the file of profiles is.
    """
    if named := environment.get(FILE):
        return Path(named)
    home = environment.get("XDG_CONFIG_HOME") or "~/.config"
    return Path(home).expanduser() / "webhooksctl" / "profiles.yaml"


def read_profile(environment: Mapping[str, str], flags: Mapping[str, str]) -> Profile:
    """
    Return the profile that *flags* (fields, and `profile`) and *environment* choose. A flag counts
    more than the environment, that more than the file.

    Raises `ProfileInvalidError`.
    """
    _refuse_unknown(environment)
    wanted = flags.get("profile") or environment.get(PROFILE, "")
    found = _from_file(default_file(environment), wanted, required=FILE in environment)
    for name in FIELDS:
        given = flags.get(name) or environment.get(PREFIX + name.upper(), "")
        if given:
            found = replace(found, **{name: given})
    _check(found)
    return found


def _refuse_unknown(environment: Mapping[str, str]) -> None:
    known = {FILE, PROFILE, *(PREFIX + name.upper() for name in FIELDS)}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            allowed = ", ".join(sorted(known))
            raise ProfileInvalidError(f"{name} is no setting; allowed are {allowed}")


def _from_file(path: Path, wanted: str, *, required: bool) -> Profile:
    if not path.exists() and not required and not wanted:
        return Profile()
    content = _mapping(_parsed(path), f"{path}")
    if unknown := content.keys() - {"default", "profiles"}:
        raise ProfileInvalidError(f"{path}: {min(unknown)}: allowed are default and profiles")
    profiles = _mapping(content.get("profiles", {}), f"{path}: profiles")
    name = wanted or content.get("default", "")
    if not name:
        return Profile()
    if name not in profiles:
        there = ", ".join(sorted(profiles)) or "none"
        raise ProfileInvalidError(f"{path} has no profile {name!r}; there are: {there}")
    return _profile_of(_mapping(profiles[name], f"{path}: {name}"), path)


def _parsed(path: Path) -> Any:
    try:
        return yaml.safe_load(path.read_text())
    except OSError as refused:
        raise ProfileInvalidError(f"{path}: {refused.strerror}") from refused
    except (yaml.YAMLError, UnicodeDecodeError) as refused:
        raise ProfileInvalidError(f"{path} is no YAML: {refused}") from refused


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ProfileInvalidError(f"{where} must be a mapping")
    return value


def _profile_of(given: Mapping[str, Any], path: Path) -> Profile:
    """
    Return a profile of the file; paths in it are relative to the file.
    """
    for name, value in given.items():
        if name not in FIELDS or name == "token":
            allowed = ", ".join(field for field in FIELDS if field != "token")
            raise ProfileInvalidError(f"{path}: {name} is no setting; allowed are {allowed}")
        if not isinstance(value, str):
            raise ProfileInvalidError(f"{path}: {name} must be a text")
    located = {
        name: str(path.parent / Path(value).expanduser()) if name in _PATHS else value
        for name, value in given.items()
    }
    return Profile(**located)


def _check(profile: Profile) -> None:
    for name in ("config_address", "dispatch_address"):
        host, _, port = getattr(profile, name).rpartition(":")
        if not host or not port.isdecimal():
            raise ProfileInvalidError(f"{name} must be host:port, 127.0.0.1:50051 for example")
    if bool(profile.certificate_file) != bool(profile.key_file):
        raise ProfileInvalidError("certificate_file and key_file belong together: give both")


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
