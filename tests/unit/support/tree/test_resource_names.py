"""
Resource names are put together in one module.
"""

from __future__ import annotations

import pytest

from tests.support.tree.resource_names import spelled_names
from tests.support.tree.sources import parse


@pytest.mark.parametrize(
    "text",
    [
        'f"{owner}/subscriptions/{subscription_id}"',
        'f"{owner}/clientCertificates/{number:03}"',
        'f"accounts/{number}"',
        'f"callers/{caller}"',
        'name.partition("/events/")',
        "call(\"SELECT owner || '/subscriptions/' || id FROM subscriptions\")",
    ],
)
def test_parts_of_names_are_found(text: str) -> None:
    """
    A formatted text with a collection is a name that is put together; a collection alone cuts one.
    """
    source = parse("dispatch_service/log/read.py", f"name = {text}\n")

    assert [violation.line for violation in spelled_names([source])] == [1]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("dispatch_service/log/read.py", 'name = "accounts/100/subscriptions/shipped"'),
        ("dispatch_service/log/read.py", '"""\nSee `/subscriptions/`.\n"""'),
        ("dispatch_service/log/read.py", 'name = f"{count} subscriptions"'),
        ("dispatch_service/log/read.py", 'name = f"/lines/{number}"'),
        ("service_runtime/rpc/names.py", 'name = f"{owner}/subscriptions/{id}"'),
        ("tests/unit/test_read.py", 'name = f"{owner}/subscriptions/{id}"'),
    ],
)
def test_other_texts_are_not(path: str, text: str) -> None:
    """
    Whole names, docstrings, the module of the names and tests may hold collections.
    """
    assert list(spelled_names([parse(path, text)])) == []
