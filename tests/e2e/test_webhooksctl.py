"""
The command line, with a pair behind it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

import pytest
import yaml
from google.protobuf.json_format import MessageToJson

from dispatch_service.payloads import example_event
from tests.support.command_line import CommandLine, environment
from tests.support.pair import DISPATCH, Pair
from tests.support.receivers import Received, Receiver, http_receiver

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

PROGRAM = str(Path(sys.executable).parent / "webhooksctl")


@pytest.fixture
def run(pair: Pair, tmp_path: Path) -> CommandLine:
    """
    Return what runs commands against the pair.
    """
    return CommandLine(environment(pair, tmp_path))


async def test_from_a_webhook_to_its_log(
    run: CommandLine, receiver: Receiver, tmp_path: Path
) -> None:
    """
    A webhook is made, shown, tested, found in the log, rotated, switched off and deleted.
    """
    made = await run(
        "subscriptions", "create", "--event", "orders/shipped", "--url", receiver.url,
        "--header", "X-Token: env:WEBHOOKSCTL_OWNER", "--filter-sku", "",
    )  # fmt: skip
    listed = await run("subscriptions", "list", "-o", "yaml")
    (found,) = yaml.safe_load(listed.stdout)
    identifier = found["name"].rpartition("/")[2]
    table = await run("subscriptions", "list", "--status", "active")
    tested = await run("test", "send", identifier, answer="y\n")
    (attempt,) = await run.until(bool, "attempts", "list")
    own = example_event("orders/shipped")
    own.order_status_changed.order.number = "MINE-1"
    (tmp_path / "event.json").write_text(MessageToJson(own))
    file = ("--file", str(tmp_path / "event.json"))
    mine = await run("test", "send", identifier, *file, "--yes")
    both = await run("test", "send", identifier, *file, "--event", "e1", "--yes", code=2)
    unknown = await run("test", "send", identifier, "--event", "e1", "--yes", code=1)
    name = attempt["name"].split("/")
    shown = await run("attempts", "get", f"{name[3]}/{name[5]}")
    stats = await run.json("subscriptions", "stats", identifier, "--since", "1d", "--by", "hour")
    calm = await run("subscriptions", "stats", "--since", "1d")
    rotated = await run("subscriptions", "rotate", identifier, "--grace", "1h")
    off = await run("subscriptions", "deactivate", identifier, "-o", "json")
    deleted = await run("subscriptions", "delete", identifier, "--yes", "-o", "json")
    gone = await run("subscriptions", "list", "-o", "json")
    back = await run("subscriptions", "undelete", identifier, "-o", "json")

    assert "whsec_" in made.stdout
    assert "keep the signing secret" in made.stderr
    assert found["payload_version"] == "v2"
    assert "signing_secret" not in found
    assert identifier in table.stdout
    assert "Send 1 test event, orders/shipped" in tested.stderr
    assert "success" in tested.stdout
    assert "success" in mine.stdout
    assert b"MINE-1" in receiver.requests[-1].body
    assert "not both" in both.stderr
    assert "EVENT_NOT_FOUND" in unknown.stderr
    assert attempt["trigger"] == "TRIGGER_TEST"
    assert "X-Shipedge-Test" in shown.stdout
    assert "accounts/100" in [
        it.headers["x-token"] for it in receiver.requests if "x-token" in it.headers
    ]
    assert (stats["subscription"], stats["granularity"]) == (found["name"], "GRANULARITY_HOUR")
    assert "nothing was found" in calm.stderr
    assert "whsec_" in rotated.stdout
    assert json.loads(off.stdout)["status"] == "STATUS_INACTIVE"
    assert "delete_time" in json.loads(deleted.stdout)
    assert json.loads(gone.stdout) == []
    assert "delete_time" not in json.loads(back.stdout)


async def test_failures_are_found_explained_and_resent(pair: Pair, run: CommandLine) -> None:
    """
    What failed is chosen by flags, counted, confirmed and sent again; one without a question
    asked is not.
    """
    status = 500

    async def script(received: Received) -> None:
        await received.answer(status, b"no")

    async with http_receiver(script, host="127.0.0.1") as broken:
        identifier = await run.subscribe(broken.url)
        await pair.known(f"accounts/100/subscriptions/{identifier}")
        event = example_event("orders/shipped")
        event.account_id = 100
        await pair.publish(event)
        choose = ("--event", "orders/shipped", "--since", "1h", "--code", "500")
        (delivery,) = await run.until(bool, "deliveries", "list", *choose)
        short = delivery["name"].rpartition("/")[2]
        explained = await run("deliveries", "explain", short)
        events = await run(
            "events", "list", "--order-number", event.order_status_changed.order.number
        )
        one = await run("events", "explain", event.event_id, "--subscription", identifier)
        body = await run("deliveries", "body", short)
        none = await run("resend", "--failed", "--since", "1h", code=1)
        refused = await run("resend", *choose, "--state", "pending", answer="n\n", code=1)
        silent = await run("resend", short, code=2)
        before = len(broken.requests)
        status = 200
        job = await run("resend", *choose, "--state", "pending", answer="y\n")
        ended = await run.until(bool, "deliveries", "list", "--state", "succeeded")
        again = await run("resend", short, "--force", "--yes", "-o", "json")

    assert "HTTP 500" in explained.stdout
    assert "1 pending" in events.stdout
    assert "waiting" in one.stdout
    assert json.loads(body.stdout)["event"] == "orders/shipped_v2"
    assert "no delivery was found" in none.stderr
    assert "Send 1 delivery again?" in refused.stderr
    assert "nothing was done" in refused.stderr
    assert "--yes" in silent.stderr
    assert before == 1
    assert "succeeded" in job.stdout
    assert len(ended) == 1
    assert json.loads(again.stdout)["name"] == delivery["name"]


async def test_attempts_are_followed(pair: Pair, run: CommandLine, receiver: Receiver) -> None:
    """
    `tail` shows what ends, a line for each, and ends by itself after as many as were asked for.
    """
    identifier = await run.subscribe(receiver.url)
    await pair.known(f"accounts/100/subscriptions/{identifier}")
    following = asyncio.create_task(
        run("attempts", "tail", "--event", "orders/shipped", "--count", "2", "-o", "json")
    )
    for number in range(1_000):
        if following.done():
            break
        event = example_event("orders/shipped")
        event.account_id, event.event_id = 100, f"followed-{number}"
        await pair.publish(event)
        await asyncio.sleep(0.05)
    lines = (await following).stdout.splitlines()

    assert [json.loads(line)["status"] for line in lines] == ["STATUS_SUCCESS"] * 2


async def test_what_is_refused_is_one_sentence(run: CommandLine) -> None:
    """
    It names the field or the flag, and the exit code tells which side is at fault.
    """
    bad = ("--event", "orders/shipped", "--url", "ftp://a.example/x")
    field = await run("subscriptions", "create", *bad, code=1)
    missing = await run("subscriptions", "get", "sub_none", code=1)
    flag = await run("deliveries", "list", "--since", "yesterday", code=2)
    owner = await run("subscriptions", "list", "--owner", "shop", code=2)
    away = await run("--config-address", "127.0.0.1:9", "subscriptions", "list", code=3)

    for result in (field, missing, flag, owner, away):
        assert result.stderr.startswith("webhooksctl: ")
        assert len(result.stderr.splitlines()) == 1
        assert result.stdout == ""
    assert "subscription.url" in field.stderr
    assert "URL_INVALID" in field.stderr
    assert "SUBSCRIPTION_NOT_FOUND" in missing.stderr
    assert "yesterday" in flag.stderr
    assert "--owner" in owner.stderr
    assert "cannot be reached" in away.stderr


async def test_the_catalogue_and_health(pair: Pair, run: CommandLine) -> None:
    """
    Event types have examples and schemas; health exits with 1 when a service does not serve.
    """
    listed = await run.json("event-types", "list")
    example = json.loads((await run("event-types", "example", "orders/shipped")).stdout)
    schema = json.loads((await run("event-types", "schema", "orders/shipped")).stdout)
    table = await run("event-types", "get", "orders/shipped")
    unknown = await run("event-types", "example", "orders/shipped", "--version", "v9", code=2)
    healthy = await run.json("health")
    await pair.stop(DISPATCH)
    ill = await run("health", code=1)

    assert {"orders/shipped", "returns/unexpected_received"} <= {it["type"] for it in listed}
    assert example["event"].startswith("orders/shipped")
    assert schema["$schema"]
    assert "$defs" not in table.stdout
    assert "there are v1, v2, v3" in unknown.stderr
    assert [it["status"] for it in healthy] == ["serving", "serving"]
    assert "unreachable" in ill.stdout


async def test_the_program_as_it_is_installed(pair: Pair, tmp_path: Path) -> None:
    """
    It runs as a process, says what it found on its output, and exits with a code; a handshake that
    fails is one sentence too.
    """
    child = await asyncio.create_subprocess_exec(
        PROGRAM, "subscriptions", "list", "-o", "json",
        env=environment(pair, tmp_path),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, errors = await child.communicate()
    silent = await asyncio.create_subprocess_exec(
        PROGRAM, "subscriptions", "list",
        env={**environment(pair, tmp_path), "WEBHOOKSCTL_CA_FILE": str(tmp_path / "receivers.pem")},
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, refused = await silent.communicate()

    assert silent.returncode == 3
    assert len(refused.splitlines()) == 1
    assert (child.returncode, json.loads(output), errors) == (0, [], b"")


async def test_samples_are_published(pair: Pair, run: CommandLine, receiver: Receiver) -> None:
    """
    With what was set, after a question with the number of webhooks; faults are named.
    """
    identifier = await run.subscribe(receiver.url)
    await pair.known(f"accounts/100/subscriptions/{identifier}")
    sets = ("--set", "order.number=SO-77", "--set", "order.items[0].sku=A-77")
    refused = await run("trigger", "orders/shipped", *sets, answer="n\n", code=1)
    made = await run("trigger", "orders/shipped", *sets, answer="y\n")
    (found,) = await run.until(bool, "events", "list", "--order-number", "SO-77")
    await run.until(bool, "deliveries", "list", "--state", "succeeded")
    invalid = await run("trigger", "orders/shipped", "--set", "order.id=0", "--yes", code=1)
    stock = await run.json("trigger", "inventory/mirror", "--warehouse", "W1", "--yes")
    moved = await run.json("events", "get", stock["name"])
    wrong = await run("trigger", "orders/shipped", "--set", "order.colour=red", "--yes", code=2)
    own = await run("trigger", "webhooks/endpoint_failing", "--yes", code=2)
    warehouse = await run("trigger", "orders/shipped", "--owner", "warehouses/W1", code=2)

    assert "to up to 1 Active subscriptions?" in refused.stderr
    assert "explain" in made.stderr
    assert "warehouses" not in found
    assert len(receiver.requests) == 1
    assert b"SO-77" in receiver.requests[0].body
    assert b"A-77" in receiver.requests[0].body
    assert "EVENT_INVALID" in invalid.stderr
    assert "order.id" in invalid.stderr
    assert moved["content"]["warehouses"] == ["W1"]
    assert '"warehouse": "W1"' in json.dumps(moved["content"]["inventory_levels_changed"])
    assert "colour" in wrong.stderr
    assert "itself" in own.stderr
    assert "--owner" in warehouse.stderr


@pytest.mark.heavy
async def test_a_lost_connection_is_made_anew(
    pair: Pair, run: CommandLine, receiver: Receiver
) -> None:
    """
    `tail` goes on behind the last attempt that it showed, and shows each once.
    """
    identifier = await run.subscribe(receiver.url)
    await pair.known(f"accounts/100/subscriptions/{identifier}")
    child = await asyncio.create_subprocess_exec(
        PROGRAM, "attempts", "tail", "--count", "12", "-o", "json",
        env=run.settings,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout is not None
    first = asyncio.create_task(child.stdout.readline())
    for number in range(1_000):
        await _publish(pair, range(number, number + 1))
        if (await asyncio.wait([first], timeout=0.1))[0]:
            break
    await pair.stop(DISPATCH)
    await pair.start(DISPATCH)
    await _publish(pair, range(2_000, 2_012))
    output, errors = await child.communicate()
    shown = [json.loads(line)["name"] for line in [await first, *output.splitlines()]]

    assert child.returncode == 0
    assert len(shown) == len(set(shown)) == 12
    assert b"connecting again" in errors


async def _publish(pair: Pair, numbers: range) -> None:
    for number in numbers:
        event = example_event("orders/shipped")
        event.account_id, event.event_id = 100, f"anew-{number}"
        await pair.publish(event)
