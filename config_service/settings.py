"""
The settings of the config service. The table in `docs/operations.md` is made from their
descriptions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_network

from pydantic import Field, SecretStr

from config_service.rules.owner_limits import OwnerLimits
from service_runtime.settings.service import ServiceSettings
from service_runtime.settings.types import DatabaseTls, Listen, OptionalListen, Span, TextList

_LIMITS = OwnerLimits()


class Settings(ServiceSettings):
    """
    The settings of one config service.
    """

    listen: Listen = Field(
        default="127.0.0.1:50051",
        alias="SHIPEDGE_CONFIG_LISTEN",
        description="address of the gRPC listener",
    )
    token_listen: OptionalListen = Field(
        default="",
        alias="SHIPEDGE_CONFIG_TOKEN_LISTEN",
        description="host:port of a second gRPC listener with TLS that asks for no client"
        " certificate, for callers with tokens; empty: no listener",
    )
    operators_listen: OptionalListen = Field(
        default="",
        alias="SHIPEDGE_CONFIG_OPERATORS_LISTEN",
        description="host:port for health and reflection without TLS, for operators only;"
        " empty: no listener",
    )
    metrics_listen: OptionalListen = Field(
        default="",
        alias="SHIPEDGE_CONFIG_METRICS_LISTEN",
        description="host:port of the Prometheus metrics; empty: no listener",
    )
    database_url: SecretStr = Field(
        default=SecretStr(""),
        alias="SHIPEDGE_CONFIG_DATABASE_URL",
        description="sqlite:///path or postgresql://…; empty: config.db in the data directory",
    )
    database_tls: DatabaseTls = Field(
        default="required",
        alias="SHIPEDGE_CONFIG_DATABASE_TLS",
        description="required: in production PostgreSQL must show a valid certificate for its"
        " name; off: what the URL says",
    )
    egress_ranges: TextList = Field(
        default=(),
        alias="SHIPEDGE_CONFIG_EGRESS_RANGES",
        description="comma-separated CIDR blocks that deliveries come from, for firewalls of"
        " receivers",
    )
    feed_heartbeat: Span = Field(
        default=timedelta(seconds=5),
        alias="SHIPEDGE_CONFIG_FEED_HEARTBEAT",
        description="interval of heartbeats in the feed",
    )
    feed_poll: Span = Field(
        default=timedelta(seconds=1),
        alias="SHIPEDGE_CONFIG_FEED_POLL",
        description="interval at which the feed looks for changes by other processes",
    )
    tombstones: Span = Field(
        default=timedelta(days=30),
        alias="SHIPEDGE_CONFIG_TOMBSTONES",
        description="time for which deletions stay in the feed; older readers start with a new"
        " snapshot",
    )
    endpoint_event_retention: Span = Field(
        default=timedelta(days=90),
        alias="SHIPEDGE_CONFIG_ENDPOINT_EVENT_RETENTION",
        description="retention of endpoint events; numbers of skipped events are kept for a day",
    )
    owner_subscriptions: int = Field(
        default=_LIMITS.subscriptions,
        ge=1,
        alias="SHIPEDGE_CONFIG_OWNER_SUBSCRIPTIONS",
        description="maximum subscriptions of one account or warehouse; deleted ones do not count",
    )
    owner_credentials: int = Field(
        default=_LIMITS.credentials,
        ge=1,
        alias="SHIPEDGE_CONFIG_OWNER_CREDENTIALS",
        description="maximum credentials of one account or warehouse",
    )
    owner_client_certificates: int = Field(
        default=_LIMITS.client_certificates,
        ge=1,
        alias="SHIPEDGE_CONFIG_OWNER_CLIENT_CERTIFICATES",
        description="maximum client certificates of one account or warehouse",
    )

    owner_signing_keys: int = Field(
        default=_LIMITS.signing_keys,
        ge=1,
        alias="SHIPEDGE_CONFIG_OWNER_SIGNING_KEYS",
        description="maximum signing keys of one account or warehouse",
    )

    def problems(self) -> Sequence[str]:
        """
        Return what is wrong with combinations of settings.
        """
        problems = []
        for block in self.egress_ranges:
            try:
                ip_network(block)
            except ValueError:
                problems.append(f"SHIPEDGE_CONFIG_EGRESS_RANGES: {block!r} is not a CIDR block")
        return problems

    def owner_limits(self) -> OwnerLimits:
        """
        Return how many resources an account or warehouse may have.
        """
        return OwnerLimits(
            self.owner_subscriptions,
            self.owner_credentials,
            self.owner_client_certificates,
            self.owner_signing_keys,
        )

    def database_name(self) -> str:
        """
        Return the name of the SQLite file.
        """
        return "config.db"
