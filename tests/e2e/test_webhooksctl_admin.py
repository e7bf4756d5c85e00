"""
The command line: credentials, keys, callers, audit, payloads and jobs, with a pair behind it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from dispatch_service.payloads import example_body, example_event
from service_runtime.process import pair as processes
from service_runtime.process.bootstrap import Holder, bootstrap
from tests.e2e.test_production import probed, production
from tests.support import preloaded
from tests.support.command_line import CommandLine, environment
from tests.support.databases import free_port
from tests.support.pair import Pair
from tests.support.receivers import Receiver, answering, http_receiver

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

SECRET = "not-for-anyone"


@pytest.fixture
def run(pair: Pair, tmp_path: Path) -> CommandLine:
    """
    Return what runs commands against the pair, with a secret in the environment.
    """
    return CommandLine({**environment(pair, tmp_path), "SHOP_SECRET": SECRET})


def last_part(name: str) -> str:
    """
    Return the id of a name.
    """
    return name.rpartition("/")[2]


async def test_secrets_are_referred_to_and_never_shown(
    run: CommandLine, receiver: Receiver, tmp_path: Path
) -> None:
    """
    A credential, a certificate and a signing key are made, used, changed, listed and deleted.
    """
    now = datetime.now(UTC)  # noqa: TID251 - certificates are valid from now on
    assert bootstrap(tmp_path / "issued", now, {"client": Holder(("client",))})
    files = tmp_path / "issued/client"

    basic = ("--method", "basic", "--name", "Shop", "--username", "shop", "--id", "crd_shop")
    literal = await run("credentials", "create", *basic, "--secret", SECRET, code=2)
    made = await run("credentials", "create", *basic, "--secret", "env:SHOP_SECRET")
    typed = await run("credentials", "create", "--method", "bearer", "--name", "B", answer="x\n")
    wrong = await run("credentials", "update", "crd_shop", "--header", "X", code=2)
    changed = await run.json("credentials", "update", "crd_shop", "--username", "other")
    certificate = await run.json(
        "certificates", "create", "--name", "Client", "--id", "crt_client",
        "--certificate", f"{files}/certificate.pem", "--key", f"{files}/key.pem",
    )  # fmt: skip
    key = await run.json("signing-keys", "create", "--name", "All", "--id", "key_all")
    await run.subscribe(
        receiver.url, "--credential", "crd_shop", "--certificate", "crt_client",
        "--signing-key", "key_all",
    )  # fmt: skip
    rotated = await run.json("signing-keys", "rotate", "key_all")
    listed = [
        await run.json(noun, "list") for noun in ("credentials", "certificates", "signing-keys")
    ]
    used = await run("credentials", "delete", "crd_shop", "--yes", code=1)
    (other,) = [it for it in listed[0] if it["display_name"] == "B"]
    deleted = await run("credentials", "delete", last_part(other["name"]), answer="y\n")
    left = await run.json("credentials", "list")

    assert "env:NAME or file:PATH" in literal.stderr
    assert "shop" in made.stdout
    assert typed.exit_code == 0
    assert "--header" in wrong.stderr
    assert changed["basic"] == {"username": "other", "password_set": True}
    assert certificate["subject"]
    assert key["secret"].startswith("whsec_")
    assert rotated["secret"] != key["secret"]
    assert [len(it) for it in listed] == [2, 1, 1]
    assert listed[0][0].get("subscription_count") == 1
    assert "CREDENTIAL_IN_USE" in used.stderr
    assert "deleted" in deleted.stderr
    assert len(left) == 1
    for result in (made, typed, used, deleted):
        assert SECRET not in result.output
    assert SECRET not in json.dumps([changed, listed, left])


async def test_callers_and_settings(run: CommandLine) -> None:
    """
    A caller is made with a token, changed, listed and deleted; an owner gets a feature.
    """
    wrong = await run("callers", "create", "--name", "P", "--role", "boss", code=2)
    made = await run.json(
        "callers", "create", "--id", "partner", "--name", "Partner", "--role", "reader",
        "--owner", "100", "--expires", "30d",
    )  # fmt: skip
    changed = await run.json(
        "callers", "update", "partner", "--role", "reader", "--role", "operator"
    )
    rotated = await run.json("callers", "rotate", "partner", "--grace", "1h")
    listed = await run("callers", "list")
    await run("callers", "delete", "partner", "--yes")
    gone = await run("callers", "get", "partner", code=1)
    settings = await run.json(
        "settings", "update", "--feature", "inventory-mirror", "--keep-log", "60d"
    )
    none = await run("settings", "update", code=2)
    shown = await run.json("settings", "get")

    assert "publisher, reader, operator, admin, feed" in wrong.stderr
    assert made["owners"] == ["accounts/100"]
    assert made["expire_time"] > "2026"
    assert made["token"] != rotated["token"]
    assert changed["roles"] == ["ROLE_READER", "ROLE_OPERATOR"]
    assert "reader, operator" in listed.stdout
    assert "CALLER" in gone.stderr
    assert settings["features"] == shown["features"] == ["OWNER_FEATURE_INVENTORY_MIRROR"]
    assert shown["log_retention"] == "5184000s"
    assert "nothing to change" in none.stderr


async def test_the_audit_logs_of_both_services(run: CommandLine, receiver: Receiver) -> None:
    """
    They are merged by time and verified; a checkpoint belongs to one of them.
    """
    identifier = await run.subscribe(receiver.url)
    await run("subscriptions", "deactivate", identifier)
    await run("subscriptions", "activate", identifier)
    await run("test", "send", identifier, "--yes")
    listed = await run.json("audit", "list", "--owner", "100", "--since", "1h")
    two = await run("audit", "list", "--limit", "2")
    changes = await run.json("audit", "list", "--method", "UpdateSubscription")
    verified = await run.json("audit", "verify")
    checkpoint = next(it["checkpoint"] for it in verified if it["service"] == "config")
    from_there = await run.json(
        "audit", "verify", "--service", "config", "--checkpoint", checkpoint
    )
    vague = await run("audit", "verify", "--checkpoint", checkpoint, code=2)
    keys = await run.json("encryption-keys", "rotate")

    assert {it["service"] for it in listed} == {"config", "dispatch"}
    times = [it["create_time"] for it in listed]
    assert times == sorted(times, reverse=True)
    assert len(two.stdout.splitlines()) == 4
    assert {it["changes"][0]["field"] for it in changes} == {"status"}
    assert [it["service"] for it in verified] == ["config", "dispatch"]
    assert all(it["complete"] and "fault" not in it for it in verified)
    assert "verified_count" not in from_there[0] or from_there[0]["verified_count"] == "0"
    assert "--service" in vague.stderr
    assert [it["service"] for it in keys] == ["config", "dispatch"]


async def test_payloads_are_previewed_and_compared(
    pair: Pair, run: CommandLine, tmp_path: Path
) -> None:
    """
    For the sample, an event of a file, and one that was accepted.
    """
    event = example_event("orders/shipped")
    event.account_id = 100
    event.order_status_changed.order.number = "SO-77"
    await pair.publish(event)
    content = (await run.json("events", "get", event.event_id))["content"]
    file = tmp_path / "event.json"
    file.write_text(json.dumps(content))

    sample = await run("preview", "orders/shipped", "--version", "v2")
    named = await run("preview", "orders/shipped", "--event", event.event_id)
    read = await run("preview", "orders/shipped", "--file", str(file))
    broken = await run("preview", "orders/shipped", "--file", __file__, code=2)
    both = await run("preview", "orders/shipped", "--file", "a", "--event", "b", code=2)
    unknown = await run("preview", "orders/lost", code=2)
    table = await run("diff", "orders/shipped", "v2", "v3")
    differences = (await run.json("diff", "orders/shipped", "v2", "v3", "--file", str(file)))[
        "differences"
    ]

    assert sample.stdout_bytes.rstrip(b"\n") == example_body("orders/shipped", "v2")
    assert named.stdout == read.stdout
    assert "SO-77" in named.stdout
    assert "is no event" in broken.stderr
    assert "not both" in both.stderr
    assert "orders/lost" in unknown.stderr
    assert "renamed" in table.stdout
    assert {it["kind"] for it in differences} >= {"KIND_RENAMED", "KIND_ADDED"}


async def test_jobs_are_listed_watched_and_stopped(
    pair: Pair, run: CommandLine, receiver: Receiver
) -> None:
    """
    A slow resend of many is a job that can be looked at and stopped.
    """
    identifier = await run.subscribe(receiver.url)
    await pair.known(f"accounts/100/subscriptions/{identifier}")
    events = []
    for number in range(5):
        event = example_event("orders/shipped")
        event.account_id, event.event_id = 100, f"job-{number}"
        events.append(event)
    await pair.publish(*events)
    await run.until(lambda it: len(it) == len(events), "deliveries", "list", "--state", "succeeded")
    flags = ("--state", "succeeded", "--event", "orders/shipped", "--force", "--yes")
    job = await run.json("resend", *flags, "--rate", "1", "--no-wait")
    stopped = await run.json("jobs", "cancel", last_part(job["name"]), "--yes")
    whole = await run.json("resend", *flags)
    watched = await run.json("jobs", "watch", last_part(whole["name"]))
    listed = await run.json("jobs", "list")
    ranges = await run("egress")

    assert job["total_count"] == whole["total_count"] == "5"
    assert stopped["state"] == "STATE_CANCELLED"
    assert watched["state"] == whole["state"] == "STATE_SUCCEEDED"
    assert [it["name"] for it in listed] == [whole["name"], job["name"]]
    assert "not told" in ranges.stderr


async def test_what_is_observed_and_what_is_erased(pair: Pair, run: CommandLine) -> None:
    """
    An endpoint that is gone is observed; the data of an order is erased after a question.
    """
    async with http_receiver(answering(410), host="127.0.0.1") as gone:
        identifier = await run.subscribe(gone.url)
        await pair.known(f"accounts/100/subscriptions/{identifier}")
        event = example_event("orders/shipped")
        event.account_id = 100
        await pair.publish(event)
        observed = await run("endpoints", "tail", "--count", "1", "-o", "json")
    listed = await run.until(bool, "subscriptions", "list", "--failing")
    chosen = ("--kind", "gone", "--since", "1h", "--subscription", identifier)
    kept_events = await run.json("endpoints", "list", *chosen)
    never = await run.json("endpoints", "list", "--failure", "dns")
    vague = await run("erase", "--yes", code=2)
    kept = await run("erase", "--event", event.event_id, answer="n\n", code=1)
    erased = await run.json("erase", "--event", event.event_id, "--yes")
    shown = await run.json("events", "get", event.event_id)
    (delivery,) = await run.json("deliveries", "list")
    body = await run("deliveries", "body", last_part(delivery["name"]), code=1)

    assert json.loads(observed.stdout)["kind"] == "KIND_GONE"
    assert kept_events == [json.loads(observed.stdout)]
    assert never == []
    assert [last_part(it["name"]) for it in listed] == [identifier]
    assert "one of --event, --order and --email" in vague.stderr
    assert "for ever?" in kept.stderr
    assert erased["erased_event_count"] == "1"
    assert shown["content_erased"]
    assert "BODY_ERASED" in body.stderr


@asynccontextmanager
async def serving(settings: dict[str, str]) -> AsyncIterator[None]:
    """
    Run both services with TLS.
    """
    children = []
    try:
        for package in ("config_service", "dispatch_service"):
            children.append(await preloaded.start(package, settings))
            await probed(package, settings)
        yield
    finally:
        for child in reversed(children):
            await processes.stop(child)


@pytest.mark.heavy
async def test_production_with_a_certificate_and_with_a_token(
    receiver: Receiver, tmp_path: Path
) -> None:
    """
    A profile with a certificate calls both services; a caller that it makes calls by its token.
    """
    tokens = {
        "SHIPEDGE_CONFIG_TOKEN_LISTEN": f"localhost:{free_port()}",
        "SHIPEDGE_DISPATCH_TOKEN_LISTEN": f"localhost:{free_port()}",
    }
    settings = production(tmp_path, receiver) | tokens
    secrets = tmp_path / "secrets/operator"
    profiles = {
        "certificate": {
            "config_address": settings["SHIPEDGE_CONFIG_LISTEN"],
            "dispatch_address": settings["SHIPEDGE_DISPATCH_LISTEN"],
            "ca_file": str(secrets / "ca.pem"),
            "certificate_file": str(secrets / "certificate.pem"),
            "key_file": str(secrets / "key.pem"),
        },
        "token": {
            "config_address": tokens["SHIPEDGE_CONFIG_TOKEN_LISTEN"],
            "dispatch_address": tokens["SHIPEDGE_DISPATCH_TOKEN_LISTEN"],
            "ca_file": str(secrets / "ca.pem"),
            "token_file": "partner.token",
        },
    }
    file = tmp_path / "profiles.yaml"
    file.write_text(yaml.safe_dump({"default": "token", "profiles": profiles}))
    run = CommandLine({"WEBHOOKSCTL_FILE": str(file)})
    partner = ("callers", "create", "--name", "P", "--role", "reader", "--owner", "100")

    async with serving(settings):
        made = await run.json("-p", "certificate", *partner)
        (tmp_path / "partner.token").write_text(made["token"])
        own = await run.json("subscriptions", "list", "--owner", "100")
        log = await run.json("attempts", "list", "--owner", "100")
        foreign = await run("subscriptions", "list", "--owner", "200", code=1)
        (tmp_path / "partner.token").write_text("shwt_wrong")
        unknown = await run("subscriptions", "list", "--owner", "100", code=1)
        plain = await run("-p", "certificate", "--ca-file", __file__, "health", code=1)

    assert own == log == []
    assert "CALLER_FORBIDDEN" in foreign.stderr
    assert "CALLER_UNKNOWN" in unknown.stderr
    assert "unreachable" in plain.stdout


async def test_what_was_missed_is_replayed(
    pair: Pair, run: CommandLine, receiver: Receiver
) -> None:
    """
    A subscription gets the events before it, after a question with their number, and only once.
    """
    for number in range(3):
        event = example_event("orders/shipped")
        event.account_id, event.event_id = 100, f"missed-{number}"
        await pair.publish(event)
    identifier = await run.subscribe(receiver.url)
    await pair.known(f"accounts/100/subscriptions/{identifier}")
    one = ("replay", identifier, "--event", "missed-0")
    both = await run(*one, "--since", "1h", code=2)
    refused = await run(*one, answer="n\n", code=1)
    first = await run.json(*one, "--yes")
    rest = await run("replay", identifier, "--since", "1h", answer="y\n")
    nothing = await run("replay", identifier, "--since", "1h", "--yes", code=1)
    watched = await run.json("jobs", "watch", last_part(first["name"]))
    listed = await run.json("jobs", "list")
    await run.until(lambda it: len(it) == 3, "deliveries", "list", "--state", "succeeded")

    assert "not both" in both.stderr
    assert "Send 1 event to" in refused.stderr
    assert first["state"] == watched["state"] == "STATE_SUCCEEDED"
    assert "Send 2 events to" in rest.stderr
    assert "lacks none" in nothing.stderr
    assert len(listed) == 2
    assert len(receiver.requests) == 3
