"""
Settings of what callers may use of a process.
"""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from service_runtime.rpc.gate.limits import MIB, Limits

_DEFAULT = Limits()


class LimitSettings(BaseSettings):
    """
    The limits of callers, and of accounts and warehouses.
    """

    connection_streams: int = Field(
        default=100,
        ge=10,
        le=10_000,
        alias="SHIPEDGE_CONNECTION_STREAMS",
        description="maximum open calls of one connection; clients keep others back",
    )
    listener_connections: int = Field(
        default=4000,
        ge=10,
        le=100_000,
        alias="SHIPEDGE_LISTENER_CONNECTIONS",
        description="maximum connections of each gRPC listener of a process, half-open ones too;"
        " more are closed at once",
    )
    caller_calls: int = Field(
        default=_DEFAULT.caller_calls,
        ge=1,
        le=_DEFAULT.total_calls,
        alias="SHIPEDGE_CALLER_CALLS",
        description="maximum unary calls of one caller at a time",
    )
    caller_watches: int = Field(
        default=_DEFAULT.caller_watches,
        ge=1,
        le=_DEFAULT.total_streams,
        alias="SHIPEDGE_CALLER_WATCHES",
        description="maximum open watches of one caller",
    )
    caller_publish_streams: int = Field(
        default=_DEFAULT.caller_publish_streams,
        ge=1,
        le=_DEFAULT.total_streams,
        alias="SHIPEDGE_CALLER_PUBLISH_STREAMS",
        description="maximum open StreamEvents of one caller",
    )
    caller_mb: int = Field(
        default=_DEFAULT.caller_bytes // MIB,
        ge=4,
        le=1024,
        alias="SHIPEDGE_CALLER_MB",
        description="maximum size of a caller's messages that are not answered, in MiB",
    )
    caller_events: int = Field(
        default=0,
        ge=0,
        alias="SHIPEDGE_CALLER_EVENTS",
        description="maximum events a second of one caller; 0: no limit",
    )
    account_calls: int = Field(
        default=_DEFAULT.account_calls,
        ge=1,
        alias="SHIPEDGE_ACCOUNT_CALLS",
        description="maximum unary calls on one account or warehouse at a time",
    )
    account_watches: int = Field(
        default=_DEFAULT.account_watches,
        ge=1,
        alias="SHIPEDGE_ACCOUNT_WATCHES",
        description="maximum open watches of one account or warehouse",
    )
    account_events: int = Field(
        default=0,
        ge=0,
        alias="SHIPEDGE_ACCOUNT_EVENTS",
        description="maximum events a second of one account; 0: no limit",
    )
    total_mb: int = Field(
        default=_DEFAULT.total_bytes // MIB,
        ge=32,
        le=16_384,
        alias="SHIPEDGE_TOTAL_MB",
        description="maximum size of all callers' messages that are not answered, in MiB",
    )

    def limits(self) -> Limits:
        """
        Return the limits of one process.
        """
        return Limits(
            caller_calls=self.caller_calls,
            caller_watches=self.caller_watches,
            caller_publish_streams=self.caller_publish_streams,
            caller_bytes=self.caller_mb * MIB,
            caller_events=self.caller_events,
            account_calls=self.account_calls,
            account_watches=self.account_watches,
            account_events=self.account_events,
            total_bytes=self.total_mb * MIB,
        )
