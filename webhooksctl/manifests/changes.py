"""
What must be changed so that an owner has what a manifest describes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from webhooksctl.manifests.content import FIELDS, Manifest
from webhooksctl.words.values import text_at

_SECRETS_WITH_URL = ("custom_headers", "credential", "client_certificate")
"""
What the API wants again with another URL, so that no secret goes to a new host unasked.
"""


class Action(StrEnum):
    """
    What is done to a subscription.
    """

    CREATE = "create"
    UPDATE = "update"
    RESTORE = "restore"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Difference:
    """
    A field that changes, with its texts.
    """

    field: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Change:
    """
    What is done to one subscription: *wanted* with the fields *paths* is sent.
    """

    action: Action
    wanted: Subscription
    differences: tuple[Difference, ...] = ()
    paths: tuple[str, ...] = ()


def changes(
    manifest: Manifest, present: Iterable[Subscription], *, prune: bool, secrets: bool
) -> Iterator[Change]:
    """
    Yield the changes, deletions last. *present* are the subscriptions of the owner, deleted ones
    too. Only with *prune* those are deleted that the manifest lacks; only with *secrets* the values
    of headers are sent again, because no answer shows them.
    """
    there = {each.name: each for each in present}
    for wanted in manifest.subscriptions.values():
        yield from _change(wanted, there.pop(wanted.name, None), secrets=secrets)
    if prune:
        for each in there.values():
            if not each.HasField("delete_time"):
                yield Change(Action.DELETE, each)


def _change(wanted: Subscription, found: Subscription | None, *, secrets: bool) -> Iterator[Change]:
    if found is None:
        given = {field.name for field, _ in wanted.ListFields()}
        shown = tuple(Difference(it, "", _shown(wanted, it)) for it in FIELDS if it in given)
        yield Change(Action.CREATE, wanted, shown)
        return
    differences = tuple(_differences(wanted, found, secrets=secrets))
    paths = {it.field for it in differences}
    if "url" in paths:
        paths |= {it for it in _SECRETS_WITH_URL if getattr(wanted, it)}
    ordered = tuple(it for it in FIELDS if it in paths)
    if found.HasField("delete_time"):
        yield Change(Action.RESTORE, wanted, differences, ordered)
    elif differences:
        sent = Subscription()
        sent.CopyFrom(wanted)
        # Who changed it since it was read is not overruled.
        sent.etag = found.etag
        yield Change(Action.UPDATE, sent, differences, ordered)


def _differences(
    wanted: Subscription, found: Subscription, *, secrets: bool
) -> Iterator[Difference]:
    for field in FIELDS:
        before, after = _shown(found, field), _shown(wanted, field)
        if before != after:
            yield Difference(field, before, after)
        elif field == "custom_headers" and secrets and _has_values(wanted):
            yield Difference(field, before, f"{after} (values)")


def _has_values(wanted: Subscription) -> bool:
    return any(header.value for header in wanted.custom_headers)


def _shown(subscription: Subscription, field: str) -> str:
    """
    Return the text of a field that is compared: of headers the names alone, in any order.
    """
    if field == "custom_headers":
        return ", ".join(sorted(header.name for header in subscription.custom_headers))
    return text_at(subscription, "retry_schedule.delays" if field == "retry_schedule" else field)


def with_secrets(change: Change, resolved: Callable[[str], str]) -> Change:
    """
    Return a change with the values that the references of its headers name.
    """
    sends = change.action is Action.CREATE or "custom_headers" in change.paths
    if not sends:
        return change
    wanted = Subscription()
    wanted.CopyFrom(change.wanted)
    for header in wanted.custom_headers:
        header.value = resolved(header.value)
    return Change(change.action, wanted, change.differences, change.paths)
