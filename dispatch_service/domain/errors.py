"""
The errors that callers of the dispatch service see. Each has a reason of
`shipedge.webhooks.errors.v1.ErrorReason`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from service_runtime.rpc import names
from service_runtime.rpc.errors import (
    AlreadyExists,
    FailedPrecondition,
    FieldFault,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
)

RETRY_AFTER = timedelta(seconds=1)
"""
How long a publisher is asked to wait when the backlog is full.
"""


class EventInvalid(InvalidArgument):
    reason = "EVENT_INVALID"

    def __init__(self, faults: Sequence[tuple[str, str]]) -> None:
        super().__init__(
            "The event is not valid.", faults=[FieldFault(field, text) for field, text in faults]
        )


def event_type_unknown(event_type: str) -> FieldFault:
    """
    Return the fault of a request that names an event type which does not exist.
    """
    return FieldFault(
        "event_type",
        f"{event_type!r} is not an event type; ListEventTypes lists them",
        "EVENT_TYPE_UNKNOWN",
        {"eventType": event_type},
    )


def payload_version_unknown(
    field: str, event_type: str, version: str, offered: Sequence[str]
) -> FieldFault:
    """
    Return the fault of a request that names in *field* a version that an event type has not.
    """
    allowed = ", ".join(offered)
    return FieldFault(
        field,
        f"{version!r} is not offered for {event_type}: choose {allowed}",
        "PAYLOAD_VERSION_UNKNOWN",
        {"eventType": event_type, "payloadVersion": version, "offered": allowed},
    )


class EventTypeNotRaised(FailedPrecondition):
    reason = "EVENT_TYPE_NOT_RAISED"

    def __init__(self, event_type: str, raised: Sequence[str]) -> None:
        super().__init__(
            f"The event does not raise {event_type}, but {', '.join(raised) or 'nothing'}.",
            eventType=event_type,
            raised=", ".join(raised),
        )


class EventNotFound(NotFound):
    reason = "EVENT_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no event {name}.", name=name)


class SubscriptionNotFound(NotFound):
    """
    The subscription does not exist, or the feed has not brought it yet.
    """

    reason = "SUBSCRIPTION_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no subscription {name}.", name=name)


class BatchInvalid(InvalidArgument):
    reason = "BATCH_INVALID"

    def __init__(self, events: int, limit: int) -> None:
        super().__init__(
            "The batch is not valid.",
            faults=[FieldFault("events", f"must be 1 to {limit}, not {events}")],
            events=str(events),
            limit=str(limit),
        )


class BatchTooLarge(InvalidArgument):
    """
    The batch has *size* bytes.
    """

    reason = "BATCH_INVALID"

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            "The batch is not valid.",
            faults=[FieldFault("events", f"must be {limit} bytes in all at most, not {size}")],
            bytes=str(size),
            limit=str(limit),
        )


class BatchTooDeep(InvalidArgument):
    """
    The batch holds more messages than *limit*, those within its events counted.
    """

    reason = "BATCH_INVALID"

    def __init__(self, limit: int) -> None:
        fault = FieldFault("events", f"must hold {limit} messages in all at most, at any depth")
        super().__init__("The batch is not valid.", faults=[fault], limit=str(limit))


class EventIdReused(AlreadyExists):
    """
    The id of an event was used for other content.
    """

    reason = "EVENT_ID_REUSED"

    def __init__(self, account: int, event_id: str) -> None:
        name = names.event(account, event_id)
        super().__init__(f"{name} was published before with other content.", name=name)


class BacklogFull(ResourceExhausted):
    """
    The backlog is full: *count* of *what*, which is beyond *limit*.

    Where *owner* is given, only this one is refused: it holds *held* of them, and has its share.
    """

    reason = "BACKLOG_FULL"

    def __init__(
        self,
        what: str,
        count: int,
        limit: int,
        retry_after: timedelta = RETRY_AFTER,
        *,
        owner: str = "",
        held: int = 0,
    ) -> None:
        seconds = f"{retry_after.total_seconds():g}"
        text = f"{count} {what}; the limit is {limit}"
        if owner:
            text = f"{count} {what}, {held} for {owner}; its share leaves it {limit} in all"
        super().__init__(
            f"{text}; try again in {seconds} s.",
            retry_after=retry_after,
            waiting=str(count),
            limit=str(limit),
        )
        if owner:
            self.metadata |= {"owner": owner, "held": str(held)}


class DeliveryNotFound(NotFound):
    reason = "DELIVERY_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no delivery {name}.", name=name)


class AttemptNotFound(NotFound):
    reason = "ATTEMPT_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no attempt {name}.", name=name)


class DeliverySucceeded(FailedPrecondition):
    """
    A delivery that succeeded is resent only with `force`.
    """

    reason = "DELIVERY_SUCCEEDED"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} succeeded; set force to send it again.", name=name)


class SubscriptionInactive(FailedPrecondition):
    """
    Nothing is sent to an Inactive subscription.
    """

    reason = "SUBSCRIPTION_INACTIVE"

    def __init__(self, subscription: str) -> None:
        super().__init__(f"{subscription} is Inactive.", subscription=subscription)


class SubscriptionDeleted(FailedPrecondition):
    """
    Nothing is sent to a deleted subscription.
    """

    reason = "SUBSCRIPTION_DELETED"

    def __init__(self, subscription: str) -> None:
        super().__init__(f"{subscription} was deleted.", subscription=subscription)


class BodyErased(FailedPrecondition):
    """
    The payload was erased or is past its retention.
    """

    reason = "BODY_ERASED"

    def __init__(self, name: str) -> None:
        super().__init__(f"The payload of {name} was erased or is past its retention.", name=name)


class DeliveryEnded(FailedPrecondition):
    """
    A delivery that has ended cannot be cancelled.
    """

    reason = "DELIVERY_ENDED"

    def __init__(self, name: str, state: str) -> None:
        super().__init__(f"{name} has ended: it is {state}.", name=name, state=state)


class ResendJobNotFound(NotFound):
    reason = "RESEND_JOB_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no resend job {name}.", name=name)


class ResendJobEnded(FailedPrecondition):
    """
    A job that has ended cannot be stopped.
    """

    reason = "RESEND_JOB_ENDED"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has ended.", name=name)


class ReplayJobNotFound(NotFound):
    reason = "REPLAY_JOB_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no replay job {name}.", name=name)


class ReplayJobEnded(FailedPrecondition):
    """
    A job that has ended cannot be stopped.
    """

    reason = "REPLAY_JOB_ENDED"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has ended.", name=name)


class CursorInvalid(InvalidArgument):
    reason = "CURSOR_INVALID"

    def __init__(self, method: str) -> None:
        super().__init__(
            "The cursor is not one of this stream.",
            faults=[FieldFault("cursor", "must be that of an answer to the same request")],
            method=method,
        )
