"""
The settings of the config service.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from ipaddress import ip_network

from pydantic import Field

from service_runtime.settings.common import ServiceSettings
from service_runtime.settings.types import Listen, OptionalListen, Span, TextList


class Settings(ServiceSettings):
    """
    What the config service needs.
    """

    listen: Listen = Field(
        default="127.0.0.1:50051",
        alias="SHIPEDGE_CONFIG_LISTEN",
        description="where calls are taken",
    )
    operators_listen: OptionalListen = Field(
        default="",
        alias="SHIPEDGE_CONFIG_OPERATORS_LISTEN",
        description="host:port for health and reflection without TLS, for operators alone;"
        " empty: none, and in production no reflection",
    )
    metrics_listen: OptionalListen = Field(
        default="",
        alias="SHIPEDGE_CONFIG_METRICS_LISTEN",
        description="host:port for metrics in the form of Prometheus; empty: none",
    )
    database_url: str = Field(
        default="",
        alias="SHIPEDGE_CONFIG_DATABASE_URL",
        description="sqlite:///path or postgresql://…; empty: config.db in the data directory",
    )
    egress_ranges: TextList = Field(
        default=(),
        alias="SHIPEDGE_CONFIG_EGRESS_RANGES",
        description="CIDR blocks by commas that deliveries come from, for receivers' firewalls",
    )
    feed_heartbeat: Span = Field(
        default=timedelta(seconds=5),
        alias="SHIPEDGE_CONFIG_FEED_HEARTBEAT",
        description="how often the feed gives a sign of life",
    )
    feed_poll: Span = Field(
        default=timedelta(seconds=1),
        alias="SHIPEDGE_CONFIG_FEED_POLL",
        description="how often the feed looks for changes that another process made",
    )
    tombstones: Span = Field(
        default=timedelta(days=30),
        alias="SHIPEDGE_CONFIG_TOMBSTONES",
        description="how long deletions stay in the feed; older readers begin anew",
    )

    def problems(self) -> Sequence[str]:
        """
        Find what is wrong with these settings together.
        """
        problems = []
        for block in self.egress_ranges:
            try:
                ip_network(block)
            except ValueError:
                problems.append(f"SHIPEDGE_CONFIG_EGRESS_RANGES: {block!r} is not a CIDR block")
        return problems

    def database_name(self) -> str:
        """
        Name the SQLite file.
        """
        return "config.db"
