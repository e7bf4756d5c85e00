"""
Causes of failed attempts that have no status and did not fail in TLS.
"""

from __future__ import annotations

from enum import unique

from shipedge.webhooks.failures.rows import FailureCause, Row

_ASK_SUPPORT = "nothing has to be done, the attempt is repeated, but tell support if it stays so"
_REPEATED = "nothing has to be done, the request is repeated at once"
_READ_ANSWER = "look at what the server sent, which the attempt shows, and at the port of the URL"
_FOR_THE_CLIENT = (
    "look at the token URL, the client id, the secret and the scopes of the webhook's"
    " authentication"
)
_FOR_THE_SERVER = "look at the token server, and at the token URL of the webhook's authentication"


@unique
class Cause(FailureCause):
    """
    A cause, from a closed list. What is not public has the same text as what does not exist.
    """

    TIMEOUT_DNS = Row(
        "TIMEOUT",
        "the host of the URL was not resolved within {seconds}",
        "look at the name servers of the host",
    )
    TIMEOUT_CONNECT = Row(
        "TIMEOUT",
        "the server took no connection within {seconds}",
        "look whether the server runs, and whether its firewall lets our addresses pass",
    )
    TIMEOUT_TLS = Row(
        "TIMEOUT",
        "the server took the connection, but did not end the TLS handshake within {seconds}",
        "look at the port of the URL, and at the load of the server",
    )
    TIMEOUT_FIRST_BYTE = Row(
        "TIMEOUT",
        "the server took the connection, but did not begin to answer within {seconds}",
        "answer 200 at once, and do the work afterwards",
    )
    TIMEOUT_STATUS_LINE = Row(
        "TIMEOUT",
        "the server began to answer, but no final status came within {seconds}",
        _READ_ANSWER,
    )
    TIMEOUT_NOT_SENT = Row(
        "TIMEOUT", "the request could not be sent within {seconds}", _ASK_SUPPORT
    )

    NO_PUBLIC_ADDRESS = Row(
        "DNS",
        "the host of the URL does not resolve to public addresses",
        "look at the spelling of the host, and at its DNS entry, whose addresses must all be"
        " public",
    )
    NOT_CONNECTED = Row(
        "CONNECT",
        "cannot connect to the server",
        "look whether the server runs, at the port of the URL, and whether its firewall lets our"
        " addresses pass",
    )
    CONNECTION_LOST = Row(
        "CONNECTION_LOST",
        "the server closed the connection, which earlier requests had used, before it answered",
        _REPEATED,
    )

    CLOSED_UNANSWERED = Row(
        "PROTOCOL",
        "the server closed the connection before it answered",
        "look at the server's log at the time of the attempt, and at the port of the URL",
    )
    CLOSED_BEHIND_CERTIFICATE = Row(
        "PROTOCOL",
        "the server closed the connection before it answered, perhaps since it does not accept the"
        " webhook's client certificate",
        "look at the server's log, and at the authorities of client certificates that it knows",
    )
    CLOSED_WITHOUT_CERTIFICATE = Row(
        "PROTOCOL",
        "the server closed the connection before it answered, perhaps since it misses a client"
        " certificate, for which it has asked",
        "look at the server's log at the time of the attempt, and whether it wants a certificate",
    )
    NOT_HTTP = Row("PROTOCOL", "what the server sent is no answer in HTTP", _READ_ANSWER)
    SPOKE_FIRST = Row(
        "PROTOCOL", "the server spoke before it was asked, so it is none of HTTP", _READ_ANSWER
    )
    HEADERS_TOO_LONG = Row(
        "PROTOCOL",
        "the headers of the answer are too long",
        "look at the headers that the server sends",
    )
    TOO_MANY_INTERIM = Row(
        "PROTOCOL",
        "the server sent interim answers (1xx) without end",
        "send a final answer, such as 200",
    )
    SWITCHED_PROTOCOL = Row(
        "PROTOCOL",
        "the server switched to another protocol, for which nobody has asked",
        "answer in HTTP/1.1, without status 101",
    )
    NOT_WRITTEN = Row(
        "PROTOCOL", "the request could not be written to the connection", _ASK_SUPPORT
    )

    HTTPS_REQUIRED = Row(
        "INVALID_URL",
        "the URL does not begin with https://",
        "give the webhook an address that begins with https://",
    )
    URL_REFUSED = Row(
        "INVALID_URL", "the URL cannot be used", "enter the address of the webhook again"
    )

    PROXY_UNREACHABLE = Row("PROXY", "our egress proxy cannot be reached", _ASK_SUPPORT)
    PROXY_SILENT = Row("PROXY", "our egress proxy does not answer", _ASK_SUPPORT)
    PROXY_REFUSED = Row(
        "PROXY",
        "our egress proxy did not connect to the server",
        "look whether the server runs and its addresses are public, and otherwise tell support",
    )

    CREDENTIAL_UNKNOWN = Row(
        "AUTH",
        "the webhook's authentication is not known here",
        "wait a moment if it was changed just now, or choose the webhook's authentication again",
    )
    SIGNING_KEY_UNKNOWN = Row(
        "AUTH",
        "the webhook's signing key is not known here",
        "wait a moment if it was changed just now, or choose the webhook's signing key again",
    )
    STALE_TOKEN = Row(
        "STALE_TOKEN",
        "the server asks for authentication (HTTP 401), although it was sent a token that had not"
        " expired",
        "nothing has to be done, the request is repeated at once with a new token",
    )
    TOKEN_UNREACHABLE = Row("AUTH", "the token server could not be asked", _FOR_THE_SERVER)
    TOKEN_TIMEOUT = Row("AUTH", "the token server did not answer in time", _FOR_THE_SERVER)
    TOKEN_REFUSED = Row("AUTH", "the token server refused to give a token", _FOR_THE_CLIENT)
    TOKEN_UNREADABLE = Row(
        "AUTH", "the token server's answer is no JSON object with an access_token", _FOR_THE_SERVER
    )
    TOKEN_INCOMPLETE = Row("AUTH", "the token server's answer is not whole", _FOR_THE_SERVER)
    TOKEN_UNUSABLE = Row(
        "AUTH",
        "the token server's access_token has characters that no header may have, or is too long",
        _FOR_THE_SERVER,
    )
    TOKEN_OF_OTHER_TYPE = Row(
        "AUTH",
        "the token server gave a token that is no bearer token",
        "have the token server give bearer tokens to the webhook's client",
    )

    CERTIFICATE_UNKNOWN = Row(
        "CERTIFICATE",
        "the webhook's client certificate is not known here",
        "wait a moment if it was changed just now, or choose the webhook's certificate again",
    )
    CERTIFICATE_UNUSABLE = Row(
        "CERTIFICATE",
        "the webhook's client certificate cannot be used",
        "upload the client certificate with its key again",
    )

    INTERRUPTED = Row(
        "INTERRUPTED",
        "our service was interrupted, and whether the request arrived is not known",
        _REPEATED,
    )
    SENDER_CLOSED = Row("INTERRUPTED", "our service was stopped before the request", _REPEATED)
    UNSENDABLE = Row("INTERNAL", "the request cannot be written", "tell support")
    OWN_FAULT = Row("INTERNAL", "the attempt failed on our side", _ASK_SUPPORT)
