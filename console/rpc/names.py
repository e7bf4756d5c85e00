"""
Names of resources, put together from the parts of paths.
"""

from __future__ import annotations


def event_type_name(event_type: str) -> str:
    """
    Return the name of an event type.
    """
    return f"eventTypes/{event_type}"


def subscription_name(owner: str, subscription: str) -> str:
    """
    Return the name of a subscription.
    """
    return f"{owner}/subscriptions/{subscription}"


def owner_and_id(name: str) -> tuple[str, str]:
    """
    Return the owner and the id in the name of a subscription.
    """
    owner, _, identifier = name.partition("/subscriptions/")
    return owner, identifier


def delivery_name(owner: str, delivery: str) -> str:
    """
    Return the name of a delivery; `-` stands for all of the owner.
    """
    return f"{owner}/deliveries/{delivery}"


def attempt_name(delivery: str, number: str) -> str:
    """
    Return the name of an attempt of the delivery with the name *delivery*.
    """
    return f"{delivery}/attempts/{number}"


def event_name(owner: str, event: str) -> str:
    """
    Return the name of an event.
    """
    return f"{owner}/events/{event}"


def resend_job_name(owner: str, job: str) -> str:
    """
    Return the name of a resend job.
    """
    return f"{owner}/resendJobs/{job}"
