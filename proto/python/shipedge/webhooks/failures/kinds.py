"""
What each kind of failure means where no more is known: of a delivery, of a webhook's health.
"""

from __future__ import annotations

from collections.abc import Mapping

from shipedge.webhooks.failures.rows import Row

_SUPPORT = "tell support"

_ROWS = (
    Row(
        "TIMEOUT",
        "the server did not answer in time",
        "answer 200 at once, and do the work afterwards",
    ),
    Row(
        "DNS",
        "the host of the URL does not resolve to public addresses",
        "look at the spelling of the host, and at its DNS entry",
    ),
    Row(
        "CONNECT",
        "cannot connect to the server",
        "look whether the server runs, and whether its firewall lets our addresses pass",
    ),
    Row(
        "TLS",
        "the TLS connection failed",
        "look at the TLS versions of the server, and whether it asks for a client certificate",
    ),
    Row(
        "CERTIFICATE",
        "a certificate cannot be used",
        "look at the server's certificate with its chain, and at the webhook's client certificate",
    ),
    Row("INVALID_URL", "the URL cannot be used", "correct the address of the webhook"),
    Row("BLOCKED_ADDRESS", "the host has no public address", "use a host with public addresses"),
    Row(
        "HTTP_STATUS",
        "the server answered, but not with a status from 200 to 299",
        "look at the server's answer, which the attempt shows",
    ),
    Row(
        "REDIRECT",
        "the server redirects to another address, and redirects are not followed",
        "enter the address that it redirects to as that of the webhook",
    ),
    Row(
        "AUTH",
        "the webhook's authentication could not be used",
        "look at the authentication of the webhook, and at its token server if it has one",
    ),
    Row(
        "PROTOCOL",
        "the server did not answer in HTTP",
        "look at what the server sent, and at the port of the URL",
    ),
    Row("PROXY", "our egress proxy failed", _SUPPORT),
    Row(
        "INTERRUPTED",
        "our service was interrupted, and whether the request arrived is not known",
        "nothing has to be done, the request is repeated at once",
    ),
    Row(
        "SUBSCRIPTION_INACTIVE",
        "the webhook was Inactive until the time of the delivery was up",
        "set the webhook Active, and resend",
    ),
    Row(
        "SUBSCRIPTION_DELETED",
        "the webhook was deleted",
        "restore the webhook, and resend, if it was not meant",
    ),
    Row("RENDER", "the payload could not be made", _SUPPORT),
    Row(
        "BODY_ERASED",
        "the payload was erased, or is past its retention",
        "nothing can be done, what is not kept cannot be sent",
    ),
    Row("BODY_DAMAGED", "the stored payload is damaged", _SUPPORT),
    Row(
        "POISON",
        "our service was stopped by this delivery again and again, and does not try it any more",
        _SUPPORT,
    ),
    Row(
        "EXPIRED",
        "its time was up before an attempt succeeded",
        "resend when the server answers again",
    ),
    Row("INTERNAL", "our service failed", "nothing has to be done, the attempt is repeated"),
    Row(
        "MISSING",
        "the webhook was missing from the configuration for too long",
        "look whether the webhook still exists, and resend",
    ),
    Row(
        "UNUSABLE",
        "the webhook cannot be used as it is set up",
        "save the webhook again, or tell support",
    ),
    Row(
        "CONNECTION_LOST",
        "the server closed the connection, which earlier requests had used, before it answered",
        "nothing has to be done, the request is repeated at once",
    ),
    Row(
        "STALE_TOKEN",
        "the server did not take a token that was fetched for an earlier request",
        "nothing has to be done, the request is repeated at once with a new token",
    ),
)

KINDS: Mapping[str, Row] = {row.kind: row for row in _ROWS}
"""
The rows by kind: the values of `FailureKind` without their prefix.
"""
