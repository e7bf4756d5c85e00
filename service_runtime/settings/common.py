"""
Settings that both services have, and the objects that are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from service_runtime.keys.keyring import (
    KeyRing,
    development_key_file,
    development_ring,
    parse_key,
    parse_keys,
)
from service_runtime.rpc.caller_directory import CallerDirectory, parse_fixed
from service_runtime.rules.addresses import AllowList
from service_runtime.rules.urls import UrlRules
from service_runtime.settings.environments import development_problems, production_problems
from service_runtime.settings.limits import LimitSettings
from service_runtime.settings.types import Span, TextList
from service_runtime.tls.current import CurrentTls
from service_runtime.tls.material import Purpose, TlsFiles

LOOPBACK_TARGETS = ("127.0.0.0/8:*", "[::1/128]:*", "localhost:*")
"""
Targets that development may deliver to besides public addresses.
"""

SEPARATOR = "\n"
"""
Separates the problems of combinations in one error.
"""


class CommonSettings(LimitSettings):
    model_config = SettingsConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    environment: Literal["development", "production"] = Field(
        default="production",
        alias="SHIPEDGE_ENVIRONMENT",
        description="production needs TLS, keys and callers; development lets every program on"
        " this machine do everything, and listens on loopback only",
    )
    data_dir: Path = Field(
        default=Path("data"),
        alias="SHIPEDGE_DATA_DIR",
        description="folder of the SQLite files and of the development key",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", alias="SHIPEDGE_LOG_LEVEL", description="minimum log level"
    )
    log_format: Literal["auto", "console", "json"] = Field(
        default="auto",
        alias="SHIPEDGE_LOG_FORMAT",
        description="auto: console in development, one JSON object a line in production",
    )
    traces: Literal["off", "otlp"] = Field(
        default="off",
        alias="SHIPEDGE_TRACES",
        description="otlp: export spans with OpenTelemetry, which has settings of its own"
        " (`OTEL_…`); needs the extra `otel`",
    )
    encryption_keys: SecretStr = Field(
        default=SecretStr(""),
        alias="SHIPEDGE_ENCRYPTION_KEYS",
        description="comma-separated id:base64(32 bytes); the first key encrypts, all keys decrypt",
    )
    hash_key: SecretStr = Field(
        default=SecretStr(""),
        alias="SHIPEDGE_HASH_KEY",
        description="base64 of 32 bytes; makes URLs searchable in the log; must never change",
    )
    tls_certificate_file: Path | None = Field(
        default=None,
        alias="SHIPEDGE_TLS_CERTIFICATE_FILE",
        description="the service's certificate and chain, PEM",
    )
    tls_key_file: Path | None = Field(
        default=None, alias="SHIPEDGE_TLS_KEY_FILE", description="the key of that certificate, PEM"
    )
    tls_ca_file: Path | None = Field(
        default=None,
        alias="SHIPEDGE_TLS_CA_FILE",
        description="authority of the certificates of callers and services, PEM",
    )
    tls_crl_file: Path | None = Field(
        default=None,
        alias="SHIPEDGE_TLS_CRL_FILE",
        description="certificates of callers that the authority has revoked, PEM",
    )
    fixed_callers: TextList = Field(
        default=(),
        alias="SHIPEDGE_CALLERS",
        description="comma-separated name=role+role: names in certificates whose holders have"
        " these roles for all owners; for a first admin and the dispatch service",
    )
    allowed_targets: TextList = Field(
        default=(),
        alias="SHIPEDGE_ALLOWED_TARGETS",
        description="comma-separated CIDR:port or host:port; allowed targets that are not public",
    )
    audit_retention: Span = Field(
        default=timedelta(days=730),
        alias="SHIPEDGE_AUDIT_RETENTION",
        description="retention of entries of the audit log",
    )
    grace: Span = Field(
        default=timedelta(seconds=20),
        alias="SHIPEDGE_GRACE",
        description="time for calls and attempts in flight when the service stops",
    )

    @property
    def production(self) -> bool:
        """
        Whether unsafe settings are refused.
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
            raise ValueError(SEPARATOR.join(problems))
        return self

    def problems(self) -> Sequence[str]:
        """
        Return the problems of combinations of a service's own settings.
        """
        return ()

    def common_problems(self) -> Sequence[str]:
        """
        Return the problems of combinations of common settings.
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
            problems += production_problems(self._required())
        else:
            problems += development_problems(self.listeners(), self._only_in_production())
        return problems

    def _required(self) -> Mapping[str, object]:
        return {
            "SHIPEDGE_CALLERS": self.fixed_callers,
            "SHIPEDGE_ENCRYPTION_KEYS": self.encryption_keys.get_secret_value(),
            "SHIPEDGE_HASH_KEY": self.hash_key.get_secret_value(),
            "SHIPEDGE_TLS_CERTIFICATE_FILE": self.tls_certificate_file,
            "SHIPEDGE_TLS_KEY_FILE": self.tls_key_file,
            "SHIPEDGE_TLS_CA_FILE": self.tls_ca_file,
        }

    def _only_in_production(self) -> Mapping[str, object]:
        return {
            "SHIPEDGE_TLS_CERTIFICATE_FILE": self.tls_certificate_file,
            "SHIPEDGE_TLS_KEY_FILE": self.tls_key_file,
            "SHIPEDGE_TLS_CA_FILE": self.tls_ca_file,
            "SHIPEDGE_TLS_CRL_FILE": self.tls_crl_file,
            "SHIPEDGE_CALLERS": self.fixed_callers,
        }

    def listeners(self) -> Mapping[str, str]:
        """
        Return the addresses to listen on, by the names of their settings.
        """
        return {}

    def tls(self, *purposes: Purpose) -> CurrentTls | None:
        """
        Read the TLS files; None in development. Raises `TlsInvalidError` if they cannot be used
        for *purposes*.
        """
        certificate, key = self.tls_certificate_file, self.tls_key_file
        authority = self.tls_ca_file
        if certificate is None or key is None or authority is None:
            return None
        files = TlsFiles(certificate, key, authority, self.tls_crl_file)
        return CurrentTls(files, purposes)

    def callers(self) -> CallerDirectory | None:
        """
        Return the directory of callers; None in development, where all callers may do everything.
        """
        return CallerDirectory(parse_fixed(self.fixed_callers)) if self.production else None

    def allow_list(self) -> AllowList:
        """
        Return the targets that are allowed although they are not public, in development loopback.
        """
        return AllowList.parse(
            [*self.allowed_targets, *(() if self.production else LOOPBACK_TARGETS)]
        )

    def url_rules(self) -> UrlRules:
        return UrlRules(allow_http=not self.production, allow=self.allow_list())

    def missing_key_file(self) -> Path | None:
        """
        Return the file of the development key where it is needed and not there; `key_ring` would
        make a new one.
        """
        path = development_key_file(self.data_dir)
        return None if self.encryption_keys.get_secret_value() or path.exists() else path

    def key_ring(self) -> KeyRing:
        """
        Return the key ring. Development without keys uses the key of the data directory.
        """
        if not self.encryption_keys.get_secret_value():
            return development_ring(self.data_dir)
        return KeyRing(
            parse_keys(self.encryption_keys.get_secret_value()),
            parse_key(self.hash_key.get_secret_value(), "SHIPEDGE_HASH_KEY"),
        )


def _key_problems(keys: SecretStr, hash_key: SecretStr) -> list[str]:
    problems = []
    try:
        if keys.get_secret_value():
            parse_keys(keys.get_secret_value())
            parse_key(hash_key.get_secret_value(), "SHIPEDGE_HASH_KEY beside it")
    except ValueError as refused:
        problems.append(f"SHIPEDGE_ENCRYPTION_KEYS: {refused}")
    return problems
