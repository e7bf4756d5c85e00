"""
The only line that touches a customer's server.
"""

from collections.abc import Callable
from datetime import datetime

from dispatch_service.domain.outcomes import FailureKind, Outcome, failed, from_response
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest, Transport

Report = Callable[[OutboundRequest, Exception], None]


_REPORTED = frozenset({FailureKind.BLOCKED_ADDRESS, FailureKind.PROXY, FailureKind.INTERNAL})


class Sender:
    """
    Sends requests and tells what became of them.

    Whatever happens is an outcome. What an operator should know of beyond that is given to
    *report*: a blocked destination, with its address, and what is our own or our proxy's fault.
    """

    def __init__(
        self, transport: Transport, *, clock: Callable[[], datetime], report: Report
    ) -> None:
        self._transport = transport
        self._clock = clock
        self._report = report

    async def send(self, request: OutboundRequest) -> Outcome:
        """
        Send a request to a customer's endpoint. Only cancellation is raised.
        """
        try:
            answer = await self._transport.exchange(request)
        except ExchangeFailedError as failure:
            if failure.kind in _REPORTED:
                self._report(request, failure)
            return failed(
                failure.kind,
                failure.error,
                failure.timings,
                remote_address=failure.remote_address,
            )
        except Exception as error:  # noqa: BLE001  # Our fault must not end the worker.
            self._report(request, error)
            return failed(FailureKind.INTERNAL, "the attempt failed on our side")
        return from_response(answer, self._clock)
