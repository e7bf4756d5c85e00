"""
Typed rows against the tables that they are read from.
"""

from __future__ import annotations

from typing import Any

import pytest

from config_service.store import rows
from config_service.store.owned_resources import CLIENT_CERTIFICATE, CREDENTIAL
from service_runtime.database.typed_rows import RowReader
from tests.support.row_types import wrong_fields

READERS = [it for it in vars(rows).values() if isinstance(it, RowReader)]


@pytest.mark.parametrize("reader", [*READERS, CREDENTIAL.rows, CLIENT_CERTIFICATE.rows], ids=str)
def test_fields_have_the_types_of_their_columns(reader: RowReader[Any]) -> None:
    """
    A field holds every value of its column, NULL included.
    """
    assert wrong_fields(reader) == set()
