"""
Callers, their roles, and the owners that they may touch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass

ROLES = frozenset({"publisher", "reader", "operator", "admin", "feed"})
"""
The roles of `shipedge.webhooks.config.v1.Caller`, in lower case.
"""


EVERY_OWNER = frozenset({"accounts/-", "warehouses/-"})
"""
The owners that stand for all accounts and all warehouses.
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """
    A caller. *owners* are those that it may touch, `accounts/-` and `warehouses/-` all of a kind.
    A *guest* acts for a caller by a portal link.
    """

    name: str
    roles: frozenset[str]
    owners: frozenset[str]
    guest: bool = False

    @property
    def touches_everything(self) -> bool:
        """
        Whether the caller may touch all accounts and all warehouses.
        """
        return self.owners >= EVERY_OWNER

    def may_touch(self, owner: str) -> bool:
        """
        Tell whether the caller may touch *owner*, an account or a warehouse.
        """
        return owner in self.owners or f"{owner.partition('/')[0]}/-" in self.owners

    def has_role(self, *roles: str) -> bool:
        """
        Tell whether the caller has one of *roles*.
        """
        return not self.roles.isdisjoint(roles)


DEVELOPMENT = Caller("callers/development", ROLES, EVERY_OWNER)
"""
The only caller of a development environment.
"""

Identify = Callable[[Mapping[str, str | bytes], Mapping[str, Iterable[bytes]]], Caller | None]
"""
Returns the caller for the metadata and the authentication of a call, None if unknown.
"""

current_caller: ContextVar[Caller] = ContextVar("current_caller")
"""
The caller of the current call.
"""


def development_caller(
    _metadata: Mapping[str, str | bytes], _authentication: Mapping[str, Iterable[bytes]]
) -> Caller:
    """
    Identify every caller as the development caller, which may do everything.
    """
    return DEVELOPMENT
