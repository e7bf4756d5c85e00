"""
What the two environments demand and refuse.

Production is the default and refuses what is unsafe. Development is for one machine: every
caller may do everything, so nothing of it may be reached from elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address


def production_problems(required: Mapping[str, object]) -> list[str]:
    """
    Return a problem for each required setting that has no value.
    """
    problems = [
        f"{name} is required in production" for name, value in required.items() if not value
    ]
    if problems:
        problems.append("To try the service on one machine, set SHIPEDGE_ENVIRONMENT=development")
    return problems


def development_problems(
    listeners: Mapping[str, str], only_in_production: Mapping[str, object]
) -> list[str]:
    """
    Return a problem for each listener that others could reach, and for each setting that would
    be without effect although it looks like protection.
    """
    open_to_others = [
        f"{name} must be a loopback address with SHIPEDGE_ENVIRONMENT=development, where every"
        " caller may do everything"
        for name, listen in listeners.items()
        if listen and not is_loopback(listen)
    ]
    ineffective = [
        f"{name} has no effect with SHIPEDGE_ENVIRONMENT=development: remove one of the two"
        for name, value in only_in_production.items()
        if value
    ]
    return [*open_to_others, *ineffective]


def is_loopback(listen: str) -> bool:
    """
    Tell whether only programs of this machine reach *listen*, `host:port`.
    """
    host = listen.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
