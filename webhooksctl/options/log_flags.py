"""
The flags that choose deliveries, attempts and endpoint events, and the filter that they make.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final

from webhooksctl.options.completion import event_types
from webhooksctl.options.groups import Flag, Given
from webhooksctl.words import filters

TIMES: Final = (
    Flag("since", "From then on: 2h (ago), 2026-01-31, 2026-01-31T09:30:00Z."),
    Flag("until", "Before then, as --since."),
)

_SUBSCRIPTION: Final = Flag("subscription", "The id or name of a subscription.")
_MORE: Final = Flag("filter", "More comparisons, as the API reads them.")

_CHOICES: Final = (
    Flag("failed", "Only what failed.", bool, default=False),
    Flag("event", "The event type: orders/shipped.", completed=event_types),
    Flag("version", "The payload version: v2."),
    Flag("url", "A URL, one as readers see it, or its beginning up to the port and *."),
    _SUBSCRIPTION,
    Flag("order", "The id of an order: 12345."),
    Flag("code", "The status code of the response: 503.", int | None, default=None),
    Flag("kind", "How it failed: timeout, dns, connect, tls, certificate, http_status, …"),
    _MORE,
)

STATE: Final = Flag("state", "pending, delivering, succeeded, failed or cancelled.")

DELIVERIES: Final = (*TIMES, STATE, *_CHOICES)
WATCHED: Final = _CHOICES
ENDPOINT_EVENTS: Final = (
    *TIMES,
    Flag("kind", "failing, recovered, gone, deactivated, events_skipped, certificate_expiring, …"),
    _SUBSCRIPTION,
    Flag("failure", "How it failed: timeout, dns, connect, tls, certificate, http_status, …"),
    _MORE,
)
ATTEMPTS: Final = (*TIMES, *_CHOICES)


def delivery_filter(given: Given, now: datetime, full: Callable[[str], str]) -> str:
    """
    Return the filter of deliveries. *full* makes the name of a subscription of its id.

    Raises `ValueError`.
    """
    if given["failed"] and given["state"]:
        raise ValueError("--failed: with --state it says the same or the opposite")
    state = "FAILED" if given["failed"] else str(given["state"]).upper()
    parts = filters.between("create_time", given["since"], given["until"], now)
    parts += [f"state = {state}"] * bool(state)
    return filters.joined([*parts, *_common(given, full)], given["filter"])


def attempt_filter(given: Given, now: datetime, full: Callable[[str], str]) -> str:
    """
    Return the filter of attempts. Raises `ValueError`.
    """
    since, until = given.get("since", ""), given.get("until", "")
    parts = filters.between("start_time", since, until, now)
    parts += ["status != SUCCESS"] * given["failed"]
    return filters.joined([*parts, *_common(given, full)], given["filter"])


def endpoint_event_filter(given: Given, now: datetime, full: Callable[[str], str]) -> str:
    """
    Return the filter of endpoint events. *full* makes the name of a subscription of its id.

    Raises `ValueError`.
    """
    parts = filters.between("occur_time", given["since"], given["until"], now)
    parts += [f"kind = {given['kind'].upper()}"] * bool(given["kind"])
    name = given["subscription"] and full(given["subscription"])
    parts += filters.equal({"subscription": name})
    parts += [f"failure_kind = {given['failure'].upper()}"] * bool(given["failure"])
    return filters.joined(parts, given["filter"])


def _common(given: Given, full: Callable[[str], str]) -> list[str]:
    parts = filters.equal(
        {
            "event_type": given["event"],
            "payload_version": given["version"],
            "url": given["url"],
            "subscription": given["subscription"] and full(given["subscription"]),
            "resource": given["order"] and f"orders/{given['order'].removeprefix('orders/')}",
        }
    )
    parts += [f"response_code = {given['code']}"] * (given["code"] is not None)
    return parts + [f"failure_kind = {given['kind'].upper()}"] * bool(given["kind"])
