"""
JSON Schemas of the payload versions.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from dispatch_service.payloads import CONTRACTS, example_body, example_event, schema

_schema = cache(schema)


@cache
def _check_part(text: bytes) -> None:
    Draft202012Validator.check_schema(msgspec.json.decode(text))


def _check(document: dict[str, Any]) -> None:
    """
    Check a schema against that of schemas, and its definitions, which many have in common, once
    each.
    """
    for part in ({**document, "$defs": {}}, *document["$defs"].values()):
        _check_part(msgspec.json.encode(part, order="sorted"))


def _objects(part: Any) -> Iterator[dict[str, Any]]:
    """
    Yield the schemas of objects within *part*.
    """
    if isinstance(part, dict):
        if "properties" in part:
            yield part
        for value in part.values():
            yield from _objects(value)


@pytest.mark.parametrize(("event_type", "payload_version"), CONTRACTS)
def test_schema_is_valid_and_complete(event_type: str, payload_version: str) -> None:
    """
    Every schema is valid and complete, and its example satisfies it.
    """
    document = _schema(event_type, payload_version)
    name = CONTRACTS[event_type, payload_version].topic

    _check(document)
    body = msgspec.json.decode(example_body(event_type, payload_version))
    Draft202012Validator(document).validate(body)
    assert document["$id"] == f"https://webhooks.shipedge.com/schemas/{name}.json"
    assert document["properties"]["event"]["const"] == body["event"] == name
    assert list(document["properties"]) == list(body)
    for part in _objects(document):
        assert part["required"] == list(part["properties"])
        assert part["additionalProperties"] is True


@pytest.mark.parametrize(("event_type", "payload_version"), CONTRACTS)
def test_every_field_has_a_description(event_type: str, payload_version: str) -> None:
    """
    Every field has a description.
    """
    for part in _objects(_schema(event_type, payload_version)):
        for name, field in part["properties"].items():
            assert field.get("description"), f"{part.get('title')}.{name}"


def test_optional_fields_are_nullable() -> None:
    """
    A field that may be unknown is nullable; a required one is not.
    """
    fields = schema("orders/shipped", "v2")["properties"]

    assert fields["shipped_date"]["anyOf"][1] == {"type": "null"}
    assert fields["total"]["anyOf"] == [{"type": "number"}, {"type": "null"}]
    assert fields["order_id"]["type"] == "integer"
    assert fields["customer"]["$ref"] == "#/$defs/CustomerV2"


@pytest.mark.parametrize(
    ("event_type", "payload_version"), [("orders/delivered", "v1"), ("orders/shipped", "v4")]
)
def test_unknown_version_has_no_schema(event_type: str, payload_version: str) -> None:
    """
    A version that is not offered has no schema and no example.
    """
    with pytest.raises(LookupError):
        schema(event_type, payload_version)
    with pytest.raises(LookupError):
        example_body(event_type, payload_version)


def test_unknown_event_type_has_no_example() -> None:
    """
    An event type outside the catalogue has no example.
    """
    with pytest.raises(LookupError, match="orders/delivered"):
        example_event("orders/delivered")
