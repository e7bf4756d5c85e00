"""
The bodies of webhooks: every payload version of every event type, as typed
definitions. Pure: no I/O, no clock, no environment.
"""

from dispatch_service.payloads.checks.events import check
from dispatch_service.payloads.registry import CONTRACTS
from dispatch_service.payloads.rendering import render
from dispatch_service.payloads.schemas import example_body, example_event, schema

__all__ = ["CONTRACTS", "check", "example_body", "example_event", "render", "schema"]
