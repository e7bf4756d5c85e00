"""
Typed rows against the tables that they are read from.
"""

from __future__ import annotations

from typing import Any

import pytest

from dispatch_service.storage import rows
from service_runtime.database.typed_rows import RowReader
from tests.support.row_types import wrong_fields

CHECKED_BY_QUERY = {"settle_time"}


@pytest.mark.parametrize(
    "reader", [it for it in vars(rows).values() if isinstance(it, RowReader)], ids=str
)
def test_fields_have_the_types_of_their_columns(reader: RowReader[Any]) -> None:
    """
    A field holds every value of its column, NULL included, unless queries leave NULL out.
    """
    assert wrong_fields(reader) <= CHECKED_BY_QUERY
