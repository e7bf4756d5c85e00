"""
What a snapshot does not name. No I/O, no clock.

Only a deletion that is named ends deliveries. What is missing may be missing because the
database of the config service was lost, restored or replaced, and may come back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from service_runtime.rpc import names

ALARMING_COUNT = 10
ALARMING_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Absence:
    """
    The names that a snapshot lacks: those that are held for a time, and those that are dropped
    at once. *alarming*: it lacks so many subscriptions that its database is probably a wrong one.
    """

    held: frozenset[str]
    dropped: frozenset[str]
    alarming: bool

    @property
    def subscriptions(self) -> list[str]:
        """
        The names of subscriptions among the held ones.
        """
        return sorted(filter(names.is_subscription, self.held))


def judge(missing: Collection[str], known: Collection[str]) -> Absence:
    """
    Judge the names that are *missing* in a snapshot, of all that are *known*.

    Subscriptions are held, and with them whatever else is missing of their owners: credentials,
    certificates and settings, which their deliveries need. Callers are dropped.
    """
    subscriptions = {name for name in missing if names.is_subscription(name)}
    owners = {names.owner_of(name) for name in subscriptions}
    held = {name for name in missing if names.owner_of(name) in owners}
    count = sum(map(names.is_subscription, known))
    alarming = len(subscriptions) > max(ALARMING_COUNT, count * ALARMING_SHARE)
    return Absence(frozenset(held), frozenset(missing) - held, alarming)
