"""
TLS servers on threads. Unlike those of asyncio, they say in an alert why they end a handshake.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from tests.support.receivers import HOST, Receiver, ca_pem, server_certificate

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK"
SECONDS = 20.0

Asked = Callable[[ssl.SSLSocket, int], None]


def server_context(
    version: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> ssl.SSLContext:
    """
    Return a context with a certificate for the host of the tests, for at most one version.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = version
    server_certificate(HOST, "127.0.0.1", "localhost").configure_cert(context)
    return context


def _answered(_: ssl.SSLSocket, __: int) -> None:
    """
    Have nothing to do before the answer.
    """


@contextmanager
def tls_server(context: ssl.SSLContext, asked: Asked = _answered) -> Iterator[Receiver]:
    """
    Answer each request with 200, after *asked* was called with the connection and the number of
    the request in it, from 1.
    """
    receiver = Receiver(scheme="https", host=HOST, port=0, ca_pem=ca_pem())
    listener = socket.create_server(("127.0.0.1", 0))
    receiver.port = listener.getsockname()[1]

    def serve() -> None:
        with suppress(OSError):
            while True:
                accepted, _ = listener.accept()
                accepted.settimeout(SECONDS)
                with accepted, suppress(OSError):
                    receiver.connections += 1
                    _answer(context, accepted, asked)

    thread = Thread(target=serve)
    thread.start()
    try:
        yield receiver
    finally:
        # It wakes the thread that waits for a connection, as closing alone does not.
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def _answer(context: ssl.SSLContext, accepted: socket.socket, asked: Asked) -> None:
    with context.wrap_socket(accepted, server_side=True) as tls:
        received, number = b"", 0
        while part := tls.recv(4096):
            received += part
            if received.endswith(b"}"):
                received, number = b"", number + 1
                asked(tls, number)
                tls.sendall(ANSWER)
