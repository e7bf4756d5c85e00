"""
Log lines about many things that repeat.
"""

from __future__ import annotations

import asyncio

import pytest
from structlog.testing import capture_logs

from service_runtime.observability.sampled_lines import SampledLines

pytestmark = pytest.mark.anyio


async def test_first_line_of_each_thing_and_sums() -> None:
    """
    A thousand failures of two endpoints are three lines; a sum has the last failure.
    """
    lines = SampledLines("tests.repeated")
    with capture_logs() as logs:
        for code in range(1000):
            lines.log("a", endpoint="a", response_code=code)
        lines.log("b", endpoint="b", response_code=0)
        lines.sum_up()

    assert [(it["endpoint"], it["response_code"], it.get("count")) for it in logs] == [
        ("a", 0, None),
        ("b", 0, None),
        ("a", 999, 999),
    ]
    assert {it["log_level"] for it in logs} == {"warning"}


async def test_thing_that_was_quiet_begins_anew() -> None:
    """
    Its next line comes at once.
    """
    lines = SampledLines("tests.repeated")
    with capture_logs() as logs:
        lines.log("a")
        lines.log("a")
        lines.sum_up()
        lines.sum_up()
        lines.log("a")

    assert [it.get("count") for it in logs] == [None, 1, None]


async def test_sums_come_by_themselves() -> None:
    """
    Also when nothing happens any more that could bring them.
    """
    lines = SampledLines("tests.repeated", seconds=0.01)
    with capture_logs() as logs:
        lines.log("a")
        lines.log("a")
        async with asyncio.timeout(20):
            while len(logs) < 2:
                await asyncio.sleep(0.01)

    assert [it.get("count") for it in logs] == [None, 1]


async def test_number_of_things_is_bounded() -> None:
    """
    What is forgotten is summed up before.
    """
    lines = SampledLines("tests.repeated", most=2)
    with capture_logs() as logs:
        for key in ("a", "a", "b", "c"):
            lines.log(key, name=key)

    assert [(it["name"], it.get("count")) for it in logs] == [
        ("a", None),
        ("b", None),
        ("a", 1),
        ("c", None),
    ]
