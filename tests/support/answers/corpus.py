"""
The corpus: what receivers send, byte by byte.

Lines end with CR and LF unless a case says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """
    What a receiver sends to a request, and whether it leaves the connection open behind that.

    *code* is the status that we take from it, None for no answer; *differs* is the reason where
    most other clients say otherwise.
    """

    name: str
    raw: bytes
    code: int | None = 200
    held_open: bool = False
    differs: str = ""


def _http(*lines: str, body: str = "", version: str = "1.1") -> bytes:
    return "\r\n".join((f"HTTP/{version} {lines[0]}", *lines[1:], "", body)).encode("latin-1")


_DECIDES = "the status line decides, and some client takes it or it is plainly meant so"
UNSOUND = "the status line decides; the connection is not used again"
_NO_FINAL = "no final answer: we never ask for another protocol"
_NO_CODE = "no code of HTTP"

SOUND = (
    Case("length", _http("200 OK", "Content-Length: 2", body="OK")),
    Case("length, held open", _http("200 OK", "Content-Length: 2", body="OK"), held_open=True),
    Case("no body", _http("200 OK", "Content-Length: 0")),
    Case("204", _http("204 No Content"), 204),
    Case("204, held open", _http("204 No Content"), 204, held_open=True),
    Case("201", _http("201 Created", "Location: /1", "Content-Length: 0"), 201),
    Case("202 without a reason", _http("202 ", "Content-Length: 0"), 202),
    Case("202 without a space", _http("202", "Content-Length: 0"), 202),
    Case("205", _http("205 Reset Content", "Content-Length: 0"), 205),
    Case("206", _http("206 Partial Content", "Content-Length: 1", body="a"), 206),
    Case("207", _http("207 Multi-Status", "Content-Length: 1", body="a"), 207),
    Case("226", _http("226 IM Used", "Content-Length: 0"), 226),
    Case("299, an unknown code", _http("299 Well", "Content-Length: 0"), 299),
    Case("304", _http("304 Not Modified"), 304),
    Case("404", _http("404 Not Found", "Content-Length: 0"), 404),
    Case("500", _http("500 Internal Server Error", "Content-Length: 0"), 500),
    Case("599", _http("599 Timeout", "Content-Length: 0"), 599),
    Case("until the close", _http("200 OK", body="OK")),
    Case("chunks", _http("200 OK", "Transfer-Encoding: chunked", body="2\r\nOK\r\n0\r\n\r\n")),
    Case(
        "chunks with extensions and a trailer",
        _http("200 OK", "Transfer-Encoding: chunked", body="2;a=b\r\nOK\r\n0\r\nX: y\r\n\r\n"),
    ),
    Case(
        "chunk sizes with zeros, in capitals",
        _http("200 OK", "Transfer-Encoding: Chunked", body="000A\r\n0123456789\r\n0\r\n\r\n"),
    ),
    Case("HTTP/1.0", _http("200 OK", "Content-Length: 2", body="OK", version="1.0")),
    Case("HTTP/1.0 until the close", _http("200 OK", body="OK", version="1.0")),
    Case(
        "HTTP/1.0 kept alive",
        _http("200 OK", "Connection: keep-alive", "Content-Length: 2", body="OK", version="1.0"),
    ),
    Case("100, then 200", _http("100 Continue") + _http("200 OK", "Content-Length: 0")),
    Case(
        "102 and 103, then 204",
        _http("102 Processing") + _http("103 Early Hints", "Link: </a>") + _http("204 No Content"),
        204,
    ),
    Case(
        "offer of HTTP/2",
        _http("200 OK", "Upgrade: h2,h2c", "Connection: Upgrade, close", "Content-Length: 0"),
    ),
    Case("empty header value", _http("200 OK", "X-Empty:", "Content-Length: 0")),
    Case("no space behind the colon", _http("200 OK", "X:y", "Content-Length:0")),
    Case("Latin-1 in a header", _http("200 OK", "X-Name: caf\xe9", "Content-Length: 0")),
    Case("a long header", _http("200 OK", "X: " + "y" * 9000, "Content-Length: 0")),
    Case("HTML as an error", _http("200 OK", "Content-Type: text/html", body="<b>Warning</b>")),
)

SLOPPY = (
    Case("length twice", _http("200 OK", "Content-Length: 2", "Content-Length: 2", body="OK")),
    Case("length as a list", _http("200 OK", "Content-Length: 2, 2", body="OK")),
    Case("length with a plus", _http("200 OK", "Content-Length: +2", body="OK")),
    Case("length in zeros", _http("200 OK", "Content-Length: 0002", body="OK")),
    Case("LF alone", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nOK"),
    Case("LF alone, held open", b"HTTP/1.1 200 OK\nContent-Length: 2\n\nOK", held_open=True),
    Case("LF alone in the status line", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    Case("LF alone in a header", b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 0\r\n\r\n"),
    Case("LF alone at the end of the head", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"),
    Case("LF alone behind 100", b"HTTP/1.1 100 Continue\n\nHTTP/1.1 204 No Content\n\n", 204),
    Case(
        "LF alone in chunks",
        _http("200 OK", "Transfer-Encoding: chunked", body="2\nOK\n0\n\n"),
    ),
    Case(
        "a script's warning between headers",
        _http("200 OK", "<b>Warning</b>  Undefined index x in y", "Content-Length: 2", body="OK"),
        differs=UNSOUND,
    ),
    Case(
        "a script's warning with a colon",
        _http("200 OK", "PHP Warning: foo() in /bar.php on line 3", "Content-Length: 0"),
        differs=UNSOUND,
    ),
    Case("header without a colon", _http("200 OK", "Nothing", "Content-Length: 0")),
    Case("header without a name", _http("200 OK", ": y", "Content-Length: 0")),
    Case("space before the colon", _http("200 OK", "Content-Length : 2", body="OK")),
    Case("space in a header name", _http("200 OK", "X Y: z", "Content-Length: 0")),
    Case("folded header", _http("200 OK", "X: a", " b", "Content-Length: 0")),
    Case("folded with a tab", _http("200 OK", "X: a", "\tb", "Content-Length: 0")),
    Case("folded first header", _http("200 OK", " X: a", "Content-Length: 0")),
    Case("NUL in a header", _http("200 OK", "X: a\0b", "Content-Length: 0")),
    Case("control character in a header", _http("200 OK", "X: a\x01b", "Content-Length: 0")),
    Case("CR in a header", b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n"),
    Case("UTF-8 in a header name", "HTTP/1.1 200 OK\r\nÜ: a\r\nContent-Length: 0\r\n\r\n".encode()),
    Case("control character in the reason", _http("200 O\x02K", "Content-Length: 0")),
    Case("tab behind the code", b"HTTP/1.1 200\tOK\r\nContent-Length: 0\r\n\r\n", differs=_DECIDES),
    Case("two spaces before the code", b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n"),
    Case("status line with a space at its end", b"HTTP/1.1 200 OK \r\nContent-Length: 0\r\n\r\n"),
    Case("HTTP/1.2", _http("200 OK", "Content-Length: 0", version="1.2"), differs=_DECIDES),
    Case("HTTP/2.0", _http("200 OK", "Content-Length: 0", version="2.0"), differs=_DECIDES),
    Case("HTTP/1", _http("200 OK", "Content-Length: 0", version="1"), differs=_DECIDES),
    Case("HTTP/01.01", _http("200 OK", "Content-Length: 0", version="01.01"), differs=_DECIDES),
    Case("empty line first", b"\r\n" + _http("200 OK", "Content-Length: 0"), differs=_DECIDES),
    Case("no empty line, no headers", b"HTTP/1.1 200 OK\r\n"),
    Case("no end of the status line", b"HTTP/1.1 200 OK"),
    Case("status line alone, held open", b"HTTP/1.1 200 OK\r\n", held_open=True, differs=_DECIDES),
    Case("closed in the headers", b"HTTP/1.1 200 OK\r\nX: "),
    Case(
        "length and chunks",
        _http(
            "200 OK", "Content-Length: 9", "Transfer-Encoding: chunked", body="2\r\nOK\r\n0\r\n\r\n"
        ),
    ),
    Case("chunked twice", _http("200 OK", "Transfer-Encoding: chunked, chunked", body="0\r\n\r\n")),
    Case(
        "chunked in two headers",
        _http(
            "200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body="0\r\n\r\n"
        ),
    ),
    Case("unknown coding", _http("200 OK", "Transfer-Encoding: xchunked", body="OK")),
    Case("coding identity", _http("200 OK", "Transfer-Encoding: identity", body="OK")),
    Case("204 with a length", _http("204 No Content", "Content-Length: 2", body="OK"), 204),
    Case("204 in chunks", _http("204 X", "Transfer-Encoding: chunked", body="0\r\n\r\n"), 204),
    Case("too many headers", _http("200 OK", *(["X: y"] * 300), "Content-Length: 0")),
    Case("lower-case http", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", differs=_DECIDES),
    Case(
        "reason at once behind the code",
        b"HTTP/1.1 200OK\r\nContent-Length: 0\r\n\r\n",
        differs=_DECIDES,
    ),
    Case("space before HTTP", b" HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", differs=_DECIDES),
)

BROKEN_BEHIND_THE_STATUS = (
    Case("two lengths", _http("200 OK", "Content-Length: 1", "Content-Length: 2", body="ab")),
    Case("negative length", _http("200 OK", "Content-Length: -1", body="OK")),
    Case("length that is no number", _http("200 OK", "Content-Length: x", body="OK")),
    Case("empty length", _http("200 OK", "Content-Length:", body="OK")),
    Case("huge length", _http("200 OK", "Content-Length: 99999999999999999999", body="OK")),
    Case("body too short", _http("200 OK", "Content-Length: 9", body="OK")),
    Case(
        "body too short, held open", _http("200 OK", "Content-Length: 9", body="OK"), held_open=True
    ),
    Case("body too long", _http("200 OK", "Content-Length: 1", body="OK")),
    Case("no length, held open", _http("200 OK", body="OK"), held_open=True),
    Case("chunks broken off", _http("200 OK", "Transfer-Encoding: chunked", body="2\r\nO")),
    Case("no last chunk", _http("200 OK", "Transfer-Encoding: chunked", body="2\r\nOK\r\n")),
    Case("chunk size 0x2", _http("200 OK", "Transfer-Encoding: chunked", body="0x2\r\nOK\r\n")),
    Case("negative chunk size", _http("200 OK", "Transfer-Encoding: chunked", body="-2\r\nOK\r\n")),
    Case(
        "chunk size with a space",
        _http("200 OK", "Transfer-Encoding: chunked", body="2 \r\nOK\r\n0\r\n\r\n"),
    ),
    Case("no chunks though announced", _http("200 OK", "Transfer-Encoding: chunked", body="OK")),
    Case("gzip announced, text sent", _http("200 OK", "Content-Encoding: gzip", body="OK")),
    Case("second answer behind the first", _http("200 OK", "Content-Length: 0") * 2),
    Case("404 in the body of a 200", _http("200 OK") + _http("404 Not Found")),
    Case("500 with LF alone", b"HTTP/1.1 500 Oops\nContent-Length: 0\n\n", 500),
    Case(
        "503 with two lengths",
        _http("503 X", "Content-Length: 1", "Content-Length: 2", body="ab"),
        503,
    ),
    Case("302 with a broken header", _http("302 Found", "Nothing", "Content-Length: 0"), 302),
)

NO_ANSWER = (
    Case("nothing", b"", None),
    Case("empty line alone", b"\r\n\r\n", None),
    Case("HTTP/0.9", b"<html>OK</html>", None),
    Case("warning before the status line", b"Warning: x\n" + _http("200 OK"), None),
    Case("SSH", b"SSH-2.0-OpenSSH_9.2\r\n", None),
    Case("SMTP", b"220 mail.example ESMTP\r\n", None),
    Case("shoutcast", b"ICY 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    Case("RTSP", b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    Case("CGI without a server", b"Status: 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    Case("a request", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", None),
    Case("TLS alert", b"\x15\x03\x01\x00\x02\x02\x46", None),
    Case("100 alone", _http("100 Continue"), None, differs="no final answer"),
    Case(
        "101",
        _http("101 Switching Protocols", "Connection: upgrade", "Upgrade: h2c"),
        None,
        differs=_NO_FINAL,
    ),
    Case("two digits", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", None),
    Case("four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", None),
    Case("code with letters", b"HTTP/1.1 2OO OK\r\nContent-Length: 0\r\n\r\n", None),
    Case("code 000", b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n", None, differs=_NO_CODE),
    Case("no space before the code", b"HTTP/1.1200 OK\r\nContent-Length: 0\r\n\r\n", None),
    Case("no version", b"HTTP 200 OK\r\nContent-Length: 0\r\n\r\n", None),
    Case("no code", b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n", None),
)

GROUPS = {
    "Sound": SOUND,
    "Sloppy": SLOPPY,
    "Broken behind the status": BROKEN_BEHIND_THE_STATUS,
    "No answer": NO_ANSWER,
}
CASES = tuple(case for group in GROUPS.values() for case in group)
