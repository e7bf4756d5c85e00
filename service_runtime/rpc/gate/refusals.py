"""
Refused calls: one line of log for the first of a peer, then a sum a minute; whoever is refused
again and again is answered late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import structlog

from service_runtime.rpc.errors import RpcError
from service_runtime.rpc.gate.timer import WorkTimer

REASONS = frozenset(
    {
        "ACCOUNT_LIMIT_REACHED",
        "CALLER_FORBIDDEN",
        "CALLER_LIMIT_REACHED",
        "CALLER_UNKNOWN",
        "MESSAGE_MALFORMED",
        "MESSAGE_TOO_LARGE",
        "SERVICE_LIMIT_REACHED",
    }
)
"""
The reasons of calls that no method has seen.
"""

COUNTED_SECONDS = 60.0
PROMPT = 100
DELAY_SECONDS = 1.0
MOST_DELAYED = 1000
"""
So many refusals of a peer within `COUNTED_SECONDS` are answered at once, the others after
`DELAY_SECONDS`; no more than `MOST_DELAYED` of a peer wait for that at a time.
"""

_MOST_PEERS = 10_000
_NAMES = ("x509_subject_alternative_name", "x509_common_name")

log = structlog.get_logger()


def peer_of(address: str, authentication: Mapping[str, Iterable[bytes]]) -> str:
    """
    Return who is at the other end: the first name in its certificate, else its host.
    """
    for kind in _NAMES:
        for name in authentication.get(kind, ()):
            return name.decode(errors="replace")
    return address.rpartition(":")[0]


@dataclass(slots=True)
class _Peer:
    count: int = 0
    unlogged: int = 0
    delayed: int = 0
    reason: str = ""


class Refusals:
    """
    Counts refusals by peer, for one event loop.
    """

    def __init__(self) -> None:
        self._peers: dict[str, _Peer] = {}
        self._timer = WorkTimer(COUNTED_SECONDS, self._sum_again)

    def refused(self, peer: str, error: RpcError, method: str, caller: str) -> None:
        """
        Count a refusal, and log it if it is the first of its peer for a minute.
        """
        known = self._peers.get(peer)
        if known is None:
            known = self._first(peer)
            log.info(
                "rpc.refused",
                method=method,
                code=error.code,
                reason=error.reason,
                caller=caller,
                address=peer,
                count=1,
            )
        else:
            known.unlogged += 1
        known.count += 1
        known.reason = error.reason

    async def pause(self, peer: str) -> None:
        """
        Wait before a refusal is answered, if its peer had many.
        """
        known = self._peers.get(peer)
        if known is None or known.count <= PROMPT or known.delayed >= MOST_DELAYED:
            return
        known.delayed += 1
        try:
            await asyncio.sleep(DELAY_SECONDS)
        finally:
            known.delayed -= 1

    def sum_up(self) -> None:
        """
        Log the refusals since the last sum, and forget peers that had none.
        """
        for peer, known in list(self._peers.items()):
            if known.unlogged:
                _log_sum(peer, known)
                known.count = known.unlogged = 0
            elif not known.delayed:
                del self._peers[peer]

    def _first(self, peer: str) -> _Peer:
        if len(self._peers) >= _MOST_PEERS:
            oldest = next(iter(self._peers))
            _log_sum(oldest, self._peers.pop(oldest))
        self._timer.start()
        known = self._peers[peer] = _Peer()
        return known

    def _sum_again(self) -> bool:
        self.sum_up()
        return bool(self._peers)


def _log_sum(peer: str, known: _Peer) -> None:
    if known.unlogged:
        log.info("rpc.refused", reason=known.reason, address=peer, count=known.unlogged)
