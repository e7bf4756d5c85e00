"""
How much an owner may have, and changes at the same time, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Iterable
from typing import Any

import grpc
import pytest

from config_service.rules.errors import OwnerLimitReached
from config_service.rules.owner_limits import OwnerLimits
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate, PemMaterial
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.config.v1.owner_settings_pb2 import OwnerSettings
from tests.integration.config_service.conftest import Running
from tests.support.certificates import client
from tests.support.config_calls import OWNER, create, error

pytestmark = pytest.mark.anyio

SUBSCRIPTIONS, CREDENTIALS, CERTIFICATES = 60, 7, 4


@pytest.mark.parametrize(
    ("kind", "count", "refused"),
    [
        ("subscriptions", 1999, False),
        ("subscriptions", 2000, True),
        ("credentials", 199, False),
        ("credentials", 200, True),
        ("client_certificates", 199, False),
        ("client_certificates", 201, True),
        ("signing_keys", 200, True),
    ],
)
def test_limits_of_an_owner(kind: str, count: int, refused: bool) -> None:
    """
    The error names the owner, what it has and the limit.
    """
    if not refused:
        OwnerLimits().check(kind, OWNER, count)
        return
    with pytest.raises(OwnerLimitReached) as reached:
        OwnerLimits().check(kind, OWNER, count)
    assert reached.value.metadata["owner"] == OWNER
    assert reached.value.metadata["what"] == kind.replace("_", " ")
    assert reached.value.metadata["limit"] in reached.value.message


async def results(calls: Iterable[Awaitable[Any]]) -> Counter[str]:
    """
    Make calls at the same time; count what they come to: a reason, empty if all is well.
    """
    found = await asyncio.gather(*calls, return_exceptions=True)
    reasons: Counter[str] = Counter()
    for it in found:
        assert not isinstance(it, BaseException) or isinstance(it, grpc.aio.AioRpcError)
        reasons[read_error(it).reason if isinstance(it, grpc.aio.AioRpcError) else ""] += 1
    return reasons


@pytest.mark.slow
async def test_subscriptions_are_limited(running: Running) -> None:
    """
    Whoever comes at the same time: no more than the limit, and room again after a deletion, of
    which an undeletion makes use too. Other owners are not concerned.
    """
    for _ in range(SUBSCRIPTIONS - 4):
        made = await create(running)
    found = await results(create(running) for _ in range(8))
    assert found == {"": 4, "OWNER_LIMIT_REACHED": 4}
    refused = await error(create(running))
    assert (refused.code, refused.metadata) == (
        "FAILED_PRECONDITION",
        {"owner": OWNER, "what": "subscriptions", "limit": str(SUBSCRIPTIONS)},
    )
    assert (await create(running, "accounts/200")).name

    await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=made.name))
    undelete = pb.UndeleteSubscriptionRequest(name=made.name)
    found = await results([create(running), running.config.UndeleteSubscription(undelete)])

    assert found == {"": 1, "OWNER_LIMIT_REACHED": 1}


def credential(number: int) -> pb.CreateCredentialRequest:
    """
    Ask for a credential.
    """
    method: Any = {"bearer": {"token": "t" * 20}}
    given = Credential(display_name=f"n{number}", **method)
    return pb.CreateCredentialRequest(parent=OWNER, credential=given)


def certificate() -> pb.CreateClientCertificateRequest:
    """
    Ask for a client certificate.
    """
    pem = PemMaterial(certificate_chain=client().chain_pem, private_key=client().key_pem())
    given = ClientCertificate(display_name="main", pem=pem)
    return pb.CreateClientCertificateRequest(parent=OWNER, client_certificate=given)


@pytest.mark.slow
async def test_credentials_and_certificates_are_limited(running: Running) -> None:
    """
    Each kind by itself.
    """
    stub = running.config
    made = await results(stub.CreateCredential(credential(n)) for n in range(CREDENTIALS + 3))
    uploaded = await results(
        stub.CreateClientCertificate(certificate()) for _ in range(CERTIFICATES + 2)
    )

    assert made == {"": CREDENTIALS, "OWNER_LIMIT_REACHED": 3}
    assert uploaded == {"": CERTIFICATES, "OWNER_LIMIT_REACHED": 2}
    refused = await error(stub.CreateClientCertificate(certificate()))
    assert refused.metadata["what"] == "client certificates"


@pytest.mark.slow
async def test_one_of_two_updates_with_the_same_etag_wins(running: Running) -> None:
    """
    The other one is told to read again, whatever resource it is.
    """
    stub = running.config
    subscription = await create(running)
    kept = await stub.CreateCredential(credential(1))
    settings = await stub.UpdateOwnerSettings(
        pb.UpdateOwnerSettingsRequest(settings=OwnerSettings(name=f"{OWNER}/settings"))
    )
    for number in range(8):
        subscription.description = kept.display_name = f"n{number}"
        requests: list[tuple[Any, Any]] = [
            (stub.UpdateSubscription, pb.UpdateSubscriptionRequest(subscription=subscription)),
            (stub.UpdateCredential, pb.UpdateCredentialRequest(credential=kept)),
            (stub.UpdateOwnerSettings, pb.UpdateOwnerSettingsRequest(settings=settings)),
        ]
        for method, request in requests:
            found = await results([method(request) for _ in range(4)])
            assert found == {"": 1, "ETAG_MISMATCH": 3}
        subscription = await stub.GetSubscription(pb.GetSubscriptionRequest(name=subscription.name))
        kept = await stub.GetCredential(pb.GetCredentialRequest(name=kept.name))
        settings = await stub.GetOwnerSettings(pb.GetOwnerSettingsRequest(name=settings.name))
