"""
Subscriptions as code, with a pair behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.command_line import CommandLine, environment
from tests.support.pair import Pair
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]


@pytest.fixture
def run(pair: Pair, tmp_path: Path) -> CommandLine:
    """
    Return what runs commands against the pair, with a secret in the environment.
    """
    return CommandLine({**environment(pair, tmp_path), "TOKEN": "not-for-anyone"})


def shipped(receiver: Receiver, **changes: object) -> dict[str, object]:
    """
    Describe a webhook with secrets.
    """
    return {
        "event_type": "orders/shipped",
        "payload_version": "v2",
        "url": receiver.url,
        "custom_headers": {"X-Token": "env:TOKEN", "X-Key": "file:key"},
        "retry_schedule": ["1h"],
        **changes,
    }


def status(receiver: Receiver) -> dict[str, object]:
    """
    Describe a webhook with a filter.
    """
    return {
        "event_type": "orders/any_status_change",
        "payload_version": "v3",
        "url": receiver.url,
        "status": "inactive",
        "filter": {"statuses": ["shipped", "backorder"]},
    }


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., tuple[str, str]]:
    """
    Return what writes a manifest and returns the flag that names it.
    """
    (tmp_path / "key").write_text("also-not-for-anyone\n")

    def written(**subscriptions: object) -> tuple[str, str]:
        file = tmp_path / "webhooks.yaml"
        file.write_text(yaml.safe_dump({"owner": "100", "subscriptions": subscriptions}))
        return ("-f", str(file))

    return written


async def test_a_manifest_is_applied_once(
    run: CommandLine, receiver: Receiver, tmp_path: Path, write: Callable[..., tuple[str, str]]
) -> None:
    """
    It is planned, confirmed and applied; then it, and what is exported, change nothing.
    """
    flags = write(sub_shipped=shipped(receiver), sub_status=status(receiver))
    planned = await run("plan", *flags)
    differs = await run.json("plan", *flags, "--check", code=1)
    refused = await run("apply", *flags, answer="n\n", code=1)
    nothing = await run.json("subscriptions", "list")
    applied = await run("apply", *flags, answer="y\n")
    same = await run("plan", *flags, "--check")
    exported = await run("export")
    (tmp_path / "exported.yaml").write_text(exported.stdout)
    again = await run("plan", "-f", str(tmp_path / "exported.yaml"), "--check", "--prune")
    await run("test", "send", "sub_shipped", "--yes")

    assert "+ create accounts/100/subscriptions/sub_shipped" in planned.stdout
    assert "2 to create" in planned.stderr
    assert [it["action"] for it in differs] == ["create", "create"]
    assert "nothing was done" in refused.stderr
    assert nothing == []
    assert applied.stdout.count("whsec_") == 2
    assert "nothing to change" in same.stderr
    assert "nothing to change" in again.stderr
    assert receiver.requests[0].headers["x-token"] == "not-for-anyone"
    assert receiver.requests[0].headers["x-key"] == "also-not-for-anyone"
    for result in (planned, applied, exported):
        assert "not-for-anyone" not in result.output


async def test_what_differs_is_changed_pruned_and_restored(
    run: CommandLine, receiver: Receiver, write: Callable[..., tuple[str, str]]
) -> None:
    """
    Another host gets its secrets again; only --prune deletes, and what comes back is restored.
    """
    await run("apply", *write(sub_shipped=shipped(receiver), sub_status=status(receiver)), "--yes")
    moved = shipped(receiver, url=receiver.url.replace("127.0.0.1", "localhost"))
    flags = write(sub_shipped=moved)
    without = await run.json("plan", *flags)
    pruned = await run.json("plan", *flags, "--prune")
    changed = await run.json("apply", *flags, "--prune", "--yes")
    restored = await run.json(
        "apply", *write(sub_shipped=moved, sub_status=status(receiver)), "--yes"
    )
    values = await run.json("apply", *flags, "--secrets", "--yes")

    assert [it["action"] for it in without] == ["update"]
    assert [it["action"] for it in pruned] == ["update", "delete"]
    assert changed[0]["url"] == moved["url"]
    assert "delete_time" in changed[1]
    assert [it["name"] for it in restored] == ["accounts/100/subscriptions/sub_status"]
    assert [it["name"] for it in values] == ["accounts/100/subscriptions/sub_shipped"]


async def test_nothing_is_changed_before_all_is_known(
    run: CommandLine, receiver: Receiver, tmp_path: Path
) -> None:
    """
    A secret that is missing, and a file that cannot be read, are named; nothing was made.
    """
    file = tmp_path / "webhooks.yaml"
    webhook = {"event_type": "orders/shipped", "payload_version": "v2", "url": receiver.url}
    secret = {**webhook, "custom_headers": {"X-Token": "env:MISSING"}}
    subscriptions = {"sub_good": webhook, "sub_other": secret}
    file.write_text(yaml.safe_dump({"owner": "accounts/100", "subscriptions": subscriptions}))

    missing = await run("apply", "-f", str(file), "--yes", code=2)
    absent = await run("apply", "-f", str(tmp_path / "none.yaml"), code=2)
    piped = await run("plan", "-f", "-", answer="owner: nobody\n", code=2)
    made = await run.json("subscriptions", "list")

    assert "env:MISSING" in missing.stderr
    assert "none.yaml cannot be read" in absent.stderr
    assert "owner" in piped.stderr
    assert made == []
