"""
The two ways to start a task: somebody awaits it, or its error is logged.

A task that ends with an error which nobody awaits is silent until the garbage collector finds it.
`make tree` forbids `asyncio.create_task` and its likes elsewhere; a `TaskGroup` awaits its tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

log = structlog.get_logger()

T = TypeVar("T")


def start_awaited(work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """
    Start a task that whoever starts it awaits, or asks for its result, on every way.
    """
    return asyncio.get_running_loop().create_task(work, name=name)


def start_watched(work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
    """
    Start a task that nobody may await: an error that ends it is logged at once, with its trace.
    """
    task = asyncio.get_running_loop().create_task(work, name=name)
    task.add_done_callback(_log_error)
    return task


def _log_error(task: asyncio.Task[Any]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("task.failed", name=task.get_name(), exc_info=error)
