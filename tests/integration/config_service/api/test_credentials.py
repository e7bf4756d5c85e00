"""
Credentials and client certificates over the wire, on SQLite and on PostgreSQL alike.
"""

from __future__ import annotations

import uuid
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.protobuf.field_mask_pb2 import FieldMask

from config_service.store.schema import audit_entries, client_certificates, credentials
from service_runtime.database.engine import reading
from service_runtime.rpc.status import read_error
from shipedge.webhooks.config.v1 import config_service_pb2 as pb
from shipedge.webhooks.config.v1.client_certificate_pb2 import ClientCertificate, PemMaterial
from shipedge.webhooks.config.v1.credential_pb2 import Credential
from shipedge.webhooks.config.v1.signing_key_pb2 import ListSigningKeysRequest
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from tests.integration.config_service.conftest import Running
from tests.integration.config_service.store.test_feed import next_change, snapshot, watch
from tests.support.certificates import client, issue, root

pytestmark = pytest.mark.anyio

OWNER = "accounts/100"
MARKER = "marker-in-secret"


async def created(running: Running, **over: Any) -> Credential:
    """
    Create a credential with a bearer token.
    """
    given: Any = {"bearer": {"token": MARKER}}
    request = pb.CreateCredentialRequest(
        parent=OWNER, credential=Credential(display_name="main", **given), **over
    )
    return await running.config.CreateCredential(request)


async def certified(running: Running, owner: str = OWNER) -> ClientCertificate:
    """
    Upload a client certificate.
    """
    return await running.config.CreateClientCertificate(
        pb.CreateClientCertificateRequest(
            parent=owner,
            client_certificate=ClientCertificate(
                display_name="main",
                pem=PemMaterial(
                    certificate_chain=client().chain_pem, private_key=client().key_pem()
                ),
            ),
        )
    )


async def subscribed(running: Running, **reference: str) -> Subscription:
    """
    Create a subscription that refers to something.
    """
    values: Any = {
        "event_type": "orders/shipped",
        "payload_version": "v2",
        "url": "https://example.com/hooks",
        "status": Subscription.STATUS_ACTIVE,
        **reference,
    }
    return await running.config.CreateSubscription(
        pb.CreateSubscriptionRequest(parent=OWNER, subscription=Subscription(**values))
    )


async def refused(call: Any) -> Any:
    """
    Return the error that a call ends with.
    """
    with pytest.raises(grpc.aio.AioRpcError) as raised:
        await call
    return read_error(raised.value)


async def test_life_of_a_credential(running: Running) -> None:
    """
    Created, read, listed, renamed, deleted; the secret is never shown.
    """
    made = await created(running)
    assert made.name.startswith(f"{OWNER}/credentials/crd_")
    assert (made.bearer.token, made.bearer.token_set) == ("", True)

    renamed = await running.config.UpdateCredential(
        pb.UpdateCredentialRequest(
            credential=Credential(name=made.name, display_name="other"),
            update_mask=FieldMask(paths=["display_name"]),
        )
    )
    assert (renamed.display_name, renamed.bearer.token_set) == ("other", True)
    assert renamed.revision > made.revision
    got = await running.config.GetCredential(pb.GetCredentialRequest(name=made.name))
    assert got == renamed

    await running.config.DeleteCredential(pb.DeleteCredentialRequest(name=made.name))
    gone = await refused(running.config.GetCredential(pb.GetCredentialRequest(name=made.name)))
    assert gone.reason == "CREDENTIAL_NOT_FOUND"


async def test_lists_of_all_owners(running: Running) -> None:
    """
    The wildcard lists what all accounts, or all warehouses, have, page by page.
    """
    credential = await created(running)
    certificates = [(await certified(running, it)).name for it in (OWNER, "warehouses/wh1")]
    await certified(running, "accounts/1")

    everywhere = pb.ListCredentialsRequest(parent="accounts/-")
    listed = await running.config.ListCredentials(everywhere)
    assert [it.name for it in listed.credentials] == [credential.name]
    request = pb.ListClientCertificatesRequest(parent="accounts/-", page_size=1)
    first = await running.config.ListClientCertificates(request)
    request.page_token = first.next_page_token
    second = await running.config.ListClientCertificates(request)
    found = [it.name for page in (first, second) for it in page.client_certificates]
    assert [it.rpartition("/clientCertificates/")[0] for it in found] == [OWNER, "accounts/1"]
    of_warehouses = pb.ListClientCertificatesRequest(parent="warehouses/-")
    answer = await running.config.ListClientCertificates(of_warehouses)
    assert [it.name for it in answer.client_certificates] == certificates[1:]
    keys = await running.config.ListSigningKeys(ListSigningKeysRequest(parent="accounts/-"))
    assert list(keys.signing_keys) == []


async def test_pages_and_usage(running: Running) -> None:
    """
    A list goes page by page and says how many subscriptions use each.
    """
    names = [(await created(running)).name for _ in range(3)]
    await subscribed(running, credential=names[0])

    first = await running.config.ListCredentials(
        pb.ListCredentialsRequest(parent=OWNER, page_size=2)
    )
    second = await running.config.ListCredentials(
        pb.ListCredentialsRequest(parent=OWNER, page_size=2, page_token=first.next_page_token)
    )

    found = [*first.credentials, *second.credentials]
    assert [it.name for it in found] == names
    assert [it.subscription_count for it in found] == [1, 0, 0]
    assert second.next_page_token == ""


