"""
The logging of the tests, which comes back after what a service configures.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def logging_kept() -> Iterator[None]:
    """
    Undo at the end what the block configures: with the defaults of structlog each traceback that
    a later test logs takes seconds.
    """
    before, handlers = structlog.get_config(), logging.getLogger().handlers[:]
    try:
        yield
    finally:
        structlog.configure(**before)
        logging.getLogger().handlers[:] = handlers
