"""
A receiver whose answer is chosen by the path; the other programs in this folder do the same.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from typing import Any

PIECES = [str(part).encode() * 1000 for part in range(1, 6)]
TEXT = ("Content-Type", "text/plain")


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """
    Answer a request, as WSGI calls it.
    """
    if number := environ.get("HTTP_X_NUMBER"):
        with open(os.environ["ARRIVALS"], "a") as arrivals:  # noqa: PTH123 - as short as can be
            arrivals.write(f"{number}\n")
    path = environ["PATH_INFO"].rpartition("/")[2]
    if path == "unread":
        return _answer(start_response, "200 OK", b"OK")
    body = environ["wsgi.input"].read()
    if path == "chunked":
        start_response("200 OK", [TEXT])
        return PIECES
    if path == "large":
        return _answer(start_response, "200 OK", b"x" * 5_000_000)
    if path == "redirect":
        return _answer(start_response, "302 Found", b"", ("Location", "/200"))
    if path == "size":
        return _answer(start_response, "200 OK", str(len(body)).encode())
    if path == "late":
        time.sleep(1)
        return _answer(start_response, "200 OK", b"OK")
    if path == "crash":
        raise RuntimeError("a fault of the receiver")
    if path == "204":
        start_response("204 No Content", [])
        return []
    return _answer(start_response, f"{path} Status", b"OK")


def _answer(
    start_response: Callable[..., Any], status: str, body: bytes, *headers: tuple[str, str]
) -> list[bytes]:
    start_response(status, [TEXT, ("Content-Length", str(len(body))), *headers])
    return [body]
