"""
Values that logs must not show.
"""

from __future__ import annotations

import msgspec


class Confidential(msgspec.Struct, frozen=True, gc=False):
    """
    A struct whose repr, in logs and traces, is only the name of its type.
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
