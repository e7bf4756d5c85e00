"""
Values with what no log may show in them.
"""

from __future__ import annotations

import msgspec


class Confidential(msgspec.Struct, frozen=True, gc=False):
    """
    A value that is written, in logs and traces, as the name of its kind only.
    """

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"
