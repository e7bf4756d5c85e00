"""
Between the fields of the form and a subscription.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from console.web.forms import Form, lines, text
from console.words import durations
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription

TEXTS = ("event_type", "payload_version", "url", "credential", "client_certificate", "description")
FILTERS = {
    "statuses": "Statuses",
    "shipping_methods": "Shipping methods",
    "store_ids": "Stores",
    "order_types": "Order types",
    "skus": "SKUs",
    "channels": "Channels",
}
SETTABLE = (*TEXTS, "status", "format", "filter", "custom_headers", "ordered", "retry_schedule")


_Reader = Callable[[Subscription, Form], None]


class FieldInvalidError(Exception):
    """
    A field of the form cannot be read; *problems* has a sentence for each.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.problems = problems


def subscription_of(form: Form) -> Subscription:
    """
    Read a subscription from the form. Raises `FieldInvalidError`.
    """
    active = text(form, "status") != "inactive"
    webhook = Subscription(
        status=Subscription.STATUS_ACTIVE if active else Subscription.STATUS_INACTIVE,
        format=Subscription.PAYLOAD_FORMAT_JSON,
        ordered=bool(text(form, "ordered")),
    )
    for name in TEXTS:
        setattr(webhook, name, text(form, name))
    problems = {
        field: str(problem)
        for field, read in _READERS.items()
        if (problem := _problem_of(read, webhook, form)) is not None
    }
    if problems:
        raise FieldInvalidError(problems)
    return webhook


def _problem_of(read: _Reader, webhook: Subscription, form: Form) -> ValueError | None:
    try:
        read(webhook, form)
    except ValueError as problem:
        return problem
    return None


def _read_headers(webhook: Subscription, form: Form) -> None:
    for line in lines(form, "custom_headers"):
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(f"{name!r} has no colon; write Name: value, one header a line")
        webhook.custom_headers.add(name=name.strip(), value=value.strip())


def _read_filter(webhook: Subscription, form: Form) -> None:
    for name in FILTERS:
        values = lines(form, name)
        if name == "store_ids":
            if not all(value.isdecimal() for value in values):
                raise ValueError("a store is a number, one a line")
            webhook.filter.store_ids.extend(map(int, values))
        else:
            getattr(webhook.filter, name).extend(values)


def _read_schedule(webhook: Subscription, form: Form) -> None:
    if delays := durations.parse(text(form, "retry_schedule")):
        webhook.retry_schedule.delays.extend(delays)


_READERS: Mapping[str, _Reader] = {
    "custom_headers": _read_headers,
    "filter": _read_filter,
    "retry_schedule": _read_schedule,
}


def form_of(webhook: Subscription) -> dict[str, str]:
    """
    Return the fields of the form for a subscription. Values of headers are never shown.
    """
    shown = {name: str(getattr(webhook, name)) for name in TEXTS}
    shown |= {name: "\n".join(map(str, getattr(webhook.filter, name))) for name in FILTERS}
    inactive = webhook.status == Subscription.STATUS_INACTIVE
    return shown | {
        "status": "inactive" if inactive else "active",
        "custom_headers": "\n".join(f"{header.name}:" for header in webhook.custom_headers),
        "ordered": "yes" if webhook.ordered else "",
        "retry_schedule": ", ".join(map(durations.written, webhook.retry_schedule.delays)),
    }


def changed_fields(shown: Mapping[str, str], form: Form) -> list[str]:
    """
    Return the fields of a subscription that a form changes, as paths of an update mask.
    """
    changed = {name for name in shown if shown[name].split() != text(form, name).split()}
    if changed & FILTERS.keys():
        changed.add("filter")
    return [name for name in SETTABLE if name in changed]
