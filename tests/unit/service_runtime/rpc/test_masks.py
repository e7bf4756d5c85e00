"""
Update masks.
"""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from service_runtime.rpc.errors import InvalidArgument
from service_runtime.rpc.masks import masked_fields, merged, settable_fields
from shipedge.webhooks.config.v1.subscription_pb2 import Subscription


def test_without_a_mask_what_is_set_changes() -> None:
    """
    An absent mask stands for the fields that are set and can be.
    """
    given = Subscription(name="n", url="u", topic="ignored", etag="e")

    assert masked_fields(given, FieldMask()) == ["url"]


def test_star_is_everything_settable() -> None:
    """
    A star stands for all fields that can be set.
    """
    fields = masked_fields(Subscription(), FieldMask(paths=["*"]))

    assert {"url", "status", "filter"} <= set(fields)
    assert fields == settable_fields(Subscription())
    assert not {"name", "topic", "create_time", "etag"} & set(fields)


@pytest.mark.parametrize("path", ["nothing", "topic", "name", "filter.skus"])
def test_paths_that_cannot_be_set(path: str) -> None:
    """
    An unknown, output-only or nested path is refused with those that can be set.
    """
    with pytest.raises(InvalidArgument) as raised:
        masked_fields(Subscription(), FieldMask(paths=["url", path]))

    assert repr(path) in raised.value.message
    assert "payload_version" in raised.value.message


def test_merging_replaces_lists_and_clears_what_is_named() -> None:
    """
    A field that is named becomes what was given, also where that is nothing.
    """
    before = Subscription(url="old", description="kept", credential="gone")
    before.custom_headers.add(name="A")
    given = Subscription(url="new", description="ignored")
    given.custom_headers.add(name="B")

    after = merged(before, given, ["url", "custom_headers", "credential"])

    assert (after.url, after.description, after.credential) == ("new", "kept", "")
    assert [it.name for it in after.custom_headers] == ["B"]
