"""
The corpus of token servers' answers: what OAuth libraries of Go, Java, JavaScript, PHP, Python and
Ruby take as a token is one.
"""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from typing import Any

from dispatch_service.domain.outcomes import Response
from dispatch_service.egress.answers.tokens import DEFAULT_LIFETIME_SECONDS, MARGIN_SECONDS

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class TokenCase:
    """
    An answer, and the *token* that we take from it with its lifetime of so many *seconds*; None for
    a refusal, whose reason is *why*.
    """

    name: str
    body: bytes
    status: int = 200
    kind: str = JSON
    encoding: str = ""
    token: str | None = "abc"
    seconds: float = 3600.0
    cut: bool = False
    why: str = ""

    @property
    def response(self) -> Response:
        """
        Return the answer as the transport does.
        """
        headers = [(b"Content-Type", self.kind.encode())] if self.kind else []
        headers += [(b"content-encoding", self.encoding.encode())] if self.encoding else []
        return Response(
            status_code=self.status,
            headers=tuple(headers),
            body=self.body,
            body_truncated=self.cut,
        )


def _json(**members: Any) -> bytes:
    given = {"access_token": "abc", "token_type": "Bearer", "expires_in": 3600} | members
    return json.dumps({name: it for name, it in given.items() if it is not ...}).encode()


_UNKNOWN = DEFAULT_LIFETIME_SECONDS
_DAY = 24 * 3600.0
_LATIN = _json(scope="caf\u00e9").replace(b"\\u00e9", b"\xe9")
_PRETTY = json.dumps(json.loads(_json()), indent=4).replace("\n", "\r\n").encode()
_NO_PROOF = "without a proof of possession, which we do not make, such a token is worth nothing"
_NOT_SENT_ON = "redirects are not followed: the client's secret goes to its own server alone"
_NO_LIBRARY = "no library takes it"
_SAYS_ERROR = "the server says that it refuses"

