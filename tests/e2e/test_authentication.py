"""
Authentication to receivers: every method, against a receiver that requires it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.client_certificate_pb2 import (
    ClientCertificate,
    PemMaterial,
    Pkcs12Material,
)
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.dispatch.v1 import (
    attempt_pb2,
    delivery_service_pb2,
    payload_service_pb2,
)
from shipedge.webhooks.events.v1 import failure_kind_pb2
from tests.e2e.test_payload_service import payloads
from tests.support.certificates import client, root
from tests.support.pair import (
    DISPATCH,
    PATIENCE_SECONDS,
    Pair,
    Subscription,
    environment_of,
    eventually,
    running_pair,
)
from tests.support.receivers import Received, Receiver, answering, https_receiver

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
MARKER = "marker-in-secret"


async def with_reference(pair: Pair, url: str, **reference: str) -> Subscription:
    """
    Create a subscription that refers to a credential or a client certificate.
    """
    wanted = Subscription(
        event_type="orders/shipped",
        payload_version="v2",
        url=url,
        status=Subscription.STATUS_ACTIVE,
        **reference,  # type: ignore[arg-type]
    )
    return await pair.config.CreateSubscription(
        pb.CreateSubscriptionRequest(parent=OWNER, subscription=wanted)
    )


async def probed(pair: Pair, made: Subscription) -> attempt_pb2.Attempt:
    """
    Send a test event to a subscription; return its attempt with all details.
    """
    request = payload_service_pb2.SendTestEventRequest(subscription=made.name)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                sent = await payloads(pair).SendTestEvent(request)
                break
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.05)
        where = delivery_service_pb2.ListAttemptsRequest(parent=sent.delivery)
        while not (found := (await pair.deliveries.ListAttempts(where)).attempts):
            await asyncio.sleep(0.05)
    return await pair.deliveries.GetAttempt(
        delivery_service_pb2.GetAttemptRequest(name=found[0].name)
    )


async def created(pair: Pair, **method: Any) -> Credential:
    return await pair.config.CreateCredential(
        pb.CreateCredentialRequest(
            parent=OWNER, credential=Credential(display_name="main", **method)
        )
    )


@pytest.mark.parametrize(
    ("method", "header", "value"),
    [
        (
            {"basic": {"username": "shipedge", "password": MARKER}},
            "authorization",
            f"Basic {base64.b64encode(f'shipedge:{MARKER}'.encode()).decode()}",
        ),
        ({"bearer": {"token": MARKER}}, "authorization", f"Bearer {MARKER}"),
        ({"api_key": {"header": "X-Api-Key", "key": MARKER}}, "x-api-key", MARKER),
    ],
)
async def test_fixed_credentials(
    pair: Pair, receiver: Receiver, method: dict[str, Any], header: str, value: str
) -> None:
    """
    The receiver gets the credential; no answer of the API contains it.
    """
    credential = await created(pair, **method)
    made = await with_reference(pair, receiver.url, credential=credential.name)

    attempt = await probed(pair, made)

    assert attempt.response_code == 200
    assert receiver.requests[0].headers[header] == value
    assert MARKER not in str(credential)
    assert value not in str(attempt)
    assert MARKER not in str(attempt)


async def test_hmac_of_the_body(pair: Pair, receiver: Receiver) -> None:
    """
    The HMAC in the header is that of the body.
    """
    given = {"header": "X-Hmac-Sha256", "key": MARKER, "prefix": "sha256="}
    credential = await created(pair, hmac=given)
    await probed(pair, await with_reference(pair, receiver.url, credential=credential.name))

    (received,) = receiver.requests
    digest = hmac.new(MARKER.encode(), received.body, hashlib.sha256).hexdigest()
    assert received.headers["x-hmac-sha256"] == f"sha256={digest}"


async def test_changed_credential_is_used(pair: Pair, receiver: Receiver) -> None:
    """
    A changed secret is used at once; a credential in use cannot be deleted.
    """
    credential = await created(pair, bearer={"token": "old"})
    made = await with_reference(pair, receiver.url, credential=credential.name)
    await probed(pair, made)
    changed = Credential(name=credential.name, bearer={"token": "new"})  # type: ignore[arg-type]
    await pair.config.UpdateCredential(pb.UpdateCredentialRequest(credential=changed))

    async with asyncio.timeout(PATIENCE_SECONDS):
        while receiver.requests[-1].headers["authorization"] != "Bearer new":
            await probed(pair, made)

    used = [request.headers["authorization"] for request in receiver.requests]
    assert used == ["Bearer old"] * (len(used) - 1) + ["Bearer new"]
    delete = pb.DeleteCredentialRequest(name=credential.name)
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await pair.config.DeleteCredential(delete)
    assert read_error(raised.value).reason == "CREDENTIAL_IN_USE"
    await pair.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=made.name))
    await pair.config.DeleteCredential(delete)


class TokenEndpoint:
    """
    A token endpoint that counts its tokens. The receiver refuses those in *stale*.
    """

    def __init__(self) -> None:
        self.given = 0
        self.expires_in = 3600
        self.stale: set[str] = set()
        self.refuse = False

    async def token(self, received: Received) -> None:
        if self.refuse:
            await received.answer(401, b'{"error":"invalid_client"}')
            return
        self.given += 1
        answer = {
            "access_token": f"token-{self.given}",
            "token_type": "Bearer",
            "expires_in": self.expires_in,
        }
        await received.answer(200, json.dumps(answer).encode())

    async def hook(self, received: Received) -> None:
        """
        Answer a webhook: 401 if its token is stale.
        """
        token = received.headers["authorization"].removeprefix("Bearer ")
        await received.answer(401 if token in self.stale else 200)


@asynccontextmanager
async def oauth_pair(tmp_path: Path) -> AsyncIterator[tuple[Pair, TokenEndpoint, Receiver, Any]]:
    """
    Run the pair, a token endpoint, and a receiver that requires its tokens.
    """
    endpoint = TokenEndpoint()
    async with (
        https_receiver(endpoint.token, host="127.0.0.1") as tokens,
        https_receiver(endpoint.hook, host="127.0.0.1") as hooks,
        running_pair(environment_of(tmp_path, hooks)) as pair,
    ):
        given = {"token_url": tokens.url, "client_id": "shipedge", "client_secret": MARKER}
        credential = await created(pair, oauth2_client_credentials=given)
        made = await with_reference(pair, hooks.url, credential=credential.name)
        yield pair, endpoint, tokens, made


async def both_of(pair: Pair, made: Subscription) -> Sequence[attempt_pb2.Attempt]:
    """
    Send a test event to a subscription; return its two attempts.
    """
    where = delivery_service_pb2.ListAttemptsRequest(
        parent=(await probed(pair, made)).name.partition("/attempts/")[0]
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(found := (await pair.deliveries.ListAttempts(where)).attempts) < 2:
            await asyncio.sleep(0.05)
    return sorted(found, key=lambda it: it.number)


async def test_oauth_token_is_fetched_kept_and_renewed(tmp_path: Path) -> None:
    """
    One token serves many requests; one that the receiver refuses fails its attempt, which is
    repeated at once with another one.
    """
    async with oauth_pair(tmp_path) as (pair, endpoint, tokens, made):
        assert (await probed(pair, made)).response_code == 200
        assert (await probed(pair, made)).response_code == 200
        assert endpoint.given == 1
        basic = base64.b64encode(f"shipedge:{MARKER}".encode()).decode()
        assert tokens.requests[0].headers["authorization"] == f"Basic {basic}"
        assert tokens.requests[0].body == b"grant_type=client_credentials"

        endpoint.stale.add("token-1")
        stale, again = await both_of(pair, made)
        assert stale.failure_kind == failure_kind_pb2.FAILURE_KIND_STALE_TOKEN
        assert (stale.number, stale.response_code) == (1, 401)
        assert (again.number, again.response_code) == (2, 200)
        assert endpoint.given == 2
        assert "token-2" not in str(again)

        endpoint.stale.add("token-2")
        endpoint.stale.add("token-3")
        stale, again = await both_of(pair, made)
        assert stale.failure_kind == failure_kind_pb2.FAILURE_KIND_STALE_TOKEN
        assert again.failure_kind == failure_kind_pb2.FAILURE_KIND_HTTP_STATUS
        assert endpoint.given == 3


async def test_oauth_refusal_is_logged(tmp_path: Path) -> None:
    """
    Without a token the attempt fails as FAILURE_KIND_AUTH, with the error of the token endpoint.
    """
    async with oauth_pair(tmp_path) as (pair, endpoint, _, made):
        endpoint.refuse = True
        attempt = await probed(pair, made)
        assert attempt.failure_kind == failure_kind_pb2.FAILURE_KIND_AUTH
        assert attempt.error.startswith(
            "the token server refused to give a token: HTTP 401, invalid_client; "
        )


async def test_expired_token_is_fetched_anew(tmp_path: Path) -> None:
    """
    An expired token is replaced before the next attempt.
    """
    async with oauth_pair(tmp_path) as (pair, endpoint, _, made):
        endpoint.expires_in = 0
        await probed(pair, made)
        await probed(pair, made)
        assert endpoint.given == 2


class _Authority(trustme.CA):
    """
    The test authority in the form that receivers require.
    """

    def __init__(self) -> None:
        self._pem = root().chain_pem.encode()

    @property
    def cert_pem(self) -> trustme.Blob:
        return trustme.Blob(self._pem)

    def configure_trust(self, ctx: Any) -> None:
        ctx.load_verify_locations(cadata=self._pem.decode())


@pytest.mark.parametrize("form", ["pem", "pkcs12"])
async def test_client_certificate(tmp_path: Path, form: str) -> None:
    """
    A receiver that requires a client certificate gets it; without one the attempt fails.
    """
    material: dict[str, Any] = {
        "pem": PemMaterial(
            certificate_chain=client().chain_pem,
            private_key=client().key_pem("pass"),
            password="pass",
        )
    }
    if form == "pkcs12":
        material = {"pkcs12": Pkcs12Material(bundle=client().bundle("pass"), password="pass")}
    receiver = https_receiver(answering(200), host="127.0.0.1", client_authority=_Authority())
    async with receiver as demanding, running_pair(environment_of(tmp_path, demanding)) as pair:
        certificate = await pair.config.CreateClientCertificate(
            pb.CreateClientCertificateRequest(
                parent=OWNER, client_certificate=ClientCertificate(display_name="main", **material)
            )
        )
        assert certificate.subject == "CN=shipedge-client"
        assert "PRIVATE KEY" not in str(certificate)
        assert not certificate.WhichOneof("material")

        plain = await probed(pair, await with_reference(pair, demanding.url))
        # With TLS 1.3 a server refuses after the handshake, by closing the connection.
        assert plain.failure_kind in {
            failure_kind_pb2.FAILURE_KIND_TLS,
            failure_kind_pb2.FAILURE_KIND_PROTOCOL,
        }
        made = await with_reference(pair, demanding.url, client_certificate=certificate.name)
        assert (await probed(pair, made)).response_code == 200

    await eventually(lambda: len(demanding.requests) == 1)
    shown = demanding.requests[0].peer_certificate
    assert shown is not None
    assert shown["subject"] == ((("commonName", "shipedge-client"),),)
    data = (tmp_path / "data").rglob("*.db*")
    assert not any(b"PRIVATE KEY" in path.read_bytes() for path in data)


async def test_credentials_survive_a_restart(pair: Pair, receiver: Receiver) -> None:
    """
    A restarted dispatch service reads credentials from its stored snapshot.
    """
    credential = await created(pair, bearer={"token": MARKER})
    made = await with_reference(pair, receiver.url, credential=credential.name)
    await probed(pair, made)
    await pair.stop(DISPATCH)
    await pair.start(DISPATCH)

    assert (await probed(pair, made)).response_code == 200
    assert receiver.requests[1].headers["authorization"] == f"Bearer {MARKER}"
