"""
Copies of requests for developers, over the wire.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from typing import TYPE_CHECKING, Any

from dispatch_service.api.readings import ReadingMethods
from dispatch_service.api.watches import WatchMethods
from dispatch_service.delivery.request import own_headers
from dispatch_service.log.filters import parse_watch_filter
from dispatch_service.log.watches import forwarded, watch
from dispatch_service.log.watches.forwarded import ForwardedAttempt
from dispatch_service.routing.subscriptions import SigningKey
from dispatch_service.storage.rows import SettledAttemptRow
from service_runtime.rpc import names
from service_runtime.rpc.errors import FieldFault, InvalidArgument
from service_runtime.rpc.shielded import shielded
from service_runtime.rules.signing_secrets import (
    SECRET_RULE,
    is_good_secret,
    new_secret,
    secret_bytes,
)
from shipedge.webhooks.dispatch.v1 import attempt_pb2
from shipedge.webhooks.dispatch.v1 import delivery_service_pb2 as pb

if TYPE_CHECKING:
    import grpc

    Context = grpc.aio.ServicerContext[Any, Any]

Copy = tuple[SettledAttemptRow, ForwardedAttempt, bytes, attempt_pb2.Attempt]
"""
An attempt, what its request says, the payload, and the message of the attempt.
"""


class ForwardMethods(ReadingMethods, WatchMethods):
    """
    The method of `DeliveryService` that streams copies of requests.
    """

    _clock: Callable[[], datetime]

    async def ForwardDeliveries(
        self, request: pb.ForwardDeliveriesRequest, context: Context
    ) -> AsyncGenerator[pb.ForwardDeliveriesResponse]:
        """
        Stream what was sent to the endpoints of an owner, signed with a secret of the stream.
        """
        owner = names.parse_parent(request.parent)
        comparisons = parse_watch_filter(request.filter)
        secret = request.signing_secret or new_secret()
        keys = (session_key(secret),)
        begin = await self._begin(request)
        await shielded(self._record_reading("ForwardDeliveries", owner))
        cursor = self._tokens.make(begin.key(), request)
        yield pb.ForwardDeliveriesResponse(signing_secret=secret, cursor=cursor)
        async with aclosing(self._settled(owner, comparisons, begin)) as batches:
            async for rows, mark in batches:
                for start in range(0, len(rows), forwarded.BATCH):
                    some = rows[start : start + forwarded.BATCH]
                    for row, sent, body, attempt in await shielded(self._copies(some)):
                        answer = forwarded_request(sent, body, keys, self._clock())
                        answer.attempt.CopyFrom(attempt)
                        answer.cursor = self._tokens.make(watch.mark_at(row).key(), request)
                        yield answer
                yield pb.ForwardDeliveriesResponse(cursor=self._tokens.make(mark.key(), request))

    async def _copies(self, rows: Sequence[SettledAttemptRow]) -> list[Copy]:
        """
        Return the attempts of which the payload is still there, with what they sent.
        """
        found = await forwarded.payloads(self._engine, self._keys, rows)
        messages = await self._messages_of([row for row, _, _ in found])
        return [(*it, message) for it, message in zip(found, messages, strict=True)]


def session_key(secret: str) -> SigningKey:
    """
    Return the key of a signing secret. Raises `InvalidArgument`, which does not show it.
    """
    if not is_good_secret(secret):
        fault = FieldFault("signing_secret", SECRET_RULE)
        raise InvalidArgument("The request is not valid.", faults=[fault])
    return SigningKey(secret_bytes(secret), None)


def forwarded_request(
    sent: ForwardedAttempt, body: bytes, keys: Sequence[SigningKey], now: datetime
) -> pb.ForwardDeliveriesResponse:
    """
    Return the copy of a request, signed with *keys* at *now*.
    """
    headers = own_headers(sent, body, keys, now)
    return pb.ForwardDeliveriesResponse(
        body=body,
        headers=[
            attempt_pb2.Attempt.Header(name=name.decode(), value=value.decode())
            for name, value in headers
        ],
    )
