"""
What the transport says of an answer, in words that a table of cases can have.
"""

from __future__ import annotations

import socket
from datetime import UTC, datetime

from dispatch_service.domain.outcomes import Response, from_response
from dispatch_service.egress.connector import connect_tcp
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest
from dispatch_service.egress.transport import GuardedTransport

NOW = datetime(2026, 11, 27, tzinfo=UTC)


async def answer_to(
    transport: GuardedTransport, request: OutboundRequest
) -> Response | ExchangeFailedError:
    """
    Return the response to a request, or the error with which it ended.
    """
    try:
        return await transport.exchange(request)
    except ExchangeFailedError as failed:
        return failed


async def verdict(transport: GuardedTransport, request: OutboundRequest) -> str:
    """
    Return what the log would show of an attempt: its code if it succeeded, or else the kind of its
    failure and the code or text.
    """
    answer = await answer_to(transport, request)
    if isinstance(answer, ExchangeFailedError):
        return f"{answer.kind}: {answer.error}"
    outcome = from_response(answer, lambda: NOW)
    if outcome.succeeded:
        return str(outcome.status_code)
    return f"{outcome.failure_kind}: HTTP {outcome.status_code}"


class CountedConnections:
    """
    Connect as the transport does by itself, and count.
    """

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, address: str, port: int) -> socket.socket:
        """
        Connect to an address.
        """
        self.count += 1
        return await connect_tcp(address, port)
