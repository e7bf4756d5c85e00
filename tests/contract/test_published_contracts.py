"""
Published forms of the payload contracts are complete, current and usable without the services.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dispatch_service.payloads import CONTRACTS, example_body, schema
from dispatch_service.published_contracts.__main__ import check, main
from dispatch_service.published_contracts.bundle import bundle
from shipedge.webhooks.payload_contracts import compact, published


@cache
def files() -> dict[str, bytes]:
    """
    Return the bundle: path and content of each file.
    """
    return dict(bundle())


@pytest.mark.parametrize(("event_type", "version"), CONTRACTS)
def test_files_hold_schema_and_example(event_type: str, version: str) -> None:
    """
    The files beside the stubs hold schema and example byte for byte.
    """
    found = published(event_type)[version]
    assert compact(found.example).encode() == example_body(event_type, version)
    assert json.loads(compact(found.json_schema)) == schema(event_type, version)


@pytest.mark.slow
def test_files_and_pages_are_current(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Files and pages are those of the current contracts.
    """
    assert check() == 0, capsys.readouterr().err


def test_unknown_event_type_has_no_file() -> None:
    """
    A name that is not an event type is never used as a path.
    """
    with pytest.raises(LookupError):
        published("../../orders/shipped")


@pytest.mark.parametrize(("event_type", "version"), CONTRACTS)
def test_bundle_holds_schema_and_example(event_type: str, version: str) -> None:
    """
    Each example of the bundle satisfies its schema.
    """
    name = f"{event_type.replace('/', '_')}_{version}"
    described = json.loads(files()[f"schemas/{name}.json"])
    assert described == schema(event_type, version)
    example = json.loads(files()[f"examples/{name}.json"])
    jsonschema.Draft202012Validator(described).validate(example)


def references(part: Any) -> list[str]:
    """
    Collect all references of a document.
    """
    if isinstance(part, dict):
        own = [part["$ref"]] if "$ref" in part else []
        return own + [it for value in part.values() for it in references(value)]
    return [it for value in part for it in references(value)] if isinstance(part, list) else []


def test_asyncapi_references_can_be_resolved() -> None:
    """
    Every reference of the AsyncAPI document can be resolved.
    """
    document = json.loads(files()["asyncapi.json"])
    assert document["asyncapi"] == "3.0.0"
    found = references(document)
    assert len(found) >= 4 * len(CONTRACTS)
    for reference in found:
        if not reference.startswith("#/"):
            assert reference in files()
            continue
        part = document
        for step in reference[2:].split("/"):
            part = part[step]


def test_asyncapi_has_every_contract() -> None:
    """
    Each payload version is a message with its wire name, and one operation sends it.
    """
    document = json.loads(files()["asyncapi.json"])
    messages = document["components"]["messages"]
    assert {it["name"] for it in messages.values()} == {
        contract.topic for contract in CONTRACTS.values()
    }
    assert len(document["operations"]) == len(CONTRACTS)
    assert {it["action"] for it in document["operations"].values()} == {"send"}


def test_bundle_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    One command writes the bundle into a folder.
    """
    monkeypatch.setattr("sys.argv", ["published_contracts", "bundle", str(tmp_path / "out")])
    assert main() == 0
    written = {
        str(path.relative_to(tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    }
    assert written == set(files())
