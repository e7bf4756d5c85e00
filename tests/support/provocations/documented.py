"""
What the contract says of each reason, read from the comments of `error_reason.proto`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from google.rpc import code_pb2, error_details_pb2, status_pb2

from service_runtime.rpc.errors import DOMAIN
from shipedge.webhooks.errors.v1 import error_reason_pb2
from tests.support.project_files import ROOT

PATH = ROOT / "proto/shipedge/webhooks/errors/v1/error_reason.proto"

_VALUE = re.compile(r"((?: *//[^\n]*\n)+)  ERROR_REASON_(\w+) = [1-9]")
_EXAMPLE = re.compile(r"\{.*\}\}", re.DOTALL)
_CODE = re.compile(r"`([A-Z_]+)`\.")


@dataclass(frozen=True, slots=True)
class Documented:
    """
    The code of a reason, the keys of its metadata and its domain.
    """

    code: str
    keys: frozenset[str]
    domain: str = DOMAIN


def names() -> list[str]:
    """
    Return all reasons, without their prefix.
    """
    values = error_reason_pb2.ErrorReason.DESCRIPTOR.values[1:]
    return [it.name.removeprefix("ERROR_REASON_") for it in values]


def documented() -> Mapping[str, Documented]:
    """
    Return what is documented of each reason. Raises `AssertionError` for an example of another
    reason.
    """
    found = {}
    for comment, name in _VALUE.findall(PATH.read_text()):
        text = re.sub(r"\n? *// ?", " ", comment)
        example, code = _EXAMPLE.search(text), _CODE.search(text)
        assert example is not None
        assert code is not None
        shown = json.loads(example[0])
        assert shown["reason"] == name
        found[name] = Documented(code[1], frozenset(shown["metadata"]))
    return found


def seen(status: status_pb2.Status) -> tuple[str, Documented]:
    """
    Return the reason of a status with what it shows. Raises `AssertionError` unless it has exactly
    one `ErrorInfo`.
    """
    infos = []
    for detail in status.details:
        info = error_details_pb2.ErrorInfo()
        if detail.Unpack(info):
            infos.append(info)
    (info,) = infos
    shown = Documented(code_pb2.Code.Name(status.code), frozenset(info.metadata), info.domain)
    return info.reason, shown


def violations(status: status_pb2.Status) -> dict[str, str]:
    """
    Return the reasons of all field violations of a status, by their fields.
    """
    bad_request = error_details_pb2.BadRequest()
    for detail in status.details:
        detail.Unpack(bad_request)
    return {it.field: it.reason for it in bad_request.field_violations}
