"""
Settings from the environment: one class for each service, read once.

All problems are reported together, and a name that no setting has is a
problem too, so that a typo does not hide.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service_runtime.keys.keyring import KeyRing, development_ring, parse_key, parse_keys
from service_runtime.rpc.caller_directory import CallerDirectory, parse_fixed
from service_runtime.rules.addresses import AllowList
from service_runtime.rules.urls import UrlRules
from service_runtime.settings.types import Listen, Span, TextList

COMMON_PREFIX = "SHIPEDGE_"
SERVICE_PREFIXES = ("SHIPEDGE_CONFIG_", "SHIPEDGE_DISPATCH_")

LOOPBACK_TARGETS = ("127.0.0.0/8:*", "[::1/128]:*", "localhost:*")
"""
What development may deliver to beside public addresses.
"""


class SettingsInvalidError(Exception):
    """
    Settings cannot be used; the message names each with what is allowed.
    """


class CommonSettings(BaseSettings):
    """
    What both services need.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    environment: Literal["development", "production"] = Field(
        default="development",
        alias="SHIPEDGE_ENVIRONMENT",
        description="development allows plain text on loopback; production refuses what is unsafe",
    )
    data_dir: Path = Field(
        default=Path("data"),
        alias="SHIPEDGE_DATA_DIR",
        description="where SQLite files and the key of development lie",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", alias="SHIPEDGE_LOG_LEVEL", description="the least that is logged"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto",
        alias="SHIPEDGE_LOG_FORMAT",
        description="auto: console in development, one JSON object a line in production",
    )
    encryption_keys: SecretStr = Field(
        default=SecretStr(""),
        alias="SHIPEDGE_ENCRYPTION_KEYS",
        description="id:base64 of 32 bytes, by commas; the first seals, all open",
    )
    hash_key: SecretStr = Field(
        default=SecretStr(""),
        alias="SHIPEDGE_HASH_KEY",
        description="base64 of 32 bytes; what URLs are found by; never changes",
    )
    tls_certificate_file: Path | None = Field(
        default=None,
        alias="SHIPEDGE_TLS_CERTIFICATE_FILE",
        description="the service's certificate and chain, PEM",
    )
    tls_key_file: Path | None = Field(
        default=None, alias="SHIPEDGE_TLS_KEY_FILE", description="its key, PEM"
    )
    tls_ca_file: Path | None = Field(
        default=None,
        alias="SHIPEDGE_TLS_CA_FILE",
        description="the authority of callers' and services' certificates, PEM",
    )
    fixed_callers: TextList = Field(
        default=(),
        alias="SHIPEDGE_CALLERS",
        description="name=role+role by commas: names in certificates whose owners may do"
        " everything that the roles allow, for a first admin and the dispatch service",
    )
    allowed_targets: TextList = Field(
        default=(),
        alias="SHIPEDGE_ALLOWED_TARGETS",
        description="CIDR:port or host:port by commas; may be delivered to although not public",
    )
    grace: Span = Field(
        default=timedelta(seconds=20),
        alias="SHIPEDGE_GRACE",
        description="how long what is under way may take when the service stops",
    )

    @property
    def production(self) -> bool:
        """
        Whether what is unsafe is refused.
        """
        return self.environment == "production"

    @property
    def console_log(self) -> bool:
        """
        Whether logs are written for people.
        """
        return self.log_format == "console" or (self.log_format == "auto" and not self.production)

    @model_validator(mode="after")
    def _check_together(self) -> Self:
        if problems := [*self.common_problems(), *self.problems()]:
            raise ValueError("; ".join(problems))
        return self

    def problems(self) -> Sequence[str]:
        """
        Find what is wrong with the settings of a service together.
        """
        return ()

    def common_problems(self) -> Sequence[str]:
        """
        Find what is wrong with the common settings together.
        """
        problems = [*_key_problems(self.encryption_keys, self.hash_key)]
        try:
            self.allow_list()
        except ValueError as refused:
            problems.append(f"SHIPEDGE_ALLOWED_TARGETS: {refused}")
        try:
            parse_fixed(self.fixed_callers)
        except ValueError as refused:
            problems.append(f"SHIPEDGE_CALLERS: {refused}")
        if self.production:
            required = {
                "SHIPEDGE_CALLERS": self.fixed_callers,
                "SHIPEDGE_ENCRYPTION_KEYS": self.encryption_keys.get_secret_value(),
                "SHIPEDGE_HASH_KEY": self.hash_key.get_secret_value(),
                "SHIPEDGE_TLS_CERTIFICATE_FILE": self.tls_certificate_file,
                "SHIPEDGE_TLS_KEY_FILE": self.tls_key_file,
                "SHIPEDGE_TLS_CA_FILE": self.tls_ca_file,
            }
            missing = [name for name, value in required.items() if not value]
            problems += [f"{name} is required in production" for name in missing]
        return problems

    def tls_files(self) -> tuple[Path, Path, Path] | None:
        """
        Return certificate, key and authority; None where plain text is spoken.
        """
        files = (self.tls_certificate_file, self.tls_key_file, self.tls_ca_file)
        certificate, key, authority = files
        if certificate is None or key is None or authority is None:
            return None
        return certificate, key, authority

    def callers(self) -> CallerDirectory | None:
        """
        Return the directory of callers; None in development, where everybody may do everything.
        """
        return CallerDirectory(parse_fixed(self.fixed_callers)) if self.production else None

    def allow_list(self) -> AllowList:
        """
        Return what may be delivered to although it is not public: in development
        the loopback addresses too.
        """
        return AllowList.parse(
            [*self.allowed_targets, *(() if self.production else LOOPBACK_TARGETS)]
        )

    def url_rules(self) -> UrlRules:
        """
        Return the rules that the URLs of receivers must keep.
        """
        return UrlRules(allow_http=not self.production, allow=self.allow_list())

    def key_ring(self) -> KeyRing:
        """
        Return the key ring; in development without keys, the one of the data directory.
        """
        if not self.encryption_keys.get_secret_value():
            return development_ring(self.data_dir)
        return KeyRing(
            parse_keys(self.encryption_keys.get_secret_value()),
            parse_key(self.hash_key.get_secret_value(), "SHIPEDGE_HASH_KEY"),
        )


