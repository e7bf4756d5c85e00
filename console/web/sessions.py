"""
Sessions: the token of a reader, sealed in a cookie that only the console can read.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from console.web.rendering import set_cookie
from console.web.sealing import Sealer

SECONDS = 8 * 3600
COOKIE = "console_session"
_PLACE = "session"


class NotSignedInError(Exception):
    """
    The page is only for readers who have signed in.
    """


def token_of_session(request: Request) -> str:
    """
    Return the token of the reader; nothing in development. Raises `NotSignedInError`.
    """
    if not request.app.state.production:
        return ""
    token = sealer_of(request).unseal(request.cookies.get(COOKIE, ""), _PLACE, SECONDS)
    if not token:
        raise NotSignedInError
    return token


def begin(request: Request, answer: Response, token: str) -> None:
    """
    Let the browser keep *token* for eight hours.

    A link from elsewhere finds the session (SameSite=Lax); forms have a token of their own.
    """
    sealed = sealer_of(request).seal(token, _PLACE)
    set_cookie(request, answer, COOKIE, sealed, max_age=SECONDS, samesite="lax")


def end(request: Request, answer: Response) -> None:
    """
    Let the browser forget the token.
    """
    set_cookie(request, answer, COOKIE, "", max_age=0, samesite="lax")


def safe_path(target: str) -> str:
    """
    Return *target* if it is a path of the console, otherwise the first page.
    """
    parts = urlsplit(target)
    inside = target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if inside and not parts.scheme and not parts.netloc else "/"


def sealer_of(request: Request) -> Sealer:
    """
    Return what seals cookies.
    """
    sealer = request.app.state.sealer
    assert isinstance(sealer, Sealer)  # noqa: S101 - for the type checker
    return sealer
