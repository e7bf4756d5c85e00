"""
The bodies of webhooks: every payload version of every event type, as typed
definitions. Pure: no I/O, no clock, no environment.
"""

from .checks import check
from .rendering import render

__all__ = ["check", "render"]
