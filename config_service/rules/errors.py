"""
The errors that callers of the config service see. Each has a reason of
`shipedge.webhooks.errors.v1.ErrorReason`.
"""

from __future__ import annotations

from service_runtime.rpc.errors import (
    Aborted,
    AlreadyExists,
    FailedPrecondition,
    NotFound,
    OutOfRange,
)


class SubscriptionNotFound(NotFound):
    reason = "SUBSCRIPTION_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no subscription {name}.", name=name)


class SubscriptionExists(AlreadyExists):
    reason = "SUBSCRIPTION_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a subscription {name} already.", name=name)


class SubscriptionNotDeleted(FailedPrecondition):
    """
    Only a deleted subscription can be undeleted.
    """

    reason = "SUBSCRIPTION_NOT_DELETED"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is not deleted.", name=name)


class PortalLinksNotOffered(FailedPrecondition):
    """
    In development nobody signs in, so there are no guests.
    """

    reason = "PORTAL_LINKS_NOT_OFFERED"

    def __init__(self) -> None:
        super().__init__("There are no portal links in development, where nobody signs in.")


class FeatureMissing(FailedPrecondition):
    """
    The owner lacks a feature that the event type needs.
    """

    reason = "FEATURE_MISSING"

    def __init__(self, owner: str, event_type: str, feature: str) -> None:
        super().__init__(
            f"{event_type} needs the feature {feature}, which {owner} does not have.",
            owner=owner,
            eventType=event_type,
            feature=feature,
        )


class CredentialNotFound(NotFound):
    reason = "CREDENTIAL_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no credential {name}.", name=name)


class CredentialExists(AlreadyExists):
    reason = "CREDENTIAL_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a credential {name} already.", name=name)


class CredentialInUse(FailedPrecondition):
    """
    A credential that subscriptions use cannot be deleted.
    """

    reason = "CREDENTIAL_IN_USE"

    def __init__(self, name: str, subscriptions: int) -> None:
        super().__init__(
            f"{subscriptions} subscriptions use {name}.",
            name=name,
            subscriptions=str(subscriptions),
        )


class ClientCertificateNotFound(NotFound):
    reason = "CLIENT_CERTIFICATE_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no client certificate {name}.", name=name)


class ClientCertificateExists(AlreadyExists):
    reason = "CLIENT_CERTIFICATE_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a client certificate {name} already.", name=name)


class ClientCertificateInUse(FailedPrecondition):
    """
    A client certificate that subscriptions use cannot be deleted.
    """

    reason = "CLIENT_CERTIFICATE_IN_USE"

    def __init__(self, name: str, subscriptions: int) -> None:
        super().__init__(
            f"{subscriptions} subscriptions use {name}.",
            name=name,
            subscriptions=str(subscriptions),
        )


class SigningKeyNotFound(NotFound):
    reason = "SIGNING_KEY_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no signing key {name}.", name=name)


class SigningKeyExists(AlreadyExists):
    reason = "SIGNING_KEY_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a signing key {name} already.", name=name)


class SigningKeyInUse(FailedPrecondition):
    """
    A signing key that subscriptions use cannot be deleted.
    """

    reason = "SIGNING_KEY_IN_USE"

    def __init__(self, name: str, subscriptions: int) -> None:
        super().__init__(
            f"{subscriptions} subscriptions use {name}.",
            name=name,
            subscriptions=str(subscriptions),
        )


class CallerNotFound(NotFound):
    reason = "CALLER_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no caller {name}.", name=name)


class CallerExists(AlreadyExists):
    reason = "CALLER_EXISTS"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is a caller {name} already.", name=name)


class CallerUsesCertificate(FailedPrecondition):
    """
    A caller that is known by its certificate has no token.
    """

    reason = "CALLER_USES_CERTIFICATE"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is known by its certificate and has no token.", name=name)


class OwnerLimitReached(FailedPrecondition):
    """
    An account or warehouse has as many resources of a kind as it may; waiting does not help.
    """

    reason = "OWNER_LIMIT_REACHED"

    def __init__(self, owner: str, kind: str, limit: int) -> None:
        what = kind.replace("_", " ")
        super().__init__(
            f"{owner} has {limit} {what}, and may have no more: delete some first.",
            owner=owner,
            what=what,
            limit=str(limit),
        )


class EventTypeNotFound(NotFound):
    reason = "EVENT_TYPE_NOT_FOUND"

    def __init__(self, name: str) -> None:
        super().__init__(f"There is no event type {name}.", name=name)


class EtagMismatch(Aborted):
    """
    The resource has changed since the caller read it.
    """

    reason = "ETAG_MISMATCH"

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} has changed since it was read: read it again.", name=name)


class RevisionCompacted(OutOfRange):
    """
    The feed cannot go on after a revision, so the reader must begin with a snapshot.
    """

    reason = "REVISION_COMPACTED"

    def __init__(self, after: int, compacted: int) -> None:
        super().__init__(
            f"The feed cannot go on after revision {after}: begin with 0.",
            afterRevision=str(after),
            compactedRevision=str(compacted),
        )


class HistoryDiffers(OutOfRange):
    """
    A revision of the feed came from another history than that of this database.
    """

    reason = "HISTORY_DIFFERS"

    def __init__(self, after: int) -> None:
        super().__init__(
            f"Revision {after} is from another history of the configuration: begin with 0.",
            afterRevision=str(after),
        )
