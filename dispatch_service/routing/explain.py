"""
Explains what became of an event for a subscription, and why. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from dispatch_service.domain.transitions import State
from dispatch_service.routing.facts import Facts
from dispatch_service.routing.filters import why_filtered
from dispatch_service.routing.index import SubscriptionIndex
from dispatch_service.routing.match import may_subscribe
from dispatch_service.routing.owner_settings import OwnerSettings
from dispatch_service.routing.subscriptions import Subscription
from service_runtime.rpc import names
from shipedge.webhooks.catalogue import CATALOGUE, EventType


class Verdict(Enum):
    """
    What became of an event. The names are those of `Explanation.Verdict`.
    """

    DELIVERED = "VERDICT_DELIVERED"
    WAITING = "VERDICT_WAITING"
    FAILED = "VERDICT_FAILED"
    CANCELLED = "VERDICT_CANCELLED"
    NOT_MATCHED = "VERDICT_NOT_MATCHED"
    DELETED = "VERDICT_DELETED"


class Reason(Enum):
    """
    Why there is no delivery. The names are those of `Explanation.Reason`.
    """

    NONE = "REASON_UNSPECIFIED"
    EVENT_TYPE_DIFFERS = "REASON_EVENT_TYPE_DIFFERS"
    FILTER_DIFFERS = "REASON_FILTER_DIFFERS"
    INACTIVE = "REASON_INACTIVE"
    CREATED_LATER = "REASON_CREATED_LATER"
    FEATURE_MISSING = "REASON_FEATURE_MISSING"
    HELD = "REASON_HELD"
    NOT_RECORDED = "REASON_NOT_RECORDED"


_OF_STATE: Mapping[State, Verdict] = {
    State.PENDING: Verdict.WAITING,
    State.DELIVERING: Verdict.WAITING,
    State.SUCCEEDED: Verdict.DELIVERED,
    State.FAILED: Verdict.FAILED,
    State.CANCELLED: Verdict.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class EventDelivery:
    """
    A delivery of an event, by its name, with a *detail* for people.
    """

    name: str
    state: State
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedEvent:
    """
    An accepted event. *facts* is None where its content was erased.

    *deliveries* are those of it by the names of their subscriptions.
    """

    accept_time: datetime
    matched: bool
    facts: Facts | None
    deliveries: Mapping[str, EventDelivery]


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    The verdict on one subscription, with a *detail* for people.
    """

    subscription: str
    verdict: Verdict
    detail: str = ""
    delivery: str = ""
    reason: Reason = Reason.NONE


def explain_named(
    event: AcceptedEvent, owners: Sequence[str], subscriptions: SubscriptionIndex, name: str
) -> list[Explanation]:
    """
    Explain what became of *event* for the subscription *name*, which may not exist any more.
    Return nothing if it belongs to none of *owners*.
    """
    found = [it for it in explain_all(event, owners, subscriptions) if it.subscription == name]
    if found or names.owner_of(name) not in owners:
        return found
    return [
        Explanation(
            name, Verdict.DELETED, "there is no such subscription: it was deleted, or never was"
        )
    ]


def explain_all(
    event: AcceptedEvent, owners: Sequence[str], subscriptions: SubscriptionIndex
) -> Iterator[Explanation]:
    """
    Explain what became of *event* for each subscription of *owners*, those too that are held, and
    those that are known by their deliveries alone.
    """
    explained = set()
    for owner in owners:
        settings = subscriptions.settings(owner)
        for subscription in subscriptions.all_of_owner(owner):
            held = subscription.name in subscriptions.held
            explained.add(subscription.name)
            yield explain(event, subscription, settings, held=held)
        for name in subscriptions.unknown_held(owner):
            if name not in event.deliveries:
                explained.add(name)
                yield Explanation(name, Verdict.NOT_MATCHED, _HELD, reason=Reason.HELD)
    for name, delivery in event.deliveries.items():
        if name not in explained:
            yield _of_delivery(name, delivery)


def explain(
    event: AcceptedEvent,
    subscription: Subscription,
    settings: OwnerSettings,
    *,
    held: bool = False,
) -> Explanation:
    """
    Explain what became of *event* for *subscription*.

    Earlier revisions of a subscription are not stored. If it changed after the event, the detail
    says so, because the reason may not have held then.
    """
    name = subscription.name
    if (delivery := event.deliveries.get(name)) is not None:
        return _of_delivery(name, delivery)
    if subscription.deleted:
        return Explanation(name, Verdict.DELETED, "it was deleted")
    reason, detail = next(_reasons(event, subscription, settings, held=held))
    changed_later = subscription.update_time > event.accept_time
    if changed_later and reason not in {Reason.CREATED_LATER, Reason.NOT_RECORDED}:
        detail += f"; it was changed after the event, on {_shown(subscription.update_time)}"
    return Explanation(name, Verdict.NOT_MATCHED, detail, reason=reason)


def _of_delivery(subscription: str, delivery: EventDelivery) -> Explanation:
    verdict = _OF_STATE[delivery.state]
    return Explanation(subscription, verdict, delivery.detail, delivery.name)


_HELD = "it is held: the configuration lacks it without having deleted it, or it cannot be used"


def _reasons(
    event: AcceptedEvent, subscription: Subscription, settings: OwnerSettings, *, held: bool
) -> Iterator[tuple[Reason, str]]:
    """
    Yield the reasons against a delivery, the strongest first, and last that there is none.
    """
    if subscription.create_time > event.accept_time:
        made = _shown(subscription.create_time)
        yield Reason.CREATED_LATER, f"it was made after the event, on {made}"
    if event.facts is None:
        yield Reason.NOT_RECORDED, "the content of the event was erased or is past its retention"
    else:
        yield from _mismatches(event.facts, subscription, settings)
    if held:
        yield Reason.HELD, _HELD
    if not subscription.active:
        yield Reason.INACTIVE, "it is Inactive"
    if not event.matched:
        yield Reason.NOT_RECORDED, "the event waits for the subscriptions to be known"
    if subscription.update_time > event.accept_time:
        changed = _shown(subscription.update_time)
        yield Reason.CREATED_LATER, f"it was changed after the event, on {changed}"
    yield (
        Reason.NOT_RECORDED,
        (
            "it wants the event, but no delivery of it is stored: none was made yet, or it is past"
            " its retention"
        ),
    )


def _mismatches(
    facts: Facts, subscription: Subscription, settings: OwnerSettings
) -> Iterator[tuple[Reason, str]]:
    wanted = subscription.event_type
    raised = [it.event_type for it in facts.event_types]
    if wanted not in raised:
        found = f"{', '.join(raised)}, not" if raised else "no event type, and it wants"
        yield Reason.EVENT_TYPE_DIFFERS, f"the event raised {found} {wanted}"
        return
    event_type: EventType = CATALOGUE.event_types[wanted]
    if not may_subscribe(subscription, event_type, settings):
        yield Reason.FEATURE_MISSING, f"{subscription.owner} lacks the feature for {wanted}"
    if reason := why_filtered(subscription, event_type, facts):
        yield Reason.FILTER_DIFFERS, reason


def _shown(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S UTC")
