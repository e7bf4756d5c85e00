"""
The bodies of webhooks: every payload version of every event type, as typed
definitions. Pure: no I/O, no clock, no environment.
"""

from .checks import check
from .contracts import example_body, example_event, schema
from .registry import CONTRACTS
from .rendering import render

__all__ = ["CONTRACTS", "check", "example_body", "example_event", "render", "schema"]
