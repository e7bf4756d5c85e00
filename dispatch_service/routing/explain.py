"""
Explains why an event was or was not sent to a subscription. No I/O, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from dispatch_service.routing.facts import Facts
from dispatch_service.routing.filters import why_filtered
from dispatch_service.routing.match import may_subscribe
from dispatch_service.routing.owner_settings import OwnerSettings
from dispatch_service.routing.subscriptions import Subscription
from service_runtime.rpc import names
from shipedge.webhooks.catalogue import CATALOGUE, EventType


class Verdict(Enum):
    """
    Whether an event was sent, or why not. The names are those of `Explanation.Verdict`.
    """

    SENT = "VERDICT_SENT"
    EVENT_TYPE_DIFFERS = "VERDICT_EVENT_TYPE_DIFFERS"
    FILTER_DIFFERS = "VERDICT_FILTER_DIFFERS"
    INACTIVE = "VERDICT_INACTIVE"
    CREATED_LATER = "VERDICT_CREATED_LATER"
    FEATURE_MISSING = "VERDICT_FEATURE_MISSING"
    NOT_RECORDED = "VERDICT_NOT_RECORDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedEvent:
    """
    An accepted event. *facts* is None where its content was erased.

    *deliveries* maps names of subscriptions to ids of deliveries.
    """

    accept_time: datetime
    matched: bool
    facts: Facts | None
    deliveries: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    The verdict on one subscription, with a *detail* for people.
    """

    subscription: str
    verdict: Verdict
    detail: str = ""
    delivery: str = ""


def explain(
    event: AcceptedEvent, subscription: Subscription, settings: OwnerSettings
) -> Explanation:
    """
    Explain why *event* was or was not sent to *subscription*.

    Earlier revisions of a subscription are not stored. If it changed after the event, the detail
    says so, because the reason may not have held then.
    """
    delivery_id = event.deliveries.get(subscription.name)
    if delivery_id is not None:
        delivery = names.delivery(subscription.owner, delivery_id)
        return Explanation(subscription.name, Verdict.SENT, "", delivery)
    verdict, detail = next(_reasons(event, subscription, settings))
    changed_later = subscription.update_time > event.accept_time
    if changed_later and verdict not in {Verdict.CREATED_LATER, Verdict.NOT_RECORDED}:
        detail += f"; it was changed after the event, on {_shown(subscription.update_time)}"
    return Explanation(subscription.name, verdict, detail)


def _reasons(
    event: AcceptedEvent, subscription: Subscription, settings: OwnerSettings
) -> Iterator[tuple[Verdict, str]]:
    """
    Yield the reasons against a delivery, the strongest first, and last that there is none.
    """
    if subscription.create_time > event.accept_time:
        made = _shown(subscription.create_time)
        yield Verdict.CREATED_LATER, f"it was made after the event, on {made}"
    if event.facts is None:
        yield Verdict.NOT_RECORDED, "the content of the event was erased or is past its retention"
    else:
        yield from _mismatches(event.facts, subscription, settings)
    if not subscription.active:
        yield Verdict.INACTIVE, "it is Inactive"
    if not event.matched:
        yield Verdict.NOT_RECORDED, "the event waits for the subscriptions to be known"
    if subscription.update_time > event.accept_time:
        changed = _shown(subscription.update_time)
        yield Verdict.CREATED_LATER, f"it was changed after the event, on {changed}"
    yield (
        Verdict.NOT_RECORDED,
        (
            "it wants the event, but no delivery of it is stored: none was made yet, or it is past"
            " its retention"
        ),
    )


def _mismatches(
    facts: Facts, subscription: Subscription, settings: OwnerSettings
) -> Iterator[tuple[Verdict, str]]:
    wanted = subscription.event_type
    raised = [it.event_type for it in facts.event_types]
    if wanted not in raised:
        found = f"{', '.join(raised)}, not" if raised else "no event type, and it wants"
        yield Verdict.EVENT_TYPE_DIFFERS, f"the event raised {found} {wanted}"
        return
    event_type: EventType = CATALOGUE.event_types[wanted]
    if not may_subscribe(subscription, event_type, settings):
        yield Verdict.FEATURE_MISSING, f"{subscription.owner} lacks the feature for {wanted}"
    if reason := why_filtered(subscription, event_type, facts):
        yield Verdict.FILTER_DIFFERS, reason


def _shown(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%d %H:%M:%S UTC")
