"""
Bodies of webhooks. Pure: no I/O, no clock, no environment.

A body is built from an event by a function of a module `*_builders`; its shape, a typed
definition, is in the module `*_shapes` beside it. Small families have both in one module.
The first part of an event type names the package or module: `orders/shipped` is in `orders`.

- `registry`: every payload version of every event type, with its builder and shape
- `rendering`: from an event to the bytes of a body
- `checks`: validation of published events
- `schemas`: JSON Schemas and example bodies; `examples` has the example events
- `differences`, `moved_fields`: comparison of payload versions
- `core`: types and values that all shapes and builders use
"""

from dispatch_service.payloads.checks.events import check
from dispatch_service.payloads.registry import CONTRACTS
from dispatch_service.payloads.rendering import render
from dispatch_service.payloads.schemas import example_body, example_event, schema

__all__ = ["CONTRACTS", "check", "example_body", "example_event", "render", "schema"]
