"""
The owner and the services of a request.
"""

from __future__ import annotations

import re
from datetime import datetime

from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.rpc.abilities import Abilities
from console.rpc.names import delivery_name, event_name, resend_job_name, subscription_name
from console.rpc.services import Services

ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def services_of(request: Request) -> Services:
    """
    Return the services, called with the token of the reader.
    """
    services = request.state.services
    assert isinstance(services, Services)  # noqa: S101 - for the type checker
    return services


def may_of(request: Request) -> Abilities:
    """
    Return what the reader may do to the webhooks of the owner of a path.
    """
    may = request.state.may
    assert isinstance(may, Abilities)  # noqa: S101 - for the type checker
    return may


def now_of(request: Request) -> datetime:
    """
    Return the current time in UTC.
    """
    now = request.app.state.now()
    assert isinstance(now, datetime)  # noqa: S101 - for the type checker
    return now


def owner_of(request: Request) -> str:
    """
    Return `accounts/{id}` or `warehouses/{id}`. Raises `HTTPException` 404.
    """
    collection, owner = request.path_params["collection"], request.path_params["owner_id"]
    if collection not in {"accounts", "warehouses"} or not ID.fullmatch(owner) or owner == "-":
        raise HTTPException(404)
    return f"{collection}/{owner}"


def webhook_of(request: Request) -> str:
    """
    Return the resource name of the webhook of a path.
    """
    return subscription_name(owner_of(request), _id_of(request, "webhook"))


def delivery_of(request: Request) -> str:
    """
    Return the resource name of the delivery of a path.
    """
    return delivery_name(owner_of(request), _id_of(request, "delivery"))


def job_of(request: Request) -> str:
    """
    Return the resource name of the resend job of a path.
    """
    return resend_job_name(owner_of(request), _id_of(request, "job"))


def event_of(request: Request) -> str:
    """
    Return the resource name of the event of a path.
    """
    return event_name(owner_of(request), _id_of(request, "event"))


def _id_of(request: Request, part: str) -> str:
    found = str(request.path_params[part])
    if not ID.fullmatch(found):
        raise HTTPException(404)
    return found
