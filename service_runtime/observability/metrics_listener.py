"""
The HTTP listener of the metrics, with bounds on what a connection may cost.
"""

from __future__ import annotations

import socket
import threading
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

READ_SECONDS = 5.0
"""
How long a request may take to arrive.
"""

CONNECTION_SECONDS = 15.0
"""
How long a connection may last.
"""

MOST_CONNECTIONS = 16
"""
Connections beyond this number are closed at once.
"""


class _Handler(WSGIRequestHandler):
    timeout = READ_SECONDS

    def log_message(self, *_about: object) -> None:
        """
        Log nothing: scrapes come every few seconds.
        """


class MetricsServer(ThreadingMixIn, WSGIServer):
    """
    Serves *registry* over HTTP on *host* and *port*, in one thread for each connection.

    Raises `OSError` if another process listens there.
    """

    daemon_threads = True
    request_queue_size = MOST_CONNECTIONS

    def __init__(self, host: str, port: int, registry: CollectorRegistry) -> None:
        self._slots = threading.BoundedSemaphore(MOST_CONNECTIONS)
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM)
        self.address_family, _, _, _, address = found[0]
        super().__init__(address[:2], _Handler)  # type: ignore[arg-type]
        self.set_app(make_wsgi_app(registry))

    def process_request(self, request: Any, client_address: Any) -> None:
        """
        Answer in a new thread, or close the connection if there are too many.
        """
        if not self._slots.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """
        Answer; a connection that sends or reads byte by byte is cut.
        """
        cut = threading.Timer(CONNECTION_SECONDS, _cut, [request])
        cut.daemon = True
        cut.start()
        try:
            super().process_request_thread(request, client_address)
        finally:
            cut.cancel()
            self._slots.release()

    def handle_error(self, _request: Any, _client_address: Any) -> None:
        """
        Drop errors of connections: their other end is gone or too slow.
        """


def _cut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        connection.close()
