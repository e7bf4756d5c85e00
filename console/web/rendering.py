"""
Renders templates as answers.
"""

from __future__ import annotations

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from console.web.forms import COOKIE, token_of
from console.words import durations, results, times

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
    "short_id": lambda name: name.rpartition("/")[2],
}


def page(request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
    """
    Return a page. Its forms carry the token of the reader's browser.
    """
    token = token_of(request)
    owner = "{collection}/{owner_id}".format_map({"collection": "", "owner_id": ""})
    if "owner_id" in request.path_params:
        owner = "{collection}/{owner_id}".format_map(request.path_params)
    shared = {"csrf": token, "owner": owner.strip("/"), "path": request.url.path}
    html = _TEMPLATES.get_template(template).render(shared | values)
    answer = HTMLResponse(html, status_code=status)
    # Another site's form comes without the cookie.
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
    return answer
