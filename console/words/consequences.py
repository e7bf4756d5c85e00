"""
What will happen, said before it is done.
"""

from __future__ import annotations

from dataclasses import dataclass

from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from shipedge.webhooks.dispatch.v1.delivery_pb2 import Delivery


@dataclass(frozen=True, slots=True)
class Question:
    """
    What a page asks before something is done: its title, what follows, the button's text, and
    what the reader must be able to do.
    """

    title: str
    follows: str
    button: str
    dangerous: bool = False
    needs: str = "administer"


ACTIONS = {
    "test": Question(
        "Send a test?",
        "A sample of this event is sent to the address at once. It is marked as a test, in the"
        " header X-Shipedge-Test and in the log.",
        "Send the test",
        needs="operate",
    ),
    "rotate": Question(
        "Rotate the signing secret?",
        "A new secret is made and shown once. Requests are signed with the old one too, for as"
        " long as you choose here; after that, receivers that know only the old one refuse them.",
        "Make a new secret",
        dangerous=True,
    ),
    "delete": Question(
        "Delete this webhook?",
        "Nothing is sent to the address any more. Its log stays. It can be restored for 30 days,"
        " without the deliveries that are cancelled now.",
        "Delete it",
        dangerous=True,
    ),
    "undelete": Question(
        "Restore this webhook?",
        "It gets the events that are published from now on. Deliveries that were cancelled when it"
        " was deleted stay cancelled.",
        "Restore it",
    ),
    "activate": Question(
        "Switch this webhook on?",
        "It gets the events that are published from now on, and what waits is sent.",
        "Switch it on",
    ),
    "deactivate": Question(
        "Switch this webhook off?",
        "Nothing is sent while it is off: new events are passed over, and what waits is kept until"
        " it expires.",
        "Switch it off",
        dangerous=True,
    ),
}

_WAITING_MATTERS = {
    "delete": "cancelled",
    "activate": "sent",
    "deactivate": "kept",
}


def of_waiting(action: str, count: int, *, more: bool) -> str:
    """
    Say what becomes of the deliveries that wait; nothing if *action* does not touch them.
    """
    if action not in _WAITING_MATTERS:
        return ""
    if not count:
        return "No delivery waits now."
    number = f"More than {count:,}" if more else f"{count:,}"
    noun, verb = ("delivery", "waits") if count == 1 and not more else ("deliveries", "wait")
    be = "is" if count == 1 and not more else "are"
    return f"{number} {noun} {verb} now and {be} {_WAITING_MATTERS[action]}."


def of_test(webhook: Subscription) -> str:
    """
    Say why a test cannot be sent; nothing if it can.
    """
    if webhook.HasField("delete_time"):
        return "This webhook is deleted. Restore it first."
    if webhook.status != Subscription.STATUS_ACTIVE:
        return "This webhook is Inactive. Switch it on first."
    return ""


_RESENDS = {
    Delivery.STATE_PENDING: "This delivery waits. It becomes due now.",
    Delivery.STATE_DELIVERING: "An attempt of this delivery is being made right now.",
    Delivery.STATE_SUCCEEDED: "The receiver has confirmed this delivery. It gets the same request"
    " once more, with the same webhook-id; a receiver that deduplicates ignores it.",
    Delivery.STATE_FAILED: "This delivery failed. It is sent again, with a fresh retry schedule.",
    Delivery.STATE_CANCELLED: "This delivery was cancelled. It is sent all the same, with a fresh"
    " retry schedule.",
}


def of_resend(delivery: Delivery) -> str:
    """
    Say what a resend of *delivery* does.
    """
    return _RESENDS.get(delivery.state, "")


def needs_force(delivery: Delivery) -> bool:
    """
    Tell whether a resend repeats what the receiver has confirmed.
    """
    return delivery.state == Delivery.STATE_SUCCEEDED
