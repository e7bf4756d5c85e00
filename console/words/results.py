"""
The health of a webhook and the result of an attempt, in words.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from console.words import times
from shipedge.webhooks.config.v1.subscription_pb2 import EndpointHealth, Subscription
from shipedge.webhooks.dispatch.v1.attempt_pb2 import Attempt
from shipedge.webhooks.dispatch.v1.delivery_pb2 import Delivery
from shipedge.webhooks.dispatch.v1.payload_service_pb2 import Explanation
from shipedge.webhooks.events.v1.failure_kind_pb2 import FailureKind
from shipedge.webhooks.failures.words import parts_of


@dataclass(frozen=True, slots=True)
class Verdict:
    """
    A word, the kind of its colour (`good`, `bad` or `plain`) and a sentence.
    """

    word: str
    kind: str
    sentence: str = ""


def health(webhook: Subscription) -> Verdict:
    """
    Say how a webhook fares.
    """
    if webhook.HasField("delete_time"):
        return Verdict(
            "Deleted", "plain", f"can be restored until {times.shown(webhook.purge_time)}"
        )
    if webhook.status != Subscription.STATUS_ACTIVE:
        return Verdict("Inactive", "plain", _inactive_sentence(webhook))
    found = webhook.endpoint_health
    if found.state in {EndpointHealth.STATE_UNSPECIFIED, EndpointHealth.STATE_HEALTHY}:
        word = "Healthy" if found.state else "No reports"
        return Verdict(word, "good" if found.state else "plain")
    why = reason(found.response_code, found.failure_kind)
    since = times.shown(
        found.failing_start_time if found.HasField("failing_start_time") else found.report_time
    )
    return Verdict("Failing", "bad", f"since {since}: {why}")


def _inactive_sentence(webhook: Subscription) -> str:
    return {
        Subscription.STATUS_REASON_GONE: "the server answered 410 Gone",
        Subscription.STATUS_REASON_FAILING: "it failed for too long",
        Subscription.STATUS_REASON_UNVERIFIED: "its URL has not answered the challenge yet",
    }.get(webhook.status_reason, "switched off")


def kind(failure: FailureKind.ValueType) -> str:
    """
    Return a kind of failure as a word: `http status`.
    """
    return kind_name(failure).replace("_", " ").lower()


def kind_name(failure: FailureKind.ValueType) -> str:
    """
    Return a kind of failure as filters have it: `HTTP_STATUS`.
    """
    return FailureKind.Name(failure).removeprefix("FAILURE_KIND_")


def of_attempt(attempt: Attempt) -> Verdict:
    """
    Say how an attempt ended, and what to do about a failure.
    """
    if attempt.status == Attempt.STATUS_SUCCESS:
        return Verdict("Success", "good", f"HTTP {attempt.response_code}")
    if attempt.status == Attempt.STATUS_INTERRUPTED:
        return Verdict("Interrupted", "plain", "whether the request arrived is not known")
    return Verdict("Failure", "bad", reason(attempt.response_code, attempt.failure_kind))


def reason(code: int, failure: FailureKind.ValueType) -> str:
    """
    Say why something failed: `HTTP 503`, `timeout`; nothing if it did not.
    """
    if code:
        return f"HTTP {code}"
    return kind(failure) if failure else ""


_STATES = {
    Delivery.STATE_PENDING: Verdict("Waiting", "plain"),
    Delivery.STATE_DELIVERING: Verdict("Being sent", "plain"),
    Delivery.STATE_SUCCEEDED: Verdict("Delivered", "good"),
    Delivery.STATE_FAILED: Verdict("Failed", "bad"),
    Delivery.STATE_CANCELLED: Verdict("Cancelled", "plain"),
}


def of_state(state: Delivery.State.ValueType) -> Verdict:
    """
    Say how far a delivery is.
    """
    return _STATES.get(state, Verdict("Not known", "plain"))


_EXPLAINED = {
    Explanation.VERDICT_DELIVERED: Verdict("Delivered", "good"),
    Explanation.VERDICT_WAITING: Verdict("Waiting", "plain"),
    Explanation.VERDICT_FAILED: Verdict("Failed", "bad"),
    Explanation.VERDICT_CANCELLED: Verdict("Cancelled", "plain"),
    Explanation.VERDICT_NOT_MATCHED: Verdict("Not sent", "plain"),
    Explanation.VERDICT_DELETED: Verdict("Webhook deleted", "plain"),
}


def of_explanation(explanation: Explanation) -> Verdict:
    """
    Say what became of an event for a webhook, and why.
    """
    found = _EXPLAINED.get(explanation.verdict, Verdict("Not known", "plain"))
    return replace(found, sentence=explanation.detail)


def explained(attempt: Attempt) -> tuple[str, str]:
    """
    Return how an attempt failed and what to do about it, as sentences; nothing for a success.
    """
    happened, to_do = parts_of(attempt.error, attempt.failure_kind, attempt.response_code)
    return _sentence(happened), _sentence(to_do)


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:].removesuffix('.')}." if text else ""
