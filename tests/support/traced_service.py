"""
The dispatch service with a record of all calls of the project's own functions.

It is run in place of `dispatch_service`. The calls are written to the file that
`EVENT_TRACE_FILE` names when the service ends; `event_trace` reads them.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
import threading
import time
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

from tests.support.project_files import ROOT, is_hand_written

RECORD = "EVENT_TRACE_FILE"

_calls: list[tuple[float, str, str, str]] = []
_places: dict[CodeType, tuple[str, str] | None] = {}


def main() -> None:
    """
    Run the service; write the calls however it ends.
    """
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        runpy.run_module("dispatch_service", run_name="__main__", alter_sys=True)
    finally:
        sys.setprofile(None)
        Path(os.environ[RECORD]).write_text(json.dumps(_calls))


def note(frame: FrameType, event: str, _: Any) -> None:
    """
    Record a call. The interpreter reports the resumption after an `await` as a call, too.
    """
    if event != "call":
        return
    code = frame.f_code
    if code not in _places:
        _places[code] = place_of(code)
    if (place := _places[code]) is not None:
        _calls.append((time.monotonic(), *place, _runner()))


def place_of(code: CodeType) -> tuple[str, str] | None:
    """
    Return the file and the name of a function; None for one of a library and one without a name.
    """
    path = code.co_filename.removeprefix(f"{ROOT}/")
    if code.co_name.startswith("<") or not is_hand_written(path):
        return None
    return path, code.co_qualname


def _runner() -> str:
    """
    Return what runs: the name of a task, "" for a callback of the event loop, else a thread.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return f"thread {threading.get_ident()}"
    return "" if task is None else task.get_name()


if __name__ == "__main__":
    main()
