"""
The handle on the database that all servicers share.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from config_service.rules.owner_limits import OwnerLimits
from service_runtime.audit.log import AuditLog
from service_runtime.keys.keyring import KeyRing
from service_runtime.rules.urls import UrlRules


@dataclass(frozen=True, slots=True)
class Sealing:
    """
    The key ring that seals columns, and the rules by which URLs are normalised.
    """

    ring: KeyRing
    rules: UrlRules

    @property
    def link_key(self) -> bytes:
        """
        Return what portal links are sealed under.
        """
        return self.ring.keyed_hash("portal links", "config")


@dataclass(frozen=True, slots=True)
class Store:
    """
    The database, its sealing and its audit log.

    *changed* is awaited after each committed change and before its answer: it returns when the
    dispatch service has applied the change, or how many of its processes have not. *limits* are
    those of owners.
    """

    engine: AsyncEngine
    sealing: Sealing
    audit: AuditLog
    changed: Callable[[], Awaitable[int]]
    limits: OwnerLimits = field(default_factory=OwnerLimits)
