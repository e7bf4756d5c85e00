"""
TLS contexts: the trusted authorities, and the client certificates of subscriptions.

A context costs about 30 ms and up to 750 kB. So one context serves all requests without a client
certificate, and the number of contexts with one is bounded.
"""

import asyncio
import os
import ssl
from collections import OrderedDict

from dispatch_service.domain.authentication import ClientIdentity
from dispatch_service.egress.requests import ExchangeFailedError
from dispatch_service.egress.tls.observed import observe
from shipedge.webhooks.failures.causes import Cause


def build_context(
    ca_pem: str | None = None, identity: ClientIdentity | None = None
) -> ssl.SSLContext:
    """
    Return a context for TLS 1.2 or later that checks certificate and host name.

    It trusts the system's authorities and those of *ca_pem*. Raise `ssl.SSLError` if a
    certificate or key cannot be used.
    """
    # Unlike create_default_context, this does not write session keys to $SSLKEYLOGFILE.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    observe(context)
    # A server may ask for a client certificate when it knows the path.
    context.post_handshake_auth = True
    context.set_alpn_protocols(["http/1.1"])
    context.load_default_certs()
    if ca_pem is not None:
        context.load_verify_locations(cadata=ca_pem)
    if identity is not None:
        _load_identity(context, identity)
    return context


class TlsContexts:
    """
    Build and cache contexts by client certificate. For one event loop.

    When there are `max_identities`, the least recently used one is dropped.
    """

    def __init__(self, ca_pem: str | None = None, *, max_identities: int = 64) -> None:
        self._ca_pem = ca_pem
        self._max_identities = max_identities
        self._common = build_context(ca_pem)
        self._by_identity: OrderedDict[str, ssl.SSLContext] = OrderedDict()

    async def context(self, identity: ClientIdentity | None) -> ssl.SSLContext:
        """
        Return the context for a client certificate, or the common one for None.

        Raise `ExchangeFailedError` if the certificate cannot be used.
        """
        if identity is None:
            return self._common
        context = self._by_identity.get(identity.id)
        if context is None:
            context = await self._build(identity)
            self._by_identity[identity.id] = context
            if len(self._by_identity) > self._max_identities:
                self._by_identity.popitem(last=False)
        else:
            self._by_identity.move_to_end(identity.id)
        return context

    async def _build(self, identity: ClientIdentity) -> ssl.SSLContext:
        """
        Build a context on a thread, because it would block the event loop.
        """
        try:
            return await asyncio.to_thread(build_context, self._ca_pem, identity)
        except (OSError, ValueError) as error:
            raise ExchangeFailedError(Cause.CERTIFICATE_UNUSABLE, type(error).__name__) from None


def _load_identity(context: ssl.SSLContext, identity: ClientIdentity) -> None:
    """
    Load a certificate and its key through a file in memory, because OpenSSL takes only paths.
    """
    descriptor = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        file.write(identity.key_pem + b"\n" + identity.chain_pem)
        file.flush()
        # A password is given so that an encrypted key fails instead of asking on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=b"")
