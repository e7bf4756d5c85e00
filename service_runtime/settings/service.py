"""
Settings of a service that listens and has a database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import SecretStr

from service_runtime.database.engine import sqlite_file
from service_runtime.database.urls import demand_tls, driver_url, parse_database_url
from service_runtime.rpc.server import Listener
from service_runtime.settings.common import CommonSettings
from service_runtime.settings.environments import is_loopback
from service_runtime.settings.types import DatabaseTls, Listen, OptionalListen
from service_runtime.tls.current import CurrentTls


class ServiceSettings(CommonSettings):
    """
    The common settings, the addresses to listen on and the database of a service.
    """

    listen: Listen
    token_listen: OptionalListen
    operators_listen: OptionalListen
    metrics_listen: OptionalListen
    database_url: SecretStr
    database_tls: DatabaseTls

    def common_problems(self) -> Sequence[str]:
        """
        Return the problems of combinations of settings that both services have.
        """
        problems = [*super().common_problems()]
        try:
            driver_url(parse_database_url(self.database()))
        except ValueError as refused:
            problems.append(f"{self._alias('database_url')} {refused}")
        except OSError:
            problems.append(f"{self._alias('database_url')}: sslrootcert cannot be read")
        return problems

    def listeners(self) -> Mapping[str, str]:
        """
        Return the addresses to listen on, by the names of their settings.
        """
        return {
            self._alias("listen"): self.listen,
            self._alias("token_listen"): self.token_listen,
            self._alias("operators_listen"): self.operators_listen,
            self._alias("metrics_listen"): self.metrics_listen,
        }

    def unprotected_listeners(self) -> Mapping[str, str]:
        """
        Return the listeners without TLS that other machines can reach.
        """
        protected = {self._alias("listen"), self._alias("token_listen")}
        return {
            name: listen
            for name, listen in self.listeners().items()
            if listen and name not in protected and not is_loopback(listen)
        }

    def public_listens(self) -> Sequence[str]:
        """
        Return the addresses that callers use.
        """
        return [self.listen, *filter(None, [self.token_listen])]

    def open_files(self) -> int:
        """
        Return how many files and connections the service may have open at a time.
        """
        return len(self.public_listens()) * self.listener_connections

    def token_listeners(self, tls: CurrentTls | None) -> Sequence[Listener]:
        """
        Return the listener that asks for no client certificate, if there is one.
        """
        if tls is None or not self.token_listen:
            return ()
        return [Listener(self.token_listen, tls.server_credentials(ask_certificate=False))]

    def _only_in_production(self) -> Mapping[str, object]:
        return {**super()._only_in_production(), self._alias("token_listen"): self.token_listen}

    def database(self) -> str:
        """
        Return the URL of the database; without a setting, a SQLite file in the data directory.

        In production it demands TLS of a server. Raises `ValueError` if it cannot be used.
        """
        given = self.database_url.get_secret_value()
        if not given:
            return f"sqlite:///{self.data_dir.absolute()}/{self.database_name()}"
        parse_database_url(given)
        if not self.production or self.database_tls == "off":
            return given
        try:
            return demand_tls(given)
        except ValueError as refused:
            switch = self._alias("database_tls")
            raise ValueError(f"{refused}, unless {switch}=off") from None

    def database_file(self) -> Path | None:
        """
        Return the file of a SQLite database; None for PostgreSQL and for a URL that is wrong.
        """
        try:
            return sqlite_file(self.database())
        except ValueError:
            return None

    def database_name(self) -> str:
        """
        Return the name of the SQLite file.
        """
        raise NotImplementedError

    @classmethod
    def _alias(cls, field: str) -> str:
        return str(cls.model_fields[field].alias)
