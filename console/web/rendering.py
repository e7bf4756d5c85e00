"""
Renders templates as answers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from console.web.forms import COOKIE, token_of
from console.words import charts, durations, progress, results, times

_TEMPLATES = Environment(
    loader=FileSystemLoader(Path(__file__).parent / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.filters |= {
    "time": times.shown,
    "duration": durations.shown,
    "health": results.health,
    "result": results.of_attempt,
    "delivery_reason": lambda each: results.reason(each.response_code, each.failure_kind),
    "state": results.of_state,
    "explained": results.of_explanation,
    "job_state": progress.state,
    "share": charts.share,
    "spent": charts.spent,
    "short_id": lambda name: name.rpartition("/")[2],
}


def page(request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """
    Return a page. Its forms carry the token of the reader's browser.
    """
    token = token_of(request)
    parts = request.path_params
    owner = f"{parts['collection']}/{parts['owner_id']}" if "owner_id" in parts else ""
    shared = {
        "csrf": token,
        "owner": owner,
        "path": request.url.path,
        # What the reader may do is known on pages of an owner.
        "may": getattr(request.state, "may", None),
        "signed_in": request.app.state.production and request.url.path != "/sign-in",
    }
    html = _TEMPLATES.get_template(template).render(shared | values)
    answer = HTMLResponse(html, status_code=status)
    set_cookie(request, answer, COOKIE, token)
    return answer


def indented(document: str) -> str:
    """
    Return a JSON document as people read it; nothing for nothing.
    """
    return json.dumps(json.loads(document), indent=2, ensure_ascii=False) if document else ""


def set_cookie(
    request: Request,
    answer: Response,
    name: str,
    value: str,
    *,
    path: str = "/",
    max_age: int | None = None,
    samesite: Literal["lax", "strict"] = "strict",
) -> None:
    """
    Let the browser keep a cookie that no script reads and no other site sends; with *samesite*
    `lax`, its links do. With *max_age*, in seconds, it ends; otherwise with the browser.
    """
    answer.set_cookie(
        name,
        value,
        path=path,
        max_age=max_age,
        secure=request.url.scheme == "https",
        httponly=True,
        samesite=samesite,
    )
