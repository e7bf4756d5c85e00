"""
Points at which a crash test makes the service die, stop or fail.

`SHIPEDGE_DISPATCH_FAILPOINT` is `name:action`, `name:action:n` for the n-th time that the point
is reached, or `name:action:@subject` for one subject, such as the id of an event. Production
refuses the setting.
"""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

NAMES = (
    "publish.before_commit",
    "publish.after_commit",
    "match.mid_fanout",
    "render.fail",
    "attempt.after_claim",
    "attempt.before_send",
    "attempt.after_response",
    "settle.before_commit",
    "settle.after_commit",
    "resend.after_commit",
    "job.mid_batch",
    "erase.inflight",
)

_SIGNALS = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
ACTIONS = (*_SIGNALS, "raise")


class FailpointError(Exception):
    """
    Raised by a failpoint with the action `raise`.
    """


@dataclass(slots=True)
class Failpoint:
    """
    A point, its action, and after how many times it happens; or the only *subject* for which it
    does.
    """

    name: str
    action: str
    left: int
    subject: str = ""


_armed: Failpoint | None = None


def parse(text: str) -> Failpoint:
    """
    Read the text of a failpoint. Raises `ValueError` that says what is allowed.
    """
    name, _, rest = text.partition(":")
    action, _, count = rest.partition(":")
    if name not in NAMES:
        raise ValueError(f"must begin with one of {', '.join(NAMES)}")
    if action not in ACTIONS:
        raise ValueError(f"must name one of {', '.join(ACTIONS)} after the point")
    if count.startswith("@"):
        return Failpoint(name, action, 1, count.removeprefix("@"))
    if count and not (count.isdecimal() and int(count) > 0):
        raise ValueError("must end with how many times it is reached, 1 or more, or an @subject")
    return Failpoint(name, action, int(count or 1))


def arm(text: str) -> None:
    """
    Set the failpoint of this process, none for an empty text. Raises `ValueError`.
    """
    global _armed  # noqa: PLW0603 - it ends the process, so one is enough
    _armed = parse(text) if text else None


def reach(name: str, subject: str = "") -> None:
    """
    Do the action that is set for this point, if its time has come.
    """
    if _armed is not None and _armed.name == name and _armed.subject in {"", subject}:
        _hit(_armed)


def _hit(point: Failpoint) -> None:
    point.left -= 1
    if point.left != 0:
        return
    if point.action == "raise":
        raise FailpointError(point.name)
    os.kill(os.getpid(), _SIGNALS[point.action])
