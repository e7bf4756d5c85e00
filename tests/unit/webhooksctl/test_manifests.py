"""
Manifests, and the changes that they ask for.
"""

from __future__ import annotations

import pytest
import yaml

from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from webhooksctl.manifests.changes import Action, Change, changes, with_secrets
from webhooksctl.manifests.content import FIELDS, Manifest, read_manifests, written
from webhooksctl.manifests.reading import ManifestInvalidError

WHOLE = """
owner: "100"
subscriptions:
  sub_all:
    event_type: orders/shipped_by_store
    payload_version: v3
    url: env:URL
    status: inactive
    description: all fields
    filter: {store_ids: [7, 9], channels: [shopify]}
    custom_headers: {X-Token: env:TOKEN, X-Kept: null}
    credential: crd_a
    client_certificate: crt_a
    signing_key: key_a
    asymmetric_signature: true
    trace_context: true
    verify_url: true
    ordered: true
    retry_schedule: [5s, 1h30m]
    deactivate_after: 2d
    max_concurrency: 3
    rate_limit: 10
"""

VALUES = {"env:URL": "https://a.example/x", "env:TOKEN": "secret"}


def resolved(text: str) -> str:
    """
    Read a reference.
    """
    return VALUES.get(text, text)


def manifest(text: str = WHOLE) -> Manifest:
    """
    Read a manifest of one document.
    """
    (found,) = read_manifests(text, resolved)
    return found


def present(text: str = WHOLE) -> Subscription:
    """
    Return the subscription of a manifest as the service would show it.
    """
    (found,) = manifest(text).subscriptions.values()
    shown = Subscription()
    shown.CopyFrom(found)
    for header in shown.custom_headers:
        header.value, header.value_set = "", True
    shown.etag, shown.topic, shown.format = '"r7"', "x", Subscription.PAYLOAD_FORMAT_JSON
    return shown


def planned(
    wanted: str, *found: Subscription, prune: bool = False, secrets: bool = False
) -> list[Change]:
    """
    Return the changes from *found* to a manifest.
    """
    return list(changes(manifest(wanted), found, prune=prune, secrets=secrets))


def test_all_fields_are_read() -> None:
    """
    Each field of a subscription that can be set, in the words of people.
    """
    found = present()

    assert found.name == "accounts/100/subscriptions/sub_all"
    assert found.url == "https://a.example/x"
    assert found.status == Subscription.STATUS_INACTIVE
    assert list(found.filter.store_ids) == [7, 9]
    assert [it.name for it in found.custom_headers] == ["X-Token", "X-Kept"]
    assert found.credential == "accounts/100/credentials/crd_a"
    assert found.client_certificate == "accounts/100/clientCertificates/crt_a"
    assert [it.seconds for it in found.retry_schedule.delays] == [5, 5400]
    assert found.deactivate_after.seconds == 172_800
    assert {field.name for field, _ in found.ListFields()} >= set(FIELDS)


def test_what_is_exported_changes_nothing() -> None:
    """
    Written and read again, a subscription is the same.
    """
    found = present()
    content = {
        "owner": "accounts/100",
        "subscriptions": {"sub_all": written(found)},
    }
    text = yaml.safe_dump(content)

    assert planned(text, found) == []
    assert "secret" not in text


@pytest.mark.parametrize(
    ("old", "new", "fields", "paths"),
    [
        ("ordered: true", "ordered: false", ["ordered"], ("ordered",)),
        ("    rate_limit: 10\n", "", ["rate_limit"], ("rate_limit",)),
        ("status: inactive", "status: active", ["status"], ("status",)),
        ("[7, 9]", "[7]", ["filter"], ("filter",)),
        ("X-Kept: null", "X-New: a", ["custom_headers"], ("custom_headers",)),
        (
            "url: env:URL",
            "url: https://b.example",
            ["url"],
            ("url", "custom_headers", "credential", "client_certificate"),
        ),
    ],
)
def test_only_what_differs_is_sent(
    old: str, new: str, fields: list[str], paths: tuple[str, ...]
) -> None:
    """
    With another URL also what the API wants again; never over a change of somebody else.
    """
    (change,) = planned(WHOLE.replace(old, new), present())

    assert change.action is Action.UPDATE
    assert [it.field for it in change.differences] == fields
    assert change.paths == paths
    assert change.wanted.etag == '"r7"'


def test_values_of_headers_are_sent_again_if_that_is_asked_for() -> None:
    """
    Then references are resolved, and those without a value kept.
    """
    (change,) = planned(WHOLE, present(), secrets=True)
    ready = with_secrets(change, resolved)

    assert change.paths == ("custom_headers",)
    assert [it.value for it in ready.wanted.custom_headers] == ["secret", ""]
    assert "secret" not in str(change)


def test_what_is_missing_is_made_and_what_was_deleted_restored() -> None:
    """
    A deleted one keeps its name, so it cannot be made again.
    """
    deleted = present(WHOLE.replace("ordered: true", "ordered: false"))
    deleted.delete_time.GetCurrentTime()
    (made,) = planned(WHOLE)
    (restored,) = planned(WHOLE, deleted)

    assert made.action is Action.CREATE
    assert restored.action is Action.RESTORE
    assert restored.paths == ("ordered",)
    assert restored.wanted.etag == ""


def test_only_pruning_deletes() -> None:
    """
    And not what is deleted already.
    """
    other, deleted = Subscription(name="accounts/100/subscriptions/b"), Subscription(name="c")
    deleted.delete_time.GetCurrentTime()
    kept = planned(WHOLE, present(), other, deleted)
    pruned = planned(WHOLE, present(), other, deleted, prune=True)

    assert kept == []
    assert [(it.action, it.wanted.name) for it in pruned] == [(Action.DELETE, other.name)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "there is nothing in it"),
        ("a: [", "no YAML"),
        ("- a", "a document must be a mapping"),
        ("owner: x", "owner: 'x' is no owner"),
        ("owner: accounts/-", "stands for many"),
        ("owner: '1'\nsubs: {}", "a document: subs is no field; allowed are owner, subscriptions"),
        ("owner: '1'\n---\nowner: accounts/1", "accounts/1 has two documents"),
        ("owner: '1'\nowner: '2'", "line 2: owner is there twice"),
        (WHOLE.replace("ordered:", "sorted:"), "sub_all: sorted is no field"),
        (WHOLE.replace("    url: env:URL\n", ""), "sub_all: url is missing"),
        (WHOLE.replace("status: inactive", "status: off"), "sub_all: status: "),
        (WHOLE.replace("[5s, 1h30m]", "[soon]"), "retry_schedule: 'soon' is no duration"),
        (WHOLE.replace("rate_limit: 10", "rate_limit: many"), "sub_all: rate_limit: "),
        (WHOLE.replace("X-Kept: null", "X-Kept: 7"), "custom_headers: values are texts"),
        (WHOLE.replace("store_ids: [7, 9]", "shops: [7]"), "sub_all: filter: "),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str) -> None:
    """
    With the subscription and the field.
    """
    with pytest.raises(ManifestInvalidError, match=message.replace("[", r"\[")):
        read_manifests(text, resolved)
