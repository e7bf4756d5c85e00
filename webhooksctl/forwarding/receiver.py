"""
The receiver on a developer's own machine, and what it answers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Final
from urllib.parse import SplitResult, urlsplit

_SCHEMES: Final = {"http": HTTPConnection, "https": HTTPSConnection}
_FAILURE: Final = 300


@dataclass(frozen=True, slots=True)
class Answer:
    """
    The status code of an answer, or in *error* why there is none, after so many *seconds*.
    """

    status: int
    error: str
    seconds: float

    @property
    def is_success(self) -> bool:
        """
        Return whether the dispatch service would count it as delivered.
        """
        return not self.error and self.status < _FAILURE

    @property
    def text(self) -> str:
        """
        Return the answer in words.
        """
        return self.error or str(self.status)


@dataclass(frozen=True, slots=True)
class Receiver:
    """
    Where requests go. An answer is awaited for *seconds*.
    """

    url: SplitResult
    seconds: float

    def send(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """
        Send a request over a connection of its own, and read the head of its answer. Redirects are
        not followed. Raises nothing for what the receiver does.
        """
        began = time.monotonic()
        status, error = 0, ""
        connection = _SCHEMES[self.url.scheme](
            str(self.url.hostname), self.url.port, timeout=self.seconds
        )
        try:
            connection.request("POST", _target(self.url), body=body, headers=dict(headers))
            status = connection.getresponse().status
        except TimeoutError:
            error = f"no answer within {self.seconds:g} s"
        except (OSError, HTTPException) as failed:
            error = str(failed) or type(failed).__name__
        finally:
            connection.close()
        return Answer(status, error, time.monotonic() - began)


def receiver_url(text: str) -> SplitResult:
    """
    Read the URL of a receiver; without a scheme it is http. Raises `ValueError` that says what is
    allowed.
    """
    url = urlsplit(text if "://" in text else f"http://{text}")
    try:
        usable = url.scheme in _SCHEMES and url.hostname and url.port != 0
    except ValueError:
        usable = False
    if not usable or url.username is not None or url.fragment:
        raise ValueError(f"{text!r} is no URL of a receiver: http://localhost:3000/hooks, say")
    return url


def _target(url: SplitResult) -> str:
    return (url.path or "/") + (f"?{url.query}" if url.query else "")