async def test_stale_etag_and_reused_names(running: Running) -> None:
    """
    Who changes what somebody else changed meanwhile is told; a name is given once.
    """
    made = await created(running, credential_id="main-token")
    changed = Credential(name=made.name, display_name="x")
    await running.config.UpdateCredential(pb.UpdateCredentialRequest(credential=changed))
    changed.etag = made.etag
    stale = await refused(
        running.config.UpdateCredential(pb.UpdateCredentialRequest(credential=changed))
    )
    assert stale.reason == "ETAG_MISMATCH"
    again = await refused(created(running, credential_id="main-token"))
    assert again.reason == "CREDENTIAL_EXISTS"


async def test_request_id_makes_creating_repeatable(running: Running) -> None:
    """
    A call that is repeated with its request id finds what the first one made.
    """
    request_id = str(uuid.uuid4())
    first = await created(running, request_id=request_id)
    second = await created(running, request_id=request_id)
    assert first.name == second.name


async def test_validate_only_stores_nothing(running: Running) -> None:
    """
    A dry run is checked and shown like the real thing.
    """
    shown = await created(running, validate_only=True)
    assert shown.bearer.token == ""
    listed = await running.config.ListCredentials(pb.ListCredentialsRequest(parent=OWNER))
    assert list(listed.credentials) == []


@pytest.mark.parametrize("field", ["credential", "client_certificate"])
async def test_what_is_used_is_not_deleted(running: Running, field: str) -> None:
    """
    Deleting waits for the last subscription; one that is brought back needs what it refers to.
    """
    if field == "credential":
        name = (await created(running)).name
        delete = running.config.DeleteCredential
        request: Any = pb.DeleteCredentialRequest(name=name)
    else:
        name = (await certified(running)).name
        delete = running.config.DeleteClientCertificate  # type: ignore[assignment]
        request = pb.DeleteClientCertificateRequest(name=name)
    made = await subscribed(running, **{field: name})
    assert (await refused(delete(request))).reason.endswith("_IN_USE")

    await running.config.DeleteSubscription(pb.DeleteSubscriptionRequest(name=made.name))
    await delete(request)
    back = await refused(
        running.config.UndeleteSubscription(pb.UndeleteSubscriptionRequest(name=made.name))
    )
    assert back.faults[0].field == f"subscription.{field}"


async def test_certificate_is_replaced(running: Running) -> None:
    """
    A new certificate takes the place of the old one under the same name.
    """
    made = await certified(running)
    other = issue("second", root())
    changed = await running.config.UpdateClientCertificate(
        pb.UpdateClientCertificateRequest(
            client_certificate=ClientCertificate(
                name=made.name,
                pem=PemMaterial(certificate_chain=other.chain_pem, private_key=other.key_pem()),
            )
        )
    )
    assert (changed.subject, changed.display_name) == ("CN=second", "main")
    assert changed.sha256_fingerprint != made.sha256_fingerprint
    listed = await running.config.ListClientCertificates(
        pb.ListClientCertificatesRequest(parent=OWNER)
    )
    assert [it.subject for it in listed.client_certificates] == ["CN=second"]


async def test_bad_certificate_names_the_field(running: Running) -> None:
    """
    A key that does not fit is refused with the reason for it.
    """
    request = pb.CreateClientCertificateRequest(
        parent=OWNER,
        client_certificate=ClientCertificate(
            display_name="main",
            pem=PemMaterial(certificate_chain=client().chain_pem, private_key=root().key_pem()),
        ),
    )
    found = await refused(running.config.CreateClientCertificate(request))
    assert found.reason == "CERTIFICATE_INVALID"
    assert found.faults[0].field == "client_certificate.pem.certificate_chain"


async def test_feed_brings_them_whole(running: Running) -> None:
    """
    The dispatch service gets them with their secrets, and their deletion.
    """
    made, certificate = await created(running), await certified(running)
    stream = watch(running)
    names, _ = await snapshot(stream)
    assert len(names) == 2
    changed = Credential(name=made.name, display_name="x")
    await running.config.UpdateCredential(pb.UpdateCredentialRequest(credential=changed))
    (change,) = (await next_change(stream)).changes
    assert change.credential.bearer.token == MARKER
    await running.config.DeleteClientCertificate(
        pb.DeleteClientCertificateRequest(name=certificate.name)
    )
    (deletion,) = (await next_change(stream)).changes
    assert deletion.deleted_name == certificate.name


async def test_nothing_secret_in_any_row(running: Running) -> None:
    """
    Secrets and keys do not show in the database, nor in the audit log.
    """
    await created(running)
    await certified(running)
    async with reading(running.engine) as db:
        rows = [
            str(row).encode()
            for table in (credentials, client_certificates, audit_entries)
            for row in await db.execute(sa.select(table))
        ]
    assert len(rows) == 4
    assert not any(MARKER.encode() in row or b"PRIVATE" in row for row in rows)
