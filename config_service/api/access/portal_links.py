"""
The method of `ConfigService` on portal links.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from config_service.rules import portal_links as rules
from config_service.rules.errors import PortalLinksNotOffered
from config_service.store.store import Store
from service_runtime.audit.entries import AuditChange
from service_runtime.database.engine import writing
from service_runtime.rpc import names
from service_runtime.rpc.callers import current_caller
from service_runtime.rpc.portal.links import LinkSealer, PortalLink
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1 import portal_link_pb2

if TYPE_CHECKING:
    import grpc

    from service_runtime.rpc.caller_directory import CallerDirectory

    Context = grpc.aio.ServicerContext[Any, Any]

_MICROSECOND = timedelta(microseconds=1)


class PortalLinkMethods:
    """
    Makes portal links. Without a directory of callers, in development, there are none.
    """

    _store: Store
    _callers: CallerDirectory | None

    async def CreatePortalLink(
        self, request: pb.CreatePortalLinkRequest, context: Context
    ) -> portal_link_pb2.PortalLink:
        """
        Make a link for the guests of the caller. Raises `PortalLinksNotOffered`.
        """
        owner, caller = names.parse_parent(request.parent), current_caller.get()
        rules.check(request, caller)
        entry = None if self._callers is None else self._callers.find(caller.name)
        if entry is None:
            raise PortalLinksNotOffered
        expires_us = time.time_ns() // 1_000 + rules.lifetime(request) // _MICROSECOND
        link = PortalLink(caller.name, entry.created_us, owner, rules.role_of(request), expires_us)
        made = portal_link_pb2.PortalLink(
            owner=owner,
            role=request.role,
            token=LinkSealer(self._store.sealing.link_key).seal(link),
        )
        made.expire_time.FromMicroseconds(expires_us)
        changes = [
            AuditChange("role", after=link.role),
            AuditChange("expire_time", after=made.expire_time.ToJsonString()),
        ]
        async with writing(self._store.engine) as db:
            await self._store.audit.record(db, "CreatePortalLink", owner, changes)
        return made
