"""
Errors of the API as sentences, and the exit codes of commands.
"""

from __future__ import annotations

from typing import Final

from shipedge.webhooks.client.errors import ApiError

REFUSED: Final = 1
"""
The service refused, or what was asked for does not hold: a service is not healthy, for example.
"""

MISUSED: Final = 2
"""
The command line or the settings are wrong; nothing was called.
"""

UNREACHABLE: Final = 3
"""
A service could not be reached in time.
"""

_UNREACHABLE_CODES: Final = ("UNAVAILABLE", "DEADLINE_EXCEEDED")


class CommandError(Exception):
    """
    A command cannot go on. The message is a sentence for its user.
    """

    def __init__(self, message: str, exit_code: int = MISUSED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def exit_code_of(error: ApiError) -> int:
    """
    Return the exit code for an error of the API.
    """
    unreachable = error.code in _UNREACHABLE_CODES and not error.reason
    return UNREACHABLE if unreachable else REFUSED


def sentence(error: ApiError) -> str:
    """
    Say what was refused: the fields with their rules, else the message; the reason last.
    """
    if error.code in _UNREACHABLE_CODES and not error.reason:
        return f"a service cannot be reached: {error.message}"
    fields = "; ".join(f"{it.field}: {it.description}" for it in error.violations)
    reasons = {it.reason for it in error.violations if it.reason} or {error.reason or error.code}
    wait = "" if error.retry_after is None else f"; try again in {error.retry_after:g} s"
    return f"{fields or error.message} ({', '.join(sorted(reasons))}){wait}"
