"""
webhooksctl has a command for each method that an operator may want.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from shipedge.webhooks.config.v1 import config_admin_service_pb2, config_service_pb2
from shipedge.webhooks.dispatch.v1 import (
    delivery_service_pb2,
    dispatch_admin_service_pb2,
    payload_service_pb2,
    publisher_service_pb2,
)

SOURCES = Path(__file__).parent.parent.parent / "webhooksctl"
FOR_PROGRAMS = {"BatchCreateSubscriptions", "StreamEvents"}
COMMON = {
    f"{verb}{noun}"
    for verb in ("Create", "Get", "Update", "Delete")
    for noun in ("Credential", "ClientCertificate", "SigningKey")
} | {"ListCredentials", "ListClientCertificates", "ListSigningKeys"}
"""
These are called by the names of their kinds.
"""


def methods() -> Iterator[str]:
    """
    Yield the names of all public methods.
    """
    for module in (
        config_service_pb2,
        config_admin_service_pb2,
        delivery_service_pb2,
        payload_service_pb2,
        publisher_service_pb2,
        dispatch_admin_service_pb2,
    ):
        for service in module.DESCRIPTOR.services_by_name.values():
            yield from (method.name for method in service.methods)


def test_every_method_has_a_command() -> None:
    """
    But those that only programs call.
    """
    source = "\n".join(path.read_text() for path in SOURCES.rglob("*.py"))
    called = set(re.findall(r"\.([A-Z][A-Za-z]+)\b", source)) | COMMON

    assert set(methods()) - called == FOR_PROGRAMS