class ServiceSettings(CommonSettings):
    """
    What a service has beside the common settings: where it listens and its database.
    """

    listen: Listen
    database_url: str

    def common_problems(self) -> Sequence[str]:
        """
        Find what is wrong with the settings that both services have.
        """
        problems = [*super().common_problems()]
        if self.tls_files() is None and not _is_loopback(self.listen):
            problems.append(
                f"{type(self).model_fields['listen'].alias} must be a loopback address without TLS"
            )
        return problems

    def database(self) -> str:
        """
        Return the URL of the database: without a setting a file in the data directory.
        """
        return self.database_url or f"sqlite:///{self.data_dir.absolute()}/{self.database_name()}"

    def database_name(self) -> str:
        """
        Name the SQLite file.
        """
        raise NotImplementedError


def _is_loopback(listen: str) -> bool:
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _key_problems(keys: SecretStr, hash_key: SecretStr) -> list[str]:
    problems = []
    try:
        if keys.get_secret_value():
            parse_keys(keys.get_secret_value())
            parse_key(hash_key.get_secret_value(), "SHIPEDGE_HASH_KEY beside it")
    except ValueError as refused:
        problems.append(f"SHIPEDGE_ENCRYPTION_KEYS: {refused}")
    return problems


SettingsT = TypeVar("SettingsT", bound=CommonSettings)


def read_settings(kind: type[SettingsT], environment: Mapping[str, str]) -> SettingsT:
    """
    Read the settings of a service from *environment*.

    Raises `SettingsInvalidError` with all that is wrong, never a value.
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
    List the names of the variables that a service reads.
    """
    return [str(field.alias) for field in kind.model_fields.values()]


def unknown_names(kind: type[CommonSettings], environment: Mapping[str, str]) -> list[str]:
    """
    Find variables that no setting has, other than those of the other service.
    """
    known = names(kind)
    own = [name for name in known if name.startswith(SERVICE_PREFIXES)]
    mine = own[0].split("_")[1] if own else ""
    others = tuple(it for it in SERVICE_PREFIXES if it != f"{COMMON_PREFIX}{mine}_")
    unknown = [
        name
        for name in sorted(environment)
        if name.startswith(COMMON_PREFIX) and not name.startswith(others) and name not in known
    ]
    return [f"{name} is not a setting{_suggestion(name, known)}" for name in unknown]


def _suggestion(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _problem(error: Any) -> str:
    text = str(error["msg"]).removeprefix("Value error, ")
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {text}" if place else text
