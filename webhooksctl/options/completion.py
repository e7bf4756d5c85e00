"""
What the shell completes without a call.
"""

from __future__ import annotations

from shipedge.webhooks.catalogue import CATALOGUE


def event_types(incomplete: str) -> list[str]:
    """
    Return the event types that begin with what was typed.
    """
    return [it for it in CATALOGUE.event_types if it.startswith(incomplete)]
