"""
The position of a reader in the feed, and whether an answer goes on from it. No I/O, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Position:
    """
    A revision of the configuration, and the digest of the history that led to it.

    Without a digest nothing is known of the history: the feed begins with a snapshot.
    """

    revision: int = 0
    digest: bytes = b""


NOWHERE = Position()
"""
The position of a reader that has no snapshot.
"""


class HistoryChangedError(Exception):
    """
    The config service has another history than the one that was read before.
    """


def goes_on(known: Position, answer: Position) -> bool:
    """
    Tell whether an answer that follows on *known* is of the same history.

    A history never goes back, and has one digest for each revision. Later revisions cannot be
    judged here: the config service has compared *known* with its own history.
    """
    if answer.revision == known.revision:
        return answer.digest == known.digest
    return answer.revision > known.revision
