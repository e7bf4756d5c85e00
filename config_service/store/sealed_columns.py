"""
All columns that the key ring seals, for the rotation of its keys.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from config_service.store import associated_data
from config_service.store.schema import (
    audit,
    client_certificates,
    credentials,
    signing_key_secrets,
    signing_keys,
    signing_secrets,
    subscriptions,
)
from service_runtime.keys.keyring import AssociatedData
from service_runtime.keys.rotation import SealedColumn


def _sealed(column: sa.Column[Any], bind: Callable[..., AssociatedData]) -> SealedColumn:
    """
    Describe a column whose associated data follow from the primary key of its row.
    """
    key = [part.name for part in column.table.primary_key.columns]
    return SealedColumn(column, lambda row: bind(*(getattr(row, name) for name in key)))


SEALED_COLUMNS = (
    _sealed(subscriptions.c.sealed_config, associated_data.subscription),
    _sealed(signing_secrets.c.sealed_secret, associated_data.signing_secret),
    _sealed(signing_secrets.c.sealed_signing_key, associated_data.signing_key),
    _sealed(signing_keys.c.sealed_config, associated_data.shared_signing_key),
    _sealed(signing_key_secrets.c.sealed_secret, associated_data.secret_of_key),
    _sealed(signing_key_secrets.c.sealed_signing_key, associated_data.private_key_of_key),
    _sealed(credentials.c.sealed_config, associated_data.credential),
    _sealed(client_certificates.c.sealed_config, associated_data.client_certificate),
    audit.sealed_column(),
)
