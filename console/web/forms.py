"""
Reads forms, and checks that they come from a page of the console.
"""

from __future__ import annotations

import secrets
import uuid
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request

COOKIE = "console_csrf"
FIELD = "csrf"
MOST_BYTES = 256 * 1024

Form = dict[str, list[str]]


def token_of(request: Request) -> str:
    """
    Return the token of the reader's browser, a new one if it has none.
    """
    return request.cookies.get(COOKIE) or secrets.token_urlsafe(32)


async def read_form(request: Request) -> Form:
    """
    Read the fields of a form. Raises `HTTPException`: 413 if it is too large, 403 if its token
    is not that of the reader's browser.
    """
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise HTTPException(413)
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=1_000)
    except ValueError:
        raise HTTPException(400) from None
    kept = request.cookies.get(COOKIE, "")
    if not kept or not secrets.compare_digest(kept.encode(), text(form, FIELD).encode()):
        raise HTTPException(403)
    return form


def new_request_id() -> str:
    """
    Return a new id for a form: sent twice, it is done once.
    """
    return str(uuid.uuid4())


def request_id_of(form: Form) -> str:
    """
    Return the request id of a form. Raises `HTTPException` 400 if it has none.
    """
    try:
        return str(uuid.UUID(text(form, "request_id")))
    except ValueError:
        raise HTTPException(400) from None


def text(form: Form, name: str) -> str:
    """
    Return the last value of a field without the blanks around it.
    """
    return form.get(name, [""])[-1].strip()


def lines(form: Form, name: str) -> list[str]:
    """
    Return the lines of a field that are not empty.
    """
    return [line.strip() for line in text(form, name).splitlines() if line.strip()]
