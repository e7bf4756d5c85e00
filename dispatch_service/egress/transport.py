"""
The guarded transport: one deadline over a whole exchange, and connections that are kept alive.
"""

from dispatch_service.domain.outcomes import FailureKind, Response
from dispatch_service.egress.clocks import ExchangeClocks
from dispatch_service.egress.opening import Opener, Openings
from dispatch_service.egress.pool import ConnectionPool
from dispatch_service.egress.requests import ExchangeFailedError, OutboundRequest, wire_form
from dispatch_service.egress.writes import WriteCoalescer
from service_runtime.rules.urls import UrlRules

_PRODUCTION = UrlRules()

# The receiver may have got the request; an alert may ask for a client certificate.
_OF_THE_REQUEST = frozenset({FailureKind.CONNECTION_LOST, FailureKind.TLS})


class GuardedTransport:
    """
    Send requests and read the responses; raise nothing but `ExchangeFailedError`.

    Redirects are not followed, and the proxies of the environment are not used. The opener holds
    the guard: it alone opens connections. For one event loop.
    """

    def __init__(
        self, opener: Opener, pool: ConnectionPool | None = None, *, rules: UrlRules = _PRODUCTION
    ) -> None:
        self.rules = rules
        self.pool = ConnectionPool() if pool is None else pool
        self._opener = opener
        self._openings = Openings(opener, self.pool)
        self._clocks = ExchangeClocks()
        self._write_soon = WriteCoalescer().add

    async def exchange(self, request: OutboundRequest) -> Response:
        """
        Send a request and read its response before the deadline; raise `ExchangeFailedError`.

        When the deadline passes after status and headers have come, they are the response.
        """
        if request.fresh or not self.pool.has(request.connection_key):
            await self._openings.turn(request)
        clock = self._clocks.start(request.deadline_seconds, needs_body=request.needs_body)
        try:
            wire = wire_form(request, allow_http=self.rules.allow_http)
            connection = None if request.fresh else self.pool.take(request.connection_key)
            if connection is not None:
                try:
                    await connection.exchange(wire, clock, self._write_soon)
                except ExchangeFailedError as failure:
                    was_answered = connection.first_byte_at is not None
                    if clock.is_over or was_answered or failure.kind in _OF_THE_REQUEST:
                        raise
                    # It was closed by the receiver before the request was written. That goes out
                    # on a new connection.
                    await self._openings.turn(request)
                    connection = None
            if connection is None:
                connection = await self._openings.open(request, clock)
                await connection.exchange(wire, clock, self._write_soon)
            timings = clock.timings(connection.first_byte_at)
        except ExchangeFailedError as failure:
            failure.timings = clock.timings()
            raise
        finally:
            clock.stop()
        response = Response(
            status_code=connection.status_code,
            headers=tuple(connection.headers),
            body=bytes(connection.body),
            body_truncated=connection.body_truncated,
            timings=timings,
            remote_address=connection.remote_address,
        )
        self.pool.put(connection)
        return response

    async def aclose(self) -> None:
        """
        Close every connection, and cancel the opening of others.
        """
        await self._openings.close()
        self.pool.close()
        self._clocks.close()
        self._opener.close()
