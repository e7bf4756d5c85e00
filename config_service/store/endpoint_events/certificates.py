"""
Endpoint events that the config service raises itself: client certificates that expire soon.
"""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from config_service.store import owned_resources
from config_service.store.endpoint_events import event_rows
from config_service.store.owned_resources import CLIENT_CERTIFICATE
from config_service.store.rows import (
    CERTIFICATES,
    SUBSCRIPTIONS,
    CertificateRow,
    SubscriptionRow,
)
from config_service.store.schema import (
    endpoint_events,
    subscriptions,
)
from config_service.store.subscription_rows import name_of
from service_runtime.rpc import names
from shipedge.webhooks.config.v1.endpoint_event_pb2 import EndpointEvent

WARN_DAYS = (30, 7)
"""
The days before the expiry of a certificate at which owners are warned.
"""


async def certificates_in_use(db: AsyncConnection) -> dict[str, CertificateRow]:
    """
    Return the certificates in use by name, the one that expires first at the head.
    """
    certificates = await CERTIFICATES.all(db, CERTIFICATES.select())
    rows = {_name(row): row for row in certificates}
    used = await owned_resources.usage(db, CLIENT_CERTIFICATE, list(rows))
    return {name: rows[name] for name in sorted(used, key=lambda name: rows[name].not_after)}


def days_left(certificate: CertificateRow) -> int:
    """
    Return the whole days for which a certificate is valid.
    """
    return (certificate.not_after - certificate.now).days


async def warn_of_certificate(db: AsyncConnection, certificate: CertificateRow) -> None:
    """
    Report a certificate that expires soon, once at 30 days and once at 7.
    """
    for limit in WARN_DAYS:
        if days_left(certificate) < limit:
            await _warn(db, _name(certificate), certificate, limit)


def _name(row: CertificateRow) -> str:
    return names.client_certificate(row.owner, row.client_certificate_id)


async def _warn(db: AsyncConnection, name: str, certificate: CertificateRow, limit: int) -> None:
    query = SUBSCRIPTIONS.select().where(
        subscriptions.c.client_certificate == name, subscriptions.c.delete_time.is_(None)
    )
    for row in await SUBSCRIPTIONS.all(db, query):
        event_id = f"{certificate.sha256_fingerprint[:32]}-{limit}-{row.subscription_id}"
        known = sa.select(endpoint_events.c.stale).where(
            endpoint_events.c.endpoint_event_id == event_id
        )
        if (await db.execute(known)).first() is None:
            event = _expiring(event_id, row, certificate.now)
            await event_rows.insert(db, row.owner, event)


def _expiring(event_id: str, row: SubscriptionRow, now: datetime) -> EndpointEvent:
    event = EndpointEvent(
        endpoint_event_id=event_id,
        subscription=name_of(row),
        subscription_revision=row.revision,
        kind=EndpointEvent.KIND_CERTIFICATE_EXPIRING,
    )
    event.occur_time.FromDatetime(now)
    return event
