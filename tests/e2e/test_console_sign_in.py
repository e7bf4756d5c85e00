"""
The console in production: readers sign in with the token of a caller, and see and do what that
caller may.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from console.app import create_app
from console.settings import Settings
from service_runtime.process import pair as processes
from shipedge.webhooks.client import channel
from shipedge.webhooks.config.v1 import config_admin_service_pb2 as admin
from shipedge.webhooks.config.v1 import config_admin_service_pb2_grpc as admin_grpc
from shipedge.webhooks.config.v1.caller_pb2 import Caller
from tests.e2e.test_production import probed, production
from tests.support import preloaded
from tests.support.command_line import CommandLine
from tests.support.console_reader import HOME, send, webhook
from tests.support.databases import free_port
from tests.support.pair import PATIENCE_SECONDS
from tests.support.receivers import Receiver

pytestmark = [pytest.mark.anyio, pytest.mark.heavy]

ROLES = {
    "reader": Caller.ROLE_READER,
    "operator": Caller.ROLE_OPERATOR,
    "admin": Caller.ROLE_ADMIN,
}


@dataclass(frozen=True)
class Console:
    """
    A console in production and its settings, the tokens of callers of account 100 by role, an
    administrator, and webhooksctl as an admin calls it.
    """

    client: httpx.AsyncClient
    tokens: dict[str, str]
    administrator: admin_grpc.ConfigAdminServiceAsyncStub
    run: CommandLine
    settings: Settings

    async def sign_in(self, role: str, target: str = f"{HOME}/webhooks") -> httpx.Response:
        """
        Sign in as another reader, and return the page after it, once both services know the token.
        """
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                answered = await send(self.client, "/sign-in", token=self.tokens[role], next=target)
                if answered.status_code == httpx.codes.OK and "Sign in" not in answered.text:
                    return answered
                await asyncio.sleep(0.1)


@asynccontextmanager
async def listening(directory: Path, receiver: Receiver) -> AsyncIterator[dict[str, str]]:
    """
    Run both services in production with listeners for tokens; yield their settings.
    """
    environment = production(directory, receiver) | {
        "SHIPEDGE_CONFIG_TOKEN_LISTEN": f"localhost:{free_port()}",
        "SHIPEDGE_DISPATCH_TOKEN_LISTEN": f"localhost:{free_port()}",
    }
    children = []
    try:
        for package in ("config_service", "dispatch_service"):
            children.append(await preloaded.start(package, environment))
            await probed(package, environment)
        yield environment
    finally:
        for child in reversed(children):
            assert await processes.stop(child) == 0


@pytest.fixture
async def console(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Console]:
    """
    Yield a console of such a pair, with a caller of each role.
    """
    async with listening(tmp_path, receiver) as environment:
        holder = tmp_path / "secrets/operator"
        files = (holder / "certificate.pem", holder / "key.pem", holder / "ca.pem")
        certified = channel.channel_credentials(*files)
        settings = settings_of(environment, tmp_path)
        app = create_app(settings)
        transport = httpx.ASGITransport(app=app)
        async with (
            channel.connect(environment["SHIPEDGE_CONFIG_LISTEN"], certified) as administration,
            app.router.lifespan_context(app),
            httpx.AsyncClient(transport=transport, base_url="https://console.example") as client,
        ):
            stub = admin_grpc.ConfigAdminServiceStub(administration)
            tokens = await callers(stub)
            run = command_line(environment, tmp_path, tokens["admin"])
            yield Console(client, tokens, stub, run, settings)


def settings_of(environment: dict[str, str], directory: Path) -> Settings:
    """
    Return the settings of a console of both services, with a new key.
    """
    key = directory / "console_key"
    key.write_text(b64encode(secrets.token_bytes(32)).decode())
    return Settings(
        config_address=environment["SHIPEDGE_CONFIG_TOKEN_LISTEN"],
        dispatch_address=environment["SHIPEDGE_DISPATCH_TOKEN_LISTEN"],
        hosts="console.example",
        key_file=str(key),
        ca_file=environment["SHIPEDGE_TLS_CA_FILE"],
        production=True,
    )


def command_line(environment: dict[str, str], directory: Path, token: str) -> CommandLine:
    """
    Return webhooksctl as the OMS calls it, with a token.
    """
    return CommandLine(
        {
            "XDG_CONFIG_HOME": str(directory),
            "WEBHOOKSCTL_CONFIG_ADDRESS": environment["SHIPEDGE_CONFIG_TOKEN_LISTEN"],
            "WEBHOOKSCTL_CA_FILE": environment["SHIPEDGE_TLS_CA_FILE"],
            "WEBHOOKSCTL_TOKEN": token,
            "WEBHOOKSCTL_OWNER": "accounts/100",
        }
    )


async def callers(stub: admin_grpc.ConfigAdminServiceAsyncStub) -> dict[str, str]:
    """
    Make a caller of account 100 for each role; return their tokens.
    """
    tokens = {}
    for name, role in ROLES.items():
        caller = Caller(display_name=name, roles=[role], owners=["accounts/100"])
        made = await stub.CreateCaller(admin.CreateCallerRequest(caller=caller, caller_id=name))
        tokens[name] = made.token
    return tokens


async def test_a_token_is_needed(console: Console) -> None:
    """
    Without a session every page asks for a token and leads back; a wrong token is refused; the
    session is sealed, only sent over TLS, and ends with the token or when the reader says so.
    """
    client = console.client
    asked = await client.get(f"{HOME}/webhooks?status=active")
    wrong = await send(client, "/sign-in", token="shwt_wrong", next="/")
    odd = await send(client, "/sign-in", token="ä", next="/")
    back = await console.sign_in("reader", f"{HOME}/webhooks?status=active")
    elsewhere = await console.sign_in("reader", "//evil.example/")
    cookie = client.cookies["console_session"]
    cookie_text = back.history[0].headers["set-cookie"].lower()
    other = await client.get("/accounts/200/webhooks")
    out = await send(client, "/sign-out")
    after = await client.get(f"{HOME}/webhooks")
    forged = await client.get("/", headers={"Cookie": f"console_session={cookie[:-4]}AAAA"})
    await console.sign_in("reader")
    await console.administrator.DeleteCaller(admin.DeleteCallerRequest(name="callers/reader"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (ended := await client.get(f"{HOME}/webhooks")).status_code != httpx.codes.SEE_OTHER:
            await asyncio.sleep(0.1)

    assert asked.status_code == httpx.codes.SEE_OTHER
    assert asked.headers["location"].startswith("/sign-in?next=%2Faccounts%2F100")
    assert wrong.status_code == odd.status_code == httpx.codes.UNAUTHORIZED
    assert str(back.url).endswith(f"{HOME}/webhooks?status=active")
    assert elsewhere.url.host == "console.example"
    assert console.tokens["reader"] not in cookie
    assert {"secure", "httponly", "samesite=lax"} <= {it.strip() for it in cookie_text.split(";")}
    assert "max-age" in (await client.get("/sign-in")).headers["strict-transport-security"]
    assert forged.status_code == httpx.codes.SEE_OTHER
    assert other.status_code == httpx.codes.FORBIDDEN
    assert out.url.path == "/sign-in"
    assert after.status_code == httpx.codes.SEE_OTHER
    assert ended.headers["location"].startswith("/sign-in")


async def test_what_a_role_may_not_do_is_neither_shown_nor_done(
    console: Console, receiver: Receiver
) -> None:
    """
    A reader reads, an operator tests and resends too, an admin changes; pages show no more, and
    forms that are sent all the same are refused.
    """
    client = console.client
    await console.sign_in("admin")
    made = await send(client, f"{HOME}/webhooks/new", **webhook(receiver))
    here = made.url.path.removesuffix("/saved")
    await send(client, f"{here}/test")
    found: dict[str, list[str]] = {}
    refused: dict[str, list[int]] = {}
    for role in ROLES:
        await console.sign_in(role)
        pages = [await client.get(path) for path in (f"{HOME}/webhooks", here)]
        text = "".join(page.text for page in pages)
        offers = rf'(?<=href="{here}/)(?!figures)\w+|Save(?=</button>)|Add new webhook'
        found[role] = sorted(set(re.findall(offers, text)))
        forms = (f"{here}/test", f"{here}/rotate", here, f"{HOME}/webhooks/new")
        sent = [await send(client, path, grace="1", url=receiver.url) for path in forms]
        refused[role] = [each.status_code for each in sent]

    denied = httpx.codes.FORBIDDEN
    assert found["reader"] == []
    assert found["operator"] == ["test"]
    assert {"delete", "rotate", "test", "deactivate", "Save"} <= set(found["admin"])
    assert refused["reader"] == [denied] * 4
    assert refused["operator"][0] == httpx.codes.OK
    assert refused["operator"][1:] == [denied] * 3
    assert denied not in refused["admin"]


async def test_a_payload_is_for_operators(console: Console, receiver: Receiver) -> None:
    """
    A reader sees attempts without what was sent, and no button to resend; an operator sees both.
    """
    client = console.client
    await console.sign_in("admin")
    made = await send(client, f"{HOME}/webhooks/new", **webhook(receiver))
    await send(client, f"{made.url.path.removesuffix('/saved')}/test")
    shown = {}
    for role in ("reader", "operator"):
        await console.sign_in(role)
        attempts: list[str] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not attempts:
                log = await client.get(f"{HOME}/logs")
                attempts = re.findall(rf'href="({HOME}/logs/[^/"]+/1)"', log.text)
        shown[role] = (await client.get(attempts[0])).text
        asked = await client.get(f"{attempts[0].rpartition('/')[0]}/resend")
        shown[f"{role}-resend"] = str(asked.status_code)

    assert "Your role does not show payloads" in shown["reader"]
    assert "Resend …" not in shown["reader"]
    assert "order_number" in shown["operator"]
    assert "Resend …" in shown["operator"]
    assert shown["reader-resend"] == "403"
    assert shown["operator-resend"] == "200"


async def test_a_guest_sees_one_owner_until_the_maker_of_the_link_is_gone(
    console: Console, receiver: Receiver
) -> None:
    """
    A portal link leads to the pages of its owner, in its role, and to no others; it is no token of
    a caller, and ends with the caller who made it.
    """
    client = console.client
    await console.sign_in("admin")
    await send(client, f"{HOME}/webhooks/new", **webhook(receiver))
    await send(client, "/sign-out")
    links = {}
    for role in ROLES:
        made = await console.run(
            "portal-links", "create", "--role", role, "--console", "https://console.example"
        )
        links[role] = made.stderr.strip()
    token = links["reader"].partition("token=")[2]
    shown, denied = {}, {}
    for role, link in links.items():
        async with asyncio.timeout(PATIENCE_SECONDS):
            # The dispatch service may get the key of links a moment later.
            while (page := await follow(client, link)).status_code != httpx.codes.OK:
                await asyncio.sleep(0.1)
        shown[role] = page
        denied[role] = [
            (await client.get(path)).status_code
            for path in ("/accounts/200/webhooks", f"{HOME}/audit", "/warehouses/100/webhooks")
        ]
    home = await follow(client, "/")
    all_owners = await follow(client, "/overview/accounts")
    as_caller = await send(client, "/sign-in", token=token, next="/")
    elsewhere = await client.get(f"/accounts/200/portal?token={token}")
    cut = await client.get(f"{HOME}/portal?token={token[:-9]}")
    caller = await client.get(f"{HOME}/portal?token={console.tokens['reader']}")
    await follow(client, links["reader"])
    await console.administrator.DeleteCaller(admin.DeleteCallerRequest(name="callers/admin"))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (ended := await client.get(f"{HOME}/webhooks")).status_code == httpx.codes.OK:
            await asyncio.sleep(0.1)

    assert all("orders/shipped" in page.text for page in shown.values())
    assert {role: "Add new webhook" in page.text for role, page in shown.items()} == {
        "reader": False,
        "operator": False,
        "admin": True,
    }
    assert all("Audit log" not in page.text for page in shown.values())
    assert all(codes == [404, 403, 404] for codes in denied.values())
    assert home.url.path == all_owners.url.path == f"{HOME}/webhooks"
    assert as_caller.status_code == httpx.codes.UNAUTHORIZED
    for page in (elsewhere, cut, caller, ended):
        assert page.status_code == httpx.codes.UNAUTHORIZED
        assert "The link has ended" in page.text
    assert token not in client.cookies["console_session"]


async def follow(client: httpx.AsyncClient, link: str) -> httpx.Response:
    """
    Follow a link to the page behind it.
    """
    return await client.get(link, follow_redirects=True)
