"""
What each status code of HTTP means to somebody whose webhook was answered with it.
"""

from __future__ import annotations

from collections.abc import Mapping

from shipedge.webhooks.failures.rows import Row

_ANSWER = "look at its answer, which the attempt shows"
_AUTHENTICATION = "look at the webhook's authentication"
_LOG = "look at the server's log at the time of the attempt"
_NEW_ADDRESS = (
    "enter the address of the answer's Location header as that of the webhook, if it is yours"
)
_REDIRECTS = "the server redirects to another address, and redirects are not followed"
_OVERLOADED = "give the webhook a rate limit, or the server more room"
_CDN = "look whether the server behind the CDN runs, and whether it lets the CDN pass"
_PATH = "look at the path of the webhook's URL"


def _redirect(happened: str = _REDIRECTS, to_do: str = _NEW_ADDRESS) -> Row:
    return Row("REDIRECT", happened, to_do)


def _status(happened: str, to_do: str) -> Row:
    return Row("HTTP_STATUS", happened, to_do)


STATUSES: Mapping[int, Row] = {
    301: _redirect("the server has moved for good, and redirects are not followed"),
    302: _redirect(),
    303: _redirect(),
    304: _redirect("the server says that nothing has changed, as to a reader", _PATH),
    307: _redirect(),
    308: _redirect("the server has moved for good, and redirects are not followed"),
    400: _status(
        "the server does not accept the request as it is",
        f"{_ANSWER}, and whether it reads the webhook's payload version",
    ),
    401: _status("the server asks for authentication", _AUTHENTICATION),
    402: _status("the server asks for a payment", "look at the account at the server's host"),
    403: _status(
        "the server refuses the request",
        f"{_AUTHENTICATION}, and at firewalls and lists of addresses at the server",
    ),
    404: _status("the server does not know the path", _PATH),
    405: _status("the server takes no POST at this path", f"{_PATH}, or have it take POST"),
    406: _status("the server has no answer that suits the request", _ANSWER),
    407: _status("a proxy before the server asks for authentication", "look at that proxy"),
    408: _status("the server did not wait for the whole request", _LOG),
    409: _status(
        "the server says that the request conflicts with what it has",
        "answer 200 to an event that has come before, by its webhook-id",
    ),
    410: _status(
        "the server says that this address is gone, so the webhook was set Inactive",
        "enter the new address, and set the webhook Active",
    ),
    411: _status(
        "the server misses the length of the request, which was sent",
        "look at proxies before the server that drop Content-Length",
    ),
    412: _status("the server asks for conditions that the request has not", _ANSWER),
    413: _status(
        "the payload is larger than the server takes", "allow larger bodies at the server"
    ),
    414: _status("the URL is longer than the server takes", "shorten the address of the webhook"),
    415: _status(
        "the server does not take JSON", "have it take Content-Type application/json at this path"
    ),
    417: _status("the server expects what it does not get", _ANSWER),
    421: _status(
        "the server does not answer for this host",
        "look at the host of the URL, and at the names that the server is set up for",
    ),
    422: _status(
        "the server read the payload, but does not accept its content",
        f"{_ANSWER}, and whether it reads the webhook's payload version",
    ),
    423: _status("the server says that this is locked", _ANSWER),
    425: _status("the server does not want to take the request so early", _ANSWER),
    426: _status("the server asks for another protocol", "have the server take HTTP/1.1"),
    428: _status("the server asks for a conditional request", _ANSWER),
    429: _status(
        "the server gets more requests than it wants",
        "give the webhook a rate limit, or raise the limit at the server",
    ),
    431: _status(
        "the headers are larger than the server takes",
        "look at the custom headers of the webhook, and at the limits of the server",
    ),
    451: _status("the server refuses for legal reasons", _ANSWER),
    500: _status("the server failed while it handled the request", _LOG),
    501: _status("the server does not support the request", f"{_PATH}, or have it take POST"),
    502: _status(
        "a gateway before the server got no proper answer from it",
        "look whether the application behind the gateway runs",
    ),
    503: _status("the server is overloaded or down for maintenance", _OVERLOADED),
    504: _status(
        "a gateway before the server waited for it too long",
        "answer 200 at once, and do the work afterwards",
    ),
    505: _status("the server does not take HTTP/1.1", "have the server take HTTP/1.1"),
    507: _status("the server has no room left", "make room at the server"),
    508: _status("the server runs in a loop", _LOG),
    509: _status("the server's bandwidth is used up", "look at the plan of the server's host"),
    511: _status("a network before the server asks for a sign-in", "look at that network"),
    520: _status("the CDN got an unexpected answer from the server", _LOG),
    521: _status("the CDN cannot connect to the server", _CDN),
    522: _status("the CDN cannot connect to the server in time", _CDN),
    523: _status("the CDN does not reach the server", _CDN),
    524: _status(
        "the CDN waited for the server's answer too long",
        "answer 200 at once, and do the work afterwards",
    ),
    525: _status("the CDN's TLS handshake with the server failed", "look at TLS at the server"),
    526: _status("the CDN refuses the server's certificate", "renew the server's certificate"),
    529: _status("the server is overloaded", _OVERLOADED),
    530: _status("the CDN does not find the server", _CDN),
}
"""
The rows of codes that are known well.
"""

CLASSES: Mapping[int, Row] = {
    3: _redirect("the server answers as to a reader, with a redirect or a choice", _PATH),
    4: _status("the server does not accept the request", _ANSWER),
    5: _status("the server failed", _LOG),
}
"""
The rows of all other codes, by their first digit.
"""

OTHER = _status("the status is none of HTTP", _ANSWER)
"""
The row of codes that have no class.
"""
