"""
What a reader may do to the webhooks of an owner: the API says so when it is asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable
from dataclasses import dataclass

from console.rpc.names import delivery_name, subscription_name
from console.rpc.services import Services, answer
from shipedge.webhooks.client.errors import ApiError
from shipedge.webhooks.config.v1.config_admin_service_pb2 import ListAuditEntriesRequest
from shipedge.webhooks.config.v1.config_service_pb2 import DeleteSubscriptionRequest
from shipedge.webhooks.dispatch.v1.delivery_service_pb2 import GetDeliveryBodyRequest

SECONDS = 60
"""
For so long an answer is believed: the services slow down who is refused often.
"""

_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Abilities:
    """
    Whether a reader may change configuration, and resend, test and read payloads. This decides
    what pages show; what is done is decided by the services. The *audit* log is not for guests.
    """

    administer: bool = True
    operate: bool = True
    audit: bool = True


class KnownAbilities:
    """
    Finds out what readers may do, and remembers it for a minute.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[bytes, str], tuple[float, Abilities]] = OrderedDict()

    async def of(self, services: Services, token: str, owner: str) -> Abilities:
        """
        Return what the reader with *token* may do to the webhooks of *owner*. Raises `ApiError`.
        """
        key = (hashlib.sha256(token.encode()).digest(), owner)
        asked_at, known = self._known.get(key, (0.0, None))
        if known is not None and time.monotonic() - asked_at < SECONDS:
            return known
        found = await _ask(services, owner)
        self._known[key] = (time.monotonic(), found)
        self._known.move_to_end(key)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return found


async def _ask(services: Services, owner: str) -> Abilities:
    # There are no such resources, which only those are told who may delete or read them.
    deleted = DeleteSubscriptionRequest(name=subscription_name(owner, "-"))
    entries = ListAuditEntriesRequest(parent=owner, page_size=1)
    body = GetDeliveryBodyRequest(name=delivery_name(owner, "none"))
    return Abilities(
        *await asyncio.gather(
            _may(services.config.DeleteSubscription(deleted)),
            _may(services.deliveries.GetDeliveryBody(body)),
            _may(services.admin.ListAuditEntries(entries)),
        )
    )


async def _may(call: Awaitable[object]) -> bool:
    try:
        await answer(call)
    except ApiError as refused:
        if refused.code in {"NOT_FOUND", "INVALID_ARGUMENT"}:
            return True
        if refused.code == "PERMISSION_DENIED":
            return False
        raise
    return True
