"""
Every column that the key ring seals, for the rotation of its keys.
"""

from __future__ import annotations

from config_service.store import owned_resources
from config_service.store.owned_resources import CLIENT_CERTIFICATE, CREDENTIAL
from config_service.store.schema import (
    client_certificates,
    credentials,
    signing_secrets,
    subscriptions,
)
from config_service.store.subscription_rows import config_place, secret_place, signing_key_place
from service_runtime.keys.rotation import SealedColumn

SEALED_COLUMNS = (
    SealedColumn(
        subscriptions.c.sealed_config, lambda row: config_place(row.owner, row.subscription_id)
    ),
    SealedColumn(
        signing_secrets.c.sealed_secret,
        lambda row: secret_place(row.owner, row.subscription_id, row.secret_id),
    ),
    SealedColumn(
        signing_secrets.c.sealed_signing_key,
        lambda row: signing_key_place(row.owner, row.subscription_id, row.secret_id),
    ),
    SealedColumn(
        credentials.c.sealed_config,
        lambda row: owned_resources.place(CREDENTIAL, row.owner, row.credential_id),
    ),
    SealedColumn(
        client_certificates.c.sealed_config,
        lambda row: owned_resources.place(CLIENT_CERTIFICATE, row.owner, row.client_certificate_id),
    ),
)
