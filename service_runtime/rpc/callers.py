"""
Who calls, and what they may do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

ROLES = frozenset({"publisher", "reader", "operator", "admin", "feed"})
"""
The roles of `shipedge.webhooks.config.v1.Caller`, in lower case.
"""


EVERY_OWNER = frozenset({"accounts/*", "warehouses/*"})
"""
What stands for all accounts and all warehouses.
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Somebody who may call. *owners* are those that may be touched; `accounts/*` and
    `warehouses/*` stand for all of them.
    """

    name: str
    roles: frozenset[str]
    owners: frozenset[str]

    @property
    def touches_everything(self) -> bool:
        """
        Whether all accounts and all warehouses may be touched.
        """
        return self.owners >= EVERY_OWNER

    def may_touch(self, owner: str) -> bool:
        """
        Tell whether *owner*, `accounts/{account}` or `warehouses/{warehouse}`, may be touched.
        """
        return owner in self.owners or f"{owner.partition('/')[0]}/*" in self.owners

    def has_role(self, *roles: str) -> bool:
        """
        Tell whether one of *roles* is among its own.
        """
        return not self.roles.isdisjoint(roles)


DEVELOPMENT = Caller("callers/development", ROLES, EVERY_OWNER)
"""
The one caller of a development environment.
"""

Identify = Callable[[Mapping[str, str | bytes], Mapping[str, Iterable[bytes]]], Caller | None]
"""
Finds the caller by the metadata of a call and the authentication of its connection.
"""

current_caller: ContextVar[Caller] = ContextVar("current_caller")
"""
The caller of the call that is being served.
"""


def development_caller(
    _metadata: Mapping[str, str | bytes], _authentication: Mapping[str, Iterable[bytes]]
) -> Caller:
    """
    Let everybody in: for development, on loopback.
    """
    return DEVELOPMENT
