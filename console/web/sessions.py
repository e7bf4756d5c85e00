"""
Sessions: the token of a reader or guest, sealed in a cookie that only the console can read.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from console.web.rendering import set_cookie
from console.web.sealing import Sealer

SECONDS = 8 * 3600
GUEST_SECONDS = 3600
COOKIE = "console_session"
_PLACE = "session"


class NotSignedInError(Exception):
    """
    The page is only for readers who have signed in.
    """


@dataclass(frozen=True, slots=True)
class Session:
    """
    The token of a reader. A guest sees the pages of *owner* alone; for others that is empty.
    """

    token: str = ""
    owner: str = ""


def session_of(request: Request) -> Session:
    """
    Return the session of the reader; an empty one in development. Raises `NotSignedInError`.
    """
    if not request.app.state.production:
        return Session()
    sealed = request.cookies.get(COOKIE, "")
    token, _, owner = (sealer_of(request).unseal(sealed, _PLACE, SECONDS) or "").partition(" ")
    if not token:
        raise NotSignedInError
    return Session(token, owner)


def is_guest(request: Request) -> bool:
    """
    Tell whether the reader came by a portal link.
    """
    try:
        return bool(session_of(request).owner)
    except NotSignedInError:
        return False


def begin(request: Request, answer: Response, token: str) -> None:
    """
    Let the browser keep *token* for eight hours.

    A link from elsewhere finds the session (SameSite=Lax); forms have a token of their own.
    """
    sealed = sealer_of(request).seal(token, _PLACE)
    set_cookie(request, answer, COOKIE, sealed, max_age=SECONDS, samesite="lax")


def begin_guest(request: Request, answer: Response, token: str, owner: str) -> None:
    """
    Let the browser keep the token of a portal link, which is good for the pages of *owner*.
    """
    sealed = sealer_of(request).seal(f"{token} {owner}", _PLACE)
    set_cookie(request, answer, COOKIE, sealed, max_age=GUEST_SECONDS, samesite="lax")


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
