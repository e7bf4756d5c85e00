"""
TLS contexts: whom we believe, and who we say we are.

A context costs about 30 ms and up to 750 kB, so there is one for all requests without a client
certificate, and a bounded number for those with one.
"""

import asyncio
import os
import ssl
from collections import OrderedDict

from dispatch_service.domain.credentials import ClientIdentity
from dispatch_service.domain.outcomes import FailureKind
from dispatch_service.egress.requests import ExchangeFailedError


def build_context(
    ca_pem: str | None = None, identity: ClientIdentity | None = None
) -> ssl.SSLContext:
    """
    Build a context for TLS 1.2 or later that checks certificate and host name.

    Trust the system's authorities and those of *ca_pem*. Raise `ssl.SSLError` where a certificate
    or key cannot be used.
    """
    # Unlike create_default_context, this does not write session keys to $SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    context.load_default_certs()
    if ca_pem is not None:
        context.load_verify_locations(cadata=ca_pem)
    if identity is not None:
        _load_identity(context, identity)
    return context


class TlsContexts:
    """
    Contexts by client certificate, the least recently used forgotten first. For one event loop.
    """

    def __init__(self, ca_pem: str | None = None, *, max_identities: int = 64) -> None:
        self._ca_pem = ca_pem
        self._max_identities = max_identities
        self._common = build_context(ca_pem)
        self._by_identity: OrderedDict[str, ssl.SSLContext] = OrderedDict()

    async def context(self, identity: ClientIdentity | None) -> ssl.SSLContext:
        """
        Get the context for a client certificate, or the common one where there is none.

        Raise `ExchangeFailedError` where the certificate cannot be used.
        """
        if identity is None:
            return self._common
        context = self._by_identity.get(identity.id)
        if context is None:
            context = await self._built(identity)
            self._by_identity[identity.id] = context
            if len(self._by_identity) > self._max_identities:
                self._by_identity.popitem(last=False)
        else:
            self._by_identity.move_to_end(identity.id)
        return context

    async def _built(self, identity: ClientIdentity) -> ssl.SSLContext:
        """
        Build a context on a thread, for the loop would stand still meanwhile.
        """
        try:
            return await asyncio.to_thread(build_context, self._ca_pem, identity)
        except (OSError, ValueError) as error:
            raise ExchangeFailedError(
                FailureKind.CERTIFICATE,
                "the client certificate cannot be used",
                type(error).__name__,
            ) from None


def _load_identity(context: ssl.SSLContext, identity: ClientIdentity) -> None:
    """
    Give a certificate and its key to OpenSSL, which takes paths only, by way of memory.
    """
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(identity.key_pem + b"\n" + identity.chain_pem)
        file.flush()
        # A password is given so that an encrypted key fails instead of asking on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=b"")