TAKEN = (
    TokenCase("as RFC 6749 shows it", _json()),
    TokenCase("with charset in the type", _json(), kind="application/json;charset=UTF-8"),
    TokenCase("type application/hal+json", _json(), kind="application/hal+json"),
    TokenCase("type text/html", _json(), kind="text/html; charset=utf-8"),
    TokenCase("type text/plain", _json(), kind="text/plain"),
    TokenCase("type text/javascript", _json(), kind="text/javascript"),
    TokenCase("no type", _json(), kind=""),
    TokenCase("status 201", _json(), status=201),
    TokenCase("status 203", _json(), status=203),
    TokenCase("token_type in lower case", _json(token_type="bearer")),
    TokenCase("token_type in capitals", _json(token_type="BEARER")),
    TokenCase("token_type with spaces", _json(token_type=" Bearer ")),
    TokenCase("token_type BearerToken", _json(token_type="BearerToken")),
    TokenCase("token_type bearer_token", _json(token_type="bearer_token")),
    TokenCase("token_type JWT", _json(token_type="JWT")),
    TokenCase("token_type urn", _json(token_type="urn:ietf:params:oauth:token-type:jwt")),
    TokenCase("token_type empty", _json(token_type="")),
    TokenCase("token_type null", _json(token_type=None)),
    TokenCase("token_type missing", _json(token_type=...)),
    TokenCase("token_type a number", _json(token_type=1)),
    TokenCase("expires_in a string", _json(expires_in="3599"), seconds=3599),
    TokenCase("expires_in a string with spaces", _json(expires_in=" 3599 "), seconds=3599),
    TokenCase("expires_in a float", _json(expires_in=3599.5), seconds=3599.5),
    TokenCase("expires_in a float in a string", _json(expires_in="3599.0"), seconds=3599),
    TokenCase("expires_in with an exponent", _json(expires_in="3.6e3")),
    TokenCase("expires_in missing", _json(expires_in=...), seconds=_UNKNOWN),
    TokenCase("expires_in null", _json(expires_in=None), seconds=_UNKNOWN),
    TokenCase("expires_in empty", _json(expires_in=""), seconds=_UNKNOWN),
    TokenCase("expires_in in words", _json(expires_in="1 hour"), seconds=_UNKNOWN),
    TokenCase("expires_in a list", _json(expires_in=[3600]), seconds=_UNKNOWN),
    TokenCase("expires_in true", _json(expires_in=True), seconds=_UNKNOWN),
    TokenCase("expires_in NaN in a string", _json(expires_in="NaN"), seconds=_UNKNOWN),
    TokenCase("expires_in 0", _json(expires_in=0), seconds=0),
    TokenCase("expires_in negative", _json(expires_in=-1), seconds=0),
    TokenCase("expires_in for ever", _json(expires_in=10**15), seconds=_DAY),
    TokenCase("expires_in Infinity in a string", _json(expires_in="Infinity"), seconds=_DAY),
    TokenCase("expires instead", _json(expires_in=..., expires="3600")),
    TokenCase("more members", _json(scope="a b", refresh_token="r", id_token="i", ext={"a": [1]})),
    TokenCase("error null beside the token", _json(error=None)),
    TokenCase("error empty beside the token", _json(error="")),
    TokenCase("byte order mark", b"\xef\xbb\xbf" + _json()),
    TokenCase("white space around", b"\r\n  " + _json() + b" \r\n\r\n"),
    TokenCase("in many lines", _PRETTY),
    TokenCase("Latin-1 in another member", _LATIN),
    TokenCase("token with spaces around", _json(access_token=" abc\n")),
    TokenCase("token with a space inside", _json(access_token="Bearer abc"), token="Bearer abc"),
    TokenCase("token with other characters", _json(access_token='00D!x"y,;='), token='00D!x"y,;='),
    TokenCase("token of 8 KiB", _json(access_token="a" * 8192), token="a" * 8192),
    TokenCase("access_token twice", b'{"access_token":"x",' + _json()[1:]),
    TokenCase("form", b"access_token=abc&expires_in=3600&token_type=bearer", kind=FORM),
    TokenCase("form as text/plain", b"access_token=abc&expires=3600", kind="text/plain"),
    TokenCase("form, encoded", b"access_token=a%2Bc+&expires_in=3600", kind=FORM, token="a+c"),
    TokenCase("gzip, unasked", gzip.compress(_json()), encoding="gzip"),
    TokenCase("deflate, unasked", zlib.compress(_json()), encoding="deflate"),
    TokenCase("cut off behind the object", _json(), cut=True),
)

