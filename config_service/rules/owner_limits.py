"""
How many resources one account or warehouse may have.
"""

from __future__ import annotations

from dataclasses import dataclass

from config_service.rules.errors import OwnerLimitReached


@dataclass(frozen=True, slots=True)
class OwnerLimits:
    """
    The limits of each owner; deleted subscriptions do not count.
    """

    subscriptions: int = 2000
    credentials: int = 200
    client_certificates: int = 200
    signing_keys: int = 200

    def check(self, kind: str, owner: str, count: int) -> None:
        """
        Raise `OwnerLimitReached` if an owner that has *count* resources of a *kind*, a field of
        this class, may have no more.
        """
        limit: int = getattr(self, kind)
        if count >= limit:
            raise OwnerLimitReached(owner, kind, limit)
