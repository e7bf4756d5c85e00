"""
The callers of a production environment, found by their certificate or their token.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from service_runtime.rpc import names
from service_runtime.rpc.callers import EVERY_OWNER, ROLES, Caller
from service_runtime.rpc.portal import links
from service_runtime.rpc.portal.links import LinkSealer
from shipedge.webhooks.config.v1 import (
    caller_pb2,
)
from shipedge.webhooks.feed.v1 import (
    feed_service_pb2,
)

_ROLE_PREFIX = "ROLE_"
_SCHEME = "bearer "
_ALTERNATIVE_NAMES = "x509_subject_alternative_name"
_IDENTITY = re.compile(r"[\x21-\x7e]{1,253}")
_NOBODY = (None, None)


@dataclass(frozen=True, slots=True)
class Token:
    """
    The SHA-256 of a token, which lets its caller in until *expire_time*.
    """

    sha256: bytes
    expire_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class CallerEntry:
    """
    A caller with its name in a certificate, or with its tokens: several during a rotation. It was
    created at *created_us*, in microseconds since 1970; 0 for one of the settings.
    """

    caller: Caller
    certificate_identity: str = ""
    tokens: Sequence[Token] = ()
    expire_time: datetime | None = None
    created_us: int = 0


class CallerDirectory:
    """
    Finds callers. The *fixed* ones come from the settings and cannot be removed.
    """

    def __init__(self, fixed: Iterable[CallerEntry] = ()) -> None:
        self._fixed = {entry.caller.name: entry for entry in fixed}
        self._entries: dict[str, CallerEntry] = {}
        self._by_identity: dict[str, CallerEntry] = {}
        self._by_token: dict[bytes, tuple[CallerEntry, Token]] = {}
        self._links: LinkSealer | None = None
        self._index()

    def use_link_key(self, key: bytes) -> None:
        """
        Let guests in by links that are sealed under *key*, 32 bytes; without one, nobody.
        """
        if key and (self._links is None or self._links.key != key):
            self._links = LinkSealer(key)

    def find(self, name: str) -> CallerEntry | None:
        """
        Return the caller of a name.
        """
        return self._fixed.get(name) or self._entries.get(name)

    def put(self, entry: CallerEntry) -> None:
        """
        Add a caller, or replace it by name.
        """
        self._entries[entry.caller.name] = entry
        self._index()

    def names(self) -> set[str]:
        """
        Return the names of all callers except the fixed ones.
        """
        return set(self._entries)

    def remove(self, name: str) -> None:
        if self._entries.pop(name, None) is not None:
            self._index()

    def replace(self, entries: Iterable[CallerEntry]) -> None:
        """
        Replace all callers except the fixed ones.
        """
        self._entries = {entry.caller.name: entry for entry in entries}
        self._index()

    def identify(
        self, metadata: Mapping[str, str | bytes], authentication: Mapping[str, Iterable[bytes]]
    ) -> Caller | None:
        """
        Return the caller of the bearer token, or without a token that of the certificate.
        """
        authorization = str(metadata.get("authorization", ""))
        if authorization:
            return self._of_authorization(authorization)
        for name in authentication.get(_ALTERNATIVE_NAMES, ()):
            if caller := _unexpired(self._by_identity.get(name.decode(errors="replace"))):
                return caller
        return None

    def _of_authorization(self, authorization: str) -> Caller | None:
        if authorization[: len(_SCHEME)].lower() != _SCHEME:
            return None
        given = authorization[len(_SCHEME) :].strip()
        if given.startswith(links.PREFIX):
            return self._guest(given)
        return _unexpired(self._of_token(given))

    def _guest(self, given: str) -> Caller | None:
        link = None if self._links is None else self._links.unseal(given)
        if link is None or link.expires_us <= time.time_ns() // 1_000:
            return None
        entry = self.find(link.caller)
        maker = _unexpired(entry)
        if entry is None or maker is None or entry.created_us != link.created_us:
            return None
        return link.guest(maker)

    def _of_token(self, given: str) -> CallerEntry | None:
        entry, token = self._by_token.get(hashlib.sha256(given.encode()).digest(), _NOBODY)
        return None if token is None or _is_over(token.expire_time) else entry

    def _index(self) -> None:
        # The fixed callers come last, so that no other can take their identity.
        entries = [*self._entries.values(), *self._fixed.values()]
        self._by_identity = {entry.certificate_identity: entry for entry in entries}
        self._by_identity.pop("", None)
        self._by_token = {
            token.sha256: (entry, token) for entry in entries for token in entry.tokens
        }


def _unexpired(entry: CallerEntry | None) -> Caller | None:
    if entry is None:
        return None
    return None if _is_over(entry.expire_time) else entry.caller


def _is_over(expire_time: datetime | None) -> bool:
    return expire_time is not None and expire_time.timestamp() <= time.time()


def parse_fixed(entries: Iterable[str]) -> list[CallerEntry]:
    """
    Parse `identity=role+role` entries: callers that may touch all owners.

    Raises `ValueError`, which names the allowed values.
    """
    found = []
    for entry in entries:
        identity, _, roles = entry.rpartition("=")
        named = frozenset(roles.split("+"))
        if not _IDENTITY.fullmatch(identity) or not named <= ROLES:
            allowed = ", ".join(sorted(ROLES))
            raise ValueError(
                f"{entry!r} must be a name in a certificate, =, and roles joined by + ({allowed})"
            )
        caller = Caller(names.caller(identity), named, EVERY_OWNER)
        found.append(CallerEntry(caller, certificate_identity=identity))
    return found


def read_caller(message: feed_service_pb2.FeedCaller) -> CallerEntry:
    """
    Convert a caller of the feed. Roles that this release does not know are left out.
    """
    shown = message.caller
    known = caller_pb2.Caller.Role.values()
    roles = frozenset(
        caller_pb2.Caller.Role.Name(role).removeprefix(_ROLE_PREFIX).lower()
        for role in shown.roles
        if role in known and role
    )
    return CallerEntry(
        Caller(shown.name, roles, frozenset(shown.owners)),
        shown.certificate_identity,
        [Token(token.sha256, _expire_time(token)) for token in message.tokens],
        _expire_time(shown),
        shown.create_time.ToMicroseconds(),
    )


def _expire_time(
    message: caller_pb2.Caller | feed_service_pb2.FeedToken,
) -> datetime | None:
    has = message.HasField("expire_time")
    return message.expire_time.ToDatetime(tzinfo=UTC) if has else None
