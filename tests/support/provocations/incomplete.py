"""
Calls that lack what the contract declares required: empty requests of all methods, and resources
without one field.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message

from shipedge.webhooks.config.v1 import (
    caller_pb2,
    client_certificate_pb2,
    config_admin_service_pb2,
    config_service_pb2,
    credential_pb2,
    signing_key_pb2,
    subscription_pb2,
)
from shipedge.webhooks.dispatch.v1 import (
    delivery_service_pb2,
    dispatch_admin_service_pb2,
    payload_service_pb2,
    publisher_service_pb2,
)
from shipedge.webhooks.feed.v1 import feed_service_pb2
from tests.contract.test_field_behaviours import required_of, set_fields
from tests.support.certificates import client
from tests.support.pair import CONFIG, DISPATCH
from tests.support.provocations.config_service import wanted
from tests.support.provocations.scene import OWNER, Scene, certificate

_SERVICES: dict[str, list[ModuleType]] = {
    CONFIG: [config_service_pb2, config_admin_service_pb2, feed_service_pb2],
    DISPATCH: [
        publisher_service_pb2,
        delivery_service_pb2,
        payload_service_pb2,
        dispatch_admin_service_pb2,
    ],
}


def _requiring(package: str) -> Iterator[MethodDescriptor]:
    for module in _SERVICES[package]:
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                if required_of(method.input_type) and not method.client_streaming:
                    yield method


METHODS = {package: list(_requiring(package)) for package in _SERVICES}
"""
The methods of each service that have required fields, but streams of requests.
"""


async def called_empty(scene: Scene, package: str, method: MethodDescriptor) -> None:
    """
    Call a method of a service without any field.
    """
    service = method.containing_service
    path = f"/{service.full_name}/{method.name}"
    call: Any = scene.pair.channels[package].unary_stream(path)
    await call(b"").read()


class Lacking(NamedTuple):
    """
    A request that creates something, without the field at *path*.
    """

    method: str
    request: Message
    path: str


def _credential(**kind: Any) -> Message:
    credential = credential_pb2.Credential(display_name="complete", **kind)
    return config_service_pb2.CreateCredentialRequest(parent=OWNER, credential=credential)


def _complete() -> Iterator[tuple[str, Message]]:
    """
    Yield methods with requests that have all required fields.
    """
    subscription = wanted(
        custom_headers=[subscription_pb2.CustomHeader(name="X-Key", value="x")],
        retry_schedule={"delays": [Duration(seconds=5)]},
    )
    yield (
        "CreateSubscription",
        config_service_pb2.CreateSubscriptionRequest(parent=OWNER, subscription=subscription),
    )
    yield "CreateCredential", _credential(basic={"username": "x", "password": "x"})
    yield "CreateCredential", _credential(api_key={"header": "X-Key", "key": "x"})
    yield "CreateCredential", _credential(hmac={"header": "X-Signature", "key": "x"})
    oauth2 = {"token_url": "https://a.example.com/", "client_id": "x", "client_secret": "x"}
    yield "CreateCredential", _credential(oauth2_client_credentials=oauth2)
    yield (
        "CreateClientCertificate",
        config_service_pb2.CreateClientCertificateRequest(
            parent=OWNER, client_certificate=certificate()
        ),
    )
    bundle: Any = {"bundle": client().bundle("password"), "password": "password"}
    packed = client_certificate_pb2.ClientCertificate(display_name="x", pkcs12=bundle)
    yield (
        "CreateClientCertificate",
        config_service_pb2.CreateClientCertificateRequest(parent=OWNER, client_certificate=packed),
    )
    yield (
        "CreateSigningKey",
        signing_key_pb2.CreateSigningKeyRequest(
            parent=OWNER, signing_key=signing_key_pb2.SigningKey(display_name="x")
        ),
    )
    caller = caller_pb2.Caller(
        display_name="x", roles=[caller_pb2.Caller.ROLE_READER], owners=[OWNER]
    )
    yield "CreateCaller", config_admin_service_pb2.CreateCallerRequest(caller=caller)


def _lacking() -> Iterator[Lacking]:
    for method, complete in _complete():
        for path in [at for _, _, at in set_fields(complete) if "." in at]:
            request = type(complete)()
            request.CopyFrom(complete)
            message, field = next(
                (it, found) for it, found, at in set_fields(request) if at == path
            )
            if field.name in required_of(message.DESCRIPTOR):
                message.ClearField(field.name)
                yield Lacking(method, request, path)


LACKING = list(_lacking())
"""
A request for each required field of a resource, without it.
"""


async def called_without(scene: Scene, lacking: Lacking) -> None:
    """
    Send a request that lacks a field, only to be checked.
    """
    request: Any = lacking.request
    request.validate_only = True
    caller: Any = scene.callers if lacking.method == "CreateCaller" else scene.pair.config
    await getattr(caller, lacking.method)(request)
