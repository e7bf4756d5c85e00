"""
What the next page shows once: it travels in a sealed cookie of that page, so a page that is loaded
again repeats nothing, and no process has to remember it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from console.web.rendering import set_cookie
from console.web.sessions import sealer_of

COOKIE = "console_once"
SECONDS = 300


@dataclass(frozen=True, slots=True)
class Saved:
    """
    A new signing secret, empty if there is none, and the warnings of the API.
    """

    secret: str = ""
    warnings: Sequence[str] = ()


def go_to(request: Request, path: str, saved: Saved) -> Response:
    """
    Lead to the page *path*, which shows *saved* once within five minutes.
    """
    answer = RedirectResponse(path, 303)
    sealed = sealer_of(request).seal(json.dumps(asdict(saved)), path)
    set_cookie(request, answer, COOKIE, sealed, path=path, max_age=SECONDS)
    return answer


def taken(request: Request) -> Saved | None:
    """
    Return what this page is to show once, `None` if there is nothing.
    """
    kept = request.cookies.get(COOKIE, "")
    opened = sealer_of(request).unseal(kept, request.url.path, SECONDS)
    return Saved(**json.loads(opened)) if opened is not None else None


def forget(request: Request, answer: Response) -> None:
    """
    Let the browser drop what this page has shown.
    """
    set_cookie(request, answer, COOKIE, "", path=request.url.path, max_age=0)