REFUSED = (
    TokenCase("400 with an error", b'{"error":"invalid_scope"}', 400, token=None, why=_SAYS_ERROR),
    TokenCase("401 with an error", b'{"error":"invalid_client"}', 401, token=None, why=_SAYS_ERROR),
    TokenCase("200 with an error", b'{"error":"invalid_client"}', token=None, why=_SAYS_ERROR),
    TokenCase("an error and a token", _json(error="server_error"), token=None, why=_SAYS_ERROR),
    TokenCase(
        "an error as an object", b'{"error":{"code":"expired"}}', token=None, why=_SAYS_ERROR
    ),
    TokenCase("an error as a form", b"error=denied", kind=FORM, token=None, why=_SAYS_ERROR),
    TokenCase("403 as HTML", b"<html>no</html>", 403, "text/html", token=None, why=_SAYS_ERROR),
    TokenCase("404", b"", 404, token=None, why=_SAYS_ERROR),
    TokenCase("429", b"slow down", 429, token=None, why=_SAYS_ERROR),
    TokenCase("500", b"", 500, token=None, why=_SAYS_ERROR),
    TokenCase("503 with a token", _json(), 503, token=None, why="no success"),
    TokenCase("302 to a sign-in", b"", 302, token=None, why=_NOT_SENT_ON),
    TokenCase("307", b"", 307, token=None, why=_NOT_SENT_ON),
    TokenCase("200 with HTML", b"<html>", 200, "text/html", token=None, why="no token"),
    TokenCase("204", b"", 204, token=None, why="no token"),
    TokenCase("200 without a body", b"", token=None, why="no token"),
    TokenCase("no access_token", b'{"token_type":"bearer"}', token=None, why="no token"),
    TokenCase("access_token empty", _json(access_token=""), token=None, why="no token"),
    TokenCase("access_token null", _json(access_token=None), token=None, why="no token"),
    TokenCase("access_token blank", _json(access_token="  "), token=None, why="no token"),
    TokenCase("access_token a number", _json(access_token=5), token=None, why="no token"),
    TokenCase("access_token an object", _json(access_token={}), token=None, why="no token"),
    TokenCase("nested access_token", b'{"data":' + _json() + b"}", token=None, why=_NO_LIBRARY),
    TokenCase("accessToken", b'{"accessToken":"abc"}', token=None, why=_NO_LIBRARY),
    TokenCase("a list", b"[" + _json() + b"]", token=None, why=_NO_LIBRARY),
    TokenCase("a string", b'"abc"', token=None, why=_NO_LIBRARY),
    TokenCase("the token alone", b"abc", kind="text/plain", token=None, why=_NO_LIBRARY),
    TokenCase("JSON in quotes of its own", json.dumps(_json().decode()).encode(), token=None,
              why=_NO_LIBRARY),
    TokenCase("single quotes", b"{'access_token':'abc'}", token=None, why=_NO_LIBRARY),
    TokenCase("a callback", b"f(" + _json() + b")", token=None, why=_NO_LIBRARY),
    TokenCase("more behind the object", _json() + b"<!-- -->", token=None, why=_NO_LIBRARY),
    TokenCase("UTF-16", _json().decode().encode("utf-16"), token=None, why="JSON is in UTF-8"),
    TokenCase("brotli, unasked", b"\x0b\x02\x80", encoding="br", token=None, why="nobody asked"),
    TokenCase("no gzip, though it says so", _json(), encoding="gzip", token=None, why="broken"),
    TokenCase("a line break in the token", _json(access_token="a\nb"), token=None,
              why="no header may have it"),
    TokenCase("other letters in the token", _json(access_token="caf\u00e9"), token=None,
              why="no header may have them"),
    TokenCase("token above 8 KiB", _json(access_token="a" * 8193), token=None,
              why="servers take no such header"),
    TokenCase("token_type mac", _json(token_type="mac"), token=None, why=_NO_PROOF),
    TokenCase("token_type DPoP", _json(token_type="DPoP"), token=None, why=_NO_PROOF),
    TokenCase("token_type PoP", _json(token_type="PoP"), token=None, why=_NO_PROOF),
    TokenCase("cut off inside the object", _json()[:-5], cut=True, token=None, why="not whole"),
    TokenCase("above 16 KiB", _json(ext="x" * 20000)[:16384], cut=True, token=None,
              why="nobody gives so much with a token"),
)  # fmt: skip

TOKEN_CASES = (*TAKEN, *REFUSED)


def used_seconds(seconds: float) -> float:
    """
    Return for how long a token with this lifetime is used.
    """
    return max(seconds - MARGIN_SECONDS, seconds / 2)


def token_table() -> str:
    """
    Return the tables of the docs, in Markdown.
    """
    lines = ["### Answers that are a token", "", "| answer | used for |", "| --- | --- |"]
    lines += [f"| {it.name} | {used_seconds(it.seconds):g} seconds |" for it in TAKEN]
    lines += ["", "### Answers that are none", "", "| answer | why |", "| --- | --- |"]
    lines += [f"| {it.name} | {it.why} |" for it in REFUSED]
    return "\n".join(lines) + "\n"
