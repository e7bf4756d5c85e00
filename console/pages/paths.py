"""
The owner and the services of a request.
"""

from __future__ import annotations

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request

from console.rpc.names import delivery_name, subscription_name
from console.rpc.services import Services

_ID = re.compile(r"[A-Za-z0-9._~-]{1,128}")


def services_of(request: Request) -> Services:
    """
    Return the services that the console calls.
    """
    services = request.app.state.services
    assert isinstance(services, Services)  # noqa: S101 - for the type checker
    return services


def owner_of(request: Request) -> str:
    """
    Return `accounts/{id}` or `warehouses/{id}`. Raises `HTTPException` 404.
    """
    collection, owner = request.path_params["collection"], request.path_params["owner_id"]
    if collection not in {"accounts", "warehouses"} or not _ID.fullmatch(owner) or owner == "-":
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


def _id_of(request: Request, part: str) -> str:
    found = str(request.path_params[part])
    if not _ID.fullmatch(found):
        raise HTTPException(404)
    return found
