"""
The URLs of the configuration: their hashes, and what a caller may see of them.
"""

from __future__ import annotations

from config_service.store.store import Sealing
from service_runtime.rpc.callers import current_caller
from service_runtime.rules.urls import normal_url, shown_url


def url_hash(url: str, sealing: Sealing) -> bytes:
    """
    Return the keyed hash of a URL in its normal form, by which it is looked up.
    """
    return sealing.ring.keyed_hash("url", normal_url(url, sealing.rules))


def shown_to_caller(url: str, sealing: Sealing) -> str:
    """
    Return the whole URL for operators and admins, its shown form for others.
    """
    if current_caller.get().has_role("operator", "admin"):
        return url
    return shown(url, sealing)


def shown(url: str, sealing: Sealing) -> str:
    """
    Return the shown form of a URL, which tells two URLs apart and no secret.
    """
    return shown_url(normal_url(url, sealing.rules), url_hash(url, sealing))
