"""
Rows of the tables as the store reads them.
"""

from __future__ import annotations

from datetime import datetime

import msgspec
import sqlalchemy as sa

from config_service.store.schema import (
    caller_tokens,
    callers,
    client_certificates,
    endpoint_events,
    feed_items,
    feed_state,
    owner_settings,
    subscriptions,
)
from service_runtime.database.instants import database_now
from service_runtime.database.typed_rows import RowReader
from service_runtime.rpc import names


class SubscriptionRow(msgspec.Struct, frozen=True, gc=False):
    """
    A subscription; *sealed_config* holds the fields that callers set. Without *matches_since*
    it is not known since when events are matched with it. *verified_url_hash* is that of the URL
    that last answered a challenge.
    """

    owner: str
    subscription_id: str
    created_revision: int
    revision: int
    status: str
    status_reason: str
    sealed_config: bytes
    endpoint_health: bytes
    skipped_event_count: int
    last_skipped_time: datetime | None
    create_time: datetime
    update_time: datetime
    delete_time: datetime | None
    matches_since: datetime | None
    verified_url_hash: bytes | None

    @property
    def unverified(self) -> bool:
        """
        Whether it is Inactive until its URL has answered a challenge.
        """
        return self.status_reason == "UNVERIFIED"


class SecretRow(msgspec.Struct, frozen=True, gc=False):
    """
    A secret of the subscription or signing key *holder_id*, with its ed25519 key. Without
    *expire_time* it does not expire.
    """

    owner: str
    holder_id: str
    secret_id: str
    sealed_secret: bytes
    sealed_signing_key: bytes | None
    create_time: datetime
    expire_time: datetime | None


class OwnedRow(msgspec.Struct, frozen=True, gc=False):
    """
    A credential or a client certificate; *sealed_config* holds the fields that callers set.
    """

    owner: str
    resource_id: str
    created_revision: int
    revision: int
    sealed_config: bytes
    create_time: datetime
    update_time: datetime


class CertificateRow(msgspec.Struct, frozen=True, gc=False):
    """
    The expiry of a client certificate, and the time *now* of the database.
    """

    owner: str
    client_certificate_id: str
    sha256_fingerprint: str
    not_after: datetime
    now: datetime


class CallerRow(msgspec.Struct, frozen=True, gc=False):
    """
    A caller, who has either a name in a certificate or tokens.
    """

    caller_id: str
    created_revision: int
    revision: int
    config: bytes
    certificate_identity: str | None
    create_time: datetime
    update_time: datetime
    expire_time: datetime | None


class TokenRow(msgspec.Struct, frozen=True, gc=False):
    """
    A token of a caller; those before the last one expire.
    """

    caller_id: str
    token_sha256: bytes
    created_revision: int
    expire_time: datetime | None


class SettingsRow(msgspec.Struct, frozen=True, gc=False):
    """
    The settings of an owner.
    """

    owner: str
    revision: int
    config: bytes
    update_time: datetime


class EndpointEventRow(msgspec.Struct, frozen=True, gc=False):
    """
    An endpoint event. Without *occur_time* the release before wrote it, and it is not listed yet.
    """

    endpoint_event_id: str
    received_revision: int
    stale: bool
    report: bytes
    create_time: datetime
    occur_time: datetime | None


class FeedItemRow(msgspec.Struct, frozen=True, gc=False):
    """
    The last change of a resource; *kind* is its field in `FeedChange`.
    """

    name: str
    kind: str
    revision: int
    deleted: bool


class FeedStateRow(msgspec.Struct, frozen=True, gc=False):
    """
    The newest revision, the newest revision of which deletions have been forgotten, and the
    time of the database.
    """

    revision: int
    compacted_revision: int
    now: datetime


SUBSCRIPTIONS = RowReader(SubscriptionRow, subscriptions)
CERTIFICATES = RowReader(CertificateRow, client_certificates, other_columns={"now": database_now()})
CALLERS = RowReader(CallerRow, callers)
TOKENS = RowReader(TokenRow, caller_tokens)
SETTINGS = RowReader(SettingsRow, owner_settings)
ENDPOINT_EVENTS = RowReader(EndpointEventRow, endpoint_events)
FEED_ITEMS = RowReader(FeedItemRow, feed_items)
FEED_STATE = RowReader(FeedStateRow, feed_state, other_columns={"now": database_now()})


def of_parent(owner: sa.Column[str], parent: str) -> sa.ColumnElement[bool]:
    """
    Return the condition that the column *owner* is *parent*, or of its kind for a wildcard.
    """
    if names.is_wildcard(parent):
        return owner.startswith(parent.removesuffix("-"), autoescape=True)
    return owner == parent
