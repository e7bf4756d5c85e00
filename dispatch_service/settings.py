"""
The settings of the dispatch service. The table in `docs/operations.md` is made from their
descriptions.
"""

from __future__ import annotations

import os
import re
import secrets
import socket
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from pydantic import Field, SecretStr

from dispatch_service.domain import leases
from dispatch_service.domain.shares import SHARE_PERCENT
from dispatch_service.intake.backlog_limits import Limits
from dispatch_service.upkeep.prune_statements import Retention
from service_runtime.process import failpoints
from service_runtime.settings.reading import NEVER_SUGGESTED
from service_runtime.settings.service import ServiceSettings
from service_runtime.settings.types import DatabaseTls, Listen, OptionalListen, Span

_PROXY = re.compile(r"http://[A-Za-z0-9.\-\[\]:]+")


class Settings(ServiceSettings):
    """
    The settings of one dispatch service.
    """

    listen: Listen = Field(
        default="127.0.0.1:50052",
        alias="SHIPEDGE_DISPATCH_LISTEN",
        description="address of the gRPC listener",
    )
    token_listen: OptionalListen = Field(
        default="",
        alias="SHIPEDGE_DISPATCH_TOKEN_LISTEN",
        description="host:port of a second gRPC listener with TLS that asks for no client"
        " certificate, for callers with tokens; empty: no listener",
    )
    operators_listen: OptionalListen = Field(
        default="",
        alias="SHIPEDGE_DISPATCH_OPERATORS_LISTEN",
        description="host:port for health and reflection without TLS, for operators only;"
        " empty: no listener",
    )
    metrics_listen: OptionalListen = Field(
        default="",
        alias="SHIPEDGE_DISPATCH_METRICS_LISTEN",
        description="host:port of the Prometheus metrics; empty: no listener",
    )
    database_url: SecretStr = Field(
        default=SecretStr(""),
        alias="SHIPEDGE_DISPATCH_DATABASE_URL",
        description="sqlite:///path or postgresql://…; empty: dispatch.db in the data directory",
    )
    database_tls: DatabaseTls = Field(
        default="required",
        alias="SHIPEDGE_DISPATCH_DATABASE_TLS",
        description="required: in production PostgreSQL must show a valid certificate for its"
        " name; off: what the URL says",
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        alias="SHIPEDGE_DISPATCH_WORKERS",
        description="number of processes that share the port; more than one needs PostgreSQL",
    )
    config_address: Listen = Field(
        default="127.0.0.1:50051",
        alias="SHIPEDGE_DISPATCH_CONFIG_ADDRESS",
        description="where the config service listens",
    )
    name: str = Field(
        default="",
        alias="SHIPEDGE_DISPATCH_NAME",
        description="the name of this replica in logs; empty: the host name",
    )
    receiver_ca_file: Path | None = Field(
        default=None,
        alias="SHIPEDGE_DISPATCH_RECEIVER_CA_FILE",
        description="authorities of receivers' certificates in addition to the system's, PEM",
    )
    egress_proxy: str = Field(
        default="",
        alias="SHIPEDGE_DISPATCH_EGRESS_PROXY",
        description="http://host:port of a proxy for all deliveries; it resolves and checks"
        " addresses; empty: none, and proxy variables of the environment are ignored",
    )
    deadline: Span = Field(
        default=timedelta(seconds=10),
        alias="SHIPEDGE_DISPATCH_DEADLINE",
        description="maximum duration of one attempt",
    )
    lease: Span = Field(
        default=timedelta(seconds=45),
        alias="SHIPEDGE_DISPATCH_LEASE",
        description="time for which a process holds a delivery; at least twice the deadline and"
        " 10s",
    )
    control_time: Span = Field(
        default=timedelta(seconds=10),
        alias="SHIPEDGE_DISPATCH_CONTROL_TIME",
        description="time after the start in which no delivery is attempted of which processes"
        " may have died",
    )
    poll_interval: Span = Field(
        default=timedelta(seconds=1),
        alias="SHIPEDGE_DISPATCH_POLL_INTERVAL",
        description="interval between claims of due deliveries",
    )
    endpoint_concurrency: int = Field(
        default=8,
        ge=1,
        le=1000,
        alias="SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY",
        description="open requests to one endpoint until it has shown that it bears more",
    )
    most_endpoint_concurrency: int = Field(
        default=64,
        ge=1,
        le=1000,
        alias="SHIPEDGE_DISPATCH_MOST_ENDPOINT_CONCURRENCY",
        description="maximum open requests to one endpoint, if it is more than those to begin with",
    )
    total_concurrency: int = Field(
        default=3000,
        ge=1,
        le=50_000,
        alias="SHIPEDGE_DISPATCH_TOTAL_CONCURRENCY",
        description="maximum open requests in all; a share more for owners that have less than"
        " that",
    )
    most_waiting: int = Field(
        default=20_000,
        ge=100,
        alias="SHIPEDGE_DISPATCH_MOST_WAITING",
        description="maximum events waiting for their commit, and maximum deliveries in memory;"
        " a share more for owners that have less than that",
    )
    owner_share_percent: int = Field(
        default=SHARE_PERCENT,
        ge=1,
        le=50,
        alias="SHIPEDGE_DISPATCH_OWNER_SHARE_PERCENT",
        description="share of one account or warehouse in open requests, in memory and in the"
        " backlog, in percent; what it has beyond that it may have only while enough is left for"
        " others",
    )

    failing_after: Span = Field(
        default=timedelta(minutes=1),
        alias="SHIPEDGE_DISPATCH_FAILING_AFTER",
        description="an endpoint counts as failing after this time with only failures, at least"
        " three",
    )
    missing_hold: Span = Field(
        default=timedelta(hours=24),
        alias="SHIPEDGE_DISPATCH_MISSING_HOLD",
        description="time for which the deliveries of a subscription wait that the config service"
        " no longer names without having deleted it; then they are cancelled",
    )
    most_backlog: int = Field(
        default=20_000_000,
        ge=1000,
        alias="SHIPEDGE_DISPATCH_MOST_BACKLOG",
        description="maximum unfinished deliveries before publishers must wait; one share of"
        " them is kept for owners that have less than that",
    )
    least_disk_mb: int = Field(
        default=512,
        ge=0,
        alias="SHIPEDGE_DISPATCH_LEAST_DISK_MB",
        description="minimum free disk beside a SQLite file, in MiB; with less, publishers must"
        " wait",
    )
    owner_log_mb: int = Field(
        default=1024,
        ge=1,
        alias="SHIPEDGE_DISPATCH_OWNER_LOG_MB",
        description="maximum size of the requests and responses that the log keeps of one account"
        " or warehouse on a UTC day, in MiB; of later attempts it keeps 256 bytes of the response",
    )

    payload_retention: Span = Field(
        default=timedelta(days=30),
        alias="SHIPEDGE_DISPATCH_PAYLOAD_RETENTION",
        description="retention of events and payloads, unless the owner has set one",
    )
    log_retention: Span = Field(
        default=timedelta(days=90),
        alias="SHIPEDGE_DISPATCH_LOG_RETENTION",
        description="retention of deliveries and attempts, unless the owner has set one",
    )
    event_key_retention: Span = Field(
        default=timedelta(days=35),
        alias="SHIPEDGE_DISPATCH_EVENT_KEY_RETENTION",
        description="minimum time for which event ids are remembered to recognise repeats",
    )
    maintenance_interval: Span = Field(
        default=timedelta(seconds=30),
        alias="SHIPEDGE_DISPATCH_MAINTENANCE_INTERVAL",
        description="interval for postponed erasures; retention runs once an hour",
    )
    failpoint: str = Field(
        default="",
        alias="SHIPEDGE_DISPATCH_FAILPOINT",
        json_schema_extra=NEVER_SUGGESTED,
        description="name:action of a crash test; never in production",
    )

    def problems(self) -> Sequence[str]:
        """
        Return what is wrong with combinations of settings.
        """
        problems = []
        if self.egress_proxy and not _PROXY.fullmatch(self.egress_proxy):
            problems.append("SHIPEDGE_DISPATCH_EGRESS_PROXY must be http://host:port")
        least = leases.least_lease(self.deadline.total_seconds())
        if self.lease.total_seconds() < least:
            problems.append(
                f"SHIPEDGE_DISPATCH_LEASE must be {least:g}s at least with a"
                f" SHIPEDGE_DISPATCH_DEADLINE of {self.deadline.total_seconds():g}s"
            )
        return [*problems, *self._worker_problems(), *self._failpoint_problems()]

    def _worker_problems(self) -> Sequence[str]:
        if self.workers == 1:
            return []
        problems = []
        if self.database_file() is not None:
            problems.append(
                "SHIPEDGE_DISPATCH_WORKERS must be 1 on SQLite: several need PostgreSQL in"
                " SHIPEDGE_DISPATCH_DATABASE_URL"
            )
        if self.listen.endswith(":0"):
            problems.append(
                "SHIPEDGE_DISPATCH_LISTEN must name a port with SHIPEDGE_DISPATCH_WORKERS above 1"
            )
        if sys.platform != "linux":
            problems.append("SHIPEDGE_DISPATCH_WORKERS must be 1: only Linux spreads connections")
        return problems

    def _failpoint_problems(self) -> Sequence[str]:
        if not self.failpoint:
            return []
        if self.production:
            return ["SHIPEDGE_DISPATCH_FAILPOINT must be empty in production"]
        try:
            failpoints.parse(self.failpoint)
        except ValueError as problem:
            return [f"SHIPEDGE_DISPATCH_FAILPOINT {problem}"]
        return []

    def retention(self) -> Retention:
        """
        Return how long payloads, the log and ids of events are kept.
        """
        return Retention(self.payload_retention, self.log_retention, self.event_key_retention)

    def backlog_limits(self) -> Limits:
        """
        Return the limits beyond which publishers have to wait.
        """
        return Limits(
            self.most_backlog,
            self.least_disk_mb * 1024 * 1024,
            self.database_file(),
            self.owner_share_percent,
        )

    def open_files(self) -> int:
        """
        Return how many files and connections the service may have open at a time.
        """
        # A quarter of the requests that are open may be replaced by others.
        return super().open_files() + self.total_concurrency * 5 // 4

    def database_name(self) -> str:
        """
        Return the name of the SQLite file.
        """
        return "dispatch.db"

    def replica_name(self) -> str:
        """
        Return the name under which this process holds leases; no other process has it.
        """
        return f"{self.name or socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
