"""
The pages of errors.
"""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from console.web.rendering import page
from shipedge.webhooks.client.errors import ApiError

_STATUS = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "FAILED_PRECONDITION": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


FORBIDDEN = "Your role does not allow this."


def status_of(error: ApiError) -> int:
    """
    Return the HTTP status of an error of the API.
    """
    return _STATUS.get(error.code, 502)


def may_have_happened(error: ApiError) -> bool:
    """
    Tell whether a change may have been made although it was not answered.
    """
    return error.code in {"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL"}


async def show(request: Request, error: Exception) -> Response:
    """
    Show an error of the API in its words.
    """
    if not isinstance(error, ApiError):
        raise error
    title = "A service cannot be reached" if error.code == "UNAVAILABLE" else "That was refused"
    status = status_of(error)
    return page(request, "error.html", status=status, title=title, text=error.message)


async def refused(request: Request, error: Exception) -> Response:
    """
    Show that a form did not come from a page of the console.
    """
    text = "The page that you sent was too old, or not of this console. Go back, reload, try again."
    status = error.status_code if isinstance(error, HTTPException) else 400
    if isinstance(error, HTTPException) and error.detail == FORBIDDEN:
        text = error.detail
    return page(request, "error.html", status=status, title="Not sent", text=text)


async def missing(request: Request, _error: Exception) -> Response:
    """
    Show that there is no such page.
    """
    text = "Choose the account or warehouse on the first page."
    return page(request, "error.html", status=404, title="No such page", text=text)
