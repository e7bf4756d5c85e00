"""
TLS connections that say whether the server asked for a client certificate, and that count
handshakes.
"""

from __future__ import annotations

import ssl
from contextvars import ContextVar

from dispatch_service.egress.tls.causes import RenegotiatedError

MAX_RENEGOTIATIONS = 1
"""
With TLS 1.2 a server that wants a client certificate for a path asks for one more handshake, for a
request to each such path.
"""

_HANDSHAKE = 22
_CERTIFICATE_REQUEST = 13
_NEW_SESSION_TICKET = 4


class Handshake:
    """
    What was seen of the handshakes of one connection: whether the server *asked* for a client
    certificate, and may not have judged it yet; whether it *went_on* behind that; and its
    *renegotiations* since the last answer.
    """

    __slots__ = ("asked", "renegotiations", "went_on")

    def __init__(self) -> None:
        self.asked = False
        self.went_on = False
        self.renegotiations = 0


current: ContextVar[Handshake | None] = ContextVar("handshake", default=None)
"""
The record of the connection that is being opened: event loops make the TLS object themselves.
"""


class ObservedTls(ssl.SSLObject):
    """
    A TLS connection with a limit on handshakes that the server asks for later.
    """

    handshake: Handshake | None = None
    _finished: bytes | None = None
    _is_counted = False

    def do_handshake(self) -> None:
        """
        Make the handshake, which the record of the connection being opened observes.
        """
        if self.handshake is None:
            self.handshake = current.get()
        super().do_handshake()
        # TLS 1.3 has no renegotiation.
        self._is_counted = self.handshake is not None and self.version() == "TLSv1.2"
        if self._is_counted and self.handshake is not None:
            self._finished = self.get_channel_binding()
            # Without a certificate it was content.
            self.handshake.asked = self.handshake.went_on = False

    def read(self, len: int = 1024, buffer: bytearray | None = None) -> bytes:  # type: ignore[override]  # noqa: A002 - its name in the base class
        """
        Read, and look for another handshake. Raises `RenegotiatedError` for one too many.
        """
        try:
            return super().read(len, buffer)
        finally:
            if self._is_counted:
                self._count()

    def _count(self) -> None:
        # It is made of the last handshake, so it is another one after each of them.
        finished = self.get_channel_binding()
        if finished == self._finished or self.handshake is None:
            return
        self._finished = finished
        self.handshake.renegotiations += 1
        if self.handshake.renegotiations > MAX_RENEGOTIATIONS:
            raise RenegotiatedError("too many handshakes")


def observe(context: ssl.SSLContext) -> None:
    """
    Have a context make observed connections.
    """
    context.sslobject_class = ObservedTls
    # The setter that is meant for use makes enums of the numbers, for every record.
    messages = getattr(super(ssl.SSLContext, ssl.SSLContext), "_msg_callback", None)
    if messages is not None:
        messages.__set__(context, _notice)


def _notice(
    tls: ObservedTls,
    direction: str,
    version: int,
    content_type: int,
    message_type: int,
    data: bytes,
) -> None:
    """
    Note that the server asks for a certificate, and that it goes on; called for every record and
    message.
    """
    del direction, version, data
    handshake = tls.handshake
    if content_type != _HANDSHAKE or handshake is None:
        return
    if message_type == _CERTIFICATE_REQUEST:
        handshake.asked = True
    elif message_type == _NEW_SESSION_TICKET and handshake.asked:
        # A server gives tickets to those whom it has accepted.
        handshake.asked, handshake.went_on = False, True
