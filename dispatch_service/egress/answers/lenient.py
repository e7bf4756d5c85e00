"""
Heads of answers that the fast parser does not read: old servers, scripts, broken proxies.

What curl, Go, httpx or `http.client` take as an answer is one. The connection of such an answer is
never used again, so a wrong guess about where it ends harms no other answer.
"""

from __future__ import annotations

import re

from shipedge.webhooks.failures.causes import Cause

MAX_HEADERS = 100
MAX_HEAD_BYTES = 32 * 1024
MAX_INFORMATIONAL = 10
MAX_FIRST_BYTES = 2048

NO_HEADER = b"(no header)"
"""
The name under which the log shows a line between the headers that is none.
"""

_START = b"HTTP/"
_MOST_BLANK = 100
_STATUS_LINE = re.compile(
    rb"\s*HTTP/[0-9]+(?:\.[0-9]+)?[ \t]+([1-9][0-9]{2})(?![0-9]).*", re.DOTALL | re.IGNORECASE
)
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_LENGTH = re.compile(rb"[0-9]{1,15}")
_SWITCHING = 101


class UnreadableAnswerError(Exception):
    """
    What has come is no answer, or is beyond all bounds, for a *cause*.
    """

    def __init__(self, cause: Cause) -> None:
        super().__init__(cause)
        self.cause = cause


class LenientHead:
    """
    Read the head of an answer in parts, past interim answers.

    *status_code* is set when the final status line has come, *headers* while the lines behind it
    come. *first_bytes* are what came first, whatever it is.
    """

    __slots__ = (
        "_buffer",
        "_fields",
        "_informational",
        "_interim",
        "_kept",
        "first_bytes",
        "status_code",
    )

    def __init__(self) -> None:
        self.status_code = 0
        self.first_bytes = bytearray()
        self._buffer = bytearray()
        # The lines of a folded value are joined once, at the end.
        self._fields: list[tuple[bytes, list[bytes]]] = []
        self._kept = 0
        self._interim = False
        self._informational = 0

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """
        Return the headers that have come.
        """
        return [(name, b" ".join(lines)) for name, lines in self._fields]

    def feed(self, data: bytes) -> bytes | None:
        """
        Read a part; return what came behind the head when it has ended, None before.

        Raises `UnreadableAnswerError`.
        """
        self.first_bytes += data[: MAX_FIRST_BYTES - len(self.first_bytes)]
        searched = len(self._buffer)
        self._buffer += data
        while (end := self._buffer.find(b"\n", searched)) >= 0:
            line = bytes(self._buffer[:end]).rstrip(b"\r")
            del self._buffer[: end + 1]
            searched = 0
            if self._read_line(line):
                return bytes(self._buffer)
        self._check_rest()
        return None

    def end(self) -> None:
        """
        Take a status line as whole whose end is the end of the connection.

        Raises `UnreadableAnswerError`.
        """
        if not self.status_code and (found := _STATUS_LINE.fullmatch(self._buffer)):
            self._take_status(int(found[1]))

    def _read_line(self, line: bytes) -> bool:
        """
        Read a line; return whether it ends the head of a final answer.
        """
        if not (self.status_code or self._interim):
            if line:
                self._read_status(line)
            return False
        if not line:
            self._interim = False
            return bool(self.status_code)
        if self.status_code:
            self._read_header(line)
        return False

    def _read_status(self, line: bytes) -> None:
        found = _STATUS_LINE.fullmatch(line)
        if found is None:
            raise UnreadableAnswerError(Cause.NOT_HTTP)
        self._take_status(int(found[1]))

    def _take_status(self, status_code: int) -> None:
        if status_code == _SWITCHING:
            raise UnreadableAnswerError(Cause.SWITCHED_PROTOCOL)
        if status_code // 100 != 1:
            self.status_code = status_code
            return
        self._interim = True
        self._informational += 1
        if self._informational > MAX_INFORMATIONAL:
            raise UnreadableAnswerError(Cause.TOO_MANY_INTERIM)

    def _read_header(self, line: bytes) -> None:
        """
        Keep a header, or what stands in the place of one, up to the limits.
        """
        self._kept += len(line)
        if self._kept > MAX_HEAD_BYTES:
            return
        if line[:1] in b" \t" and self._fields:
            self._fields[-1][1].append(line.strip())
        elif len(self._fields) < MAX_HEADERS:
            name, colon, value = line.partition(b":")
            named = bool(colon) and _NAME.fullmatch(name.rstrip()) is not None
            self._fields.append(
                (name.rstrip(), [value.strip()]) if named else (NO_HEADER, [line.strip()])
            )

    def _check_rest(self) -> None:
        """
        Refuse what can become no status line, without waiting for the end of its line.
        """
        if self.status_code or self._interim:
            return
        begin = bytes(self._buffer[:_MOST_BLANK]).lstrip()[: len(_START)].upper()
        if not _START.startswith(begin):
            raise UnreadableAnswerError(Cause.NOT_HTTP)


def sound_head(status_code: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    """
    Return a head that frames the body as the headers say, for the fast parser.

    Chunks are preferred to a length (RFC 9112, section 6.3). A body whose length is stated in
    several ways, or in none that can be read, ends with the connection.
    """
    lengths: set[bytes] = set()
    coding = b""
    for name, value in headers:
        if name.lower() == b"content-length":
            lengths.update(part.strip().lstrip(b"0") or b"0" for part in value.split(b","))
        elif name.lower() == b"transfer-encoding":
            coding = value.rpartition(b",")[2].strip().lower()
    framing = b""
    if coding == b"chunked":
        framing = b"Transfer-Encoding: chunked\r\n"
    elif len(lengths) == 1 and _LENGTH.fullmatch(length := lengths.pop()):
        framing = b"Content-Length: %b\r\n" % length
    return b"HTTP/1.1 %d Status\r\n%bConnection: close\r\n\r\n" % (status_code, framing)
