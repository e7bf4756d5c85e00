"""
Failpoints: how they are written, and that they are off unless one is set.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dispatch_service.settings import Settings
from service_runtime.process import failpoints
from service_runtime.process.failpoints import Failpoint, FailpointError
from service_runtime.settings.reading import SettingsInvalidError, read_settings


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("render.fail:raise", Failpoint("render.fail", "raise", 1)),
        ("settle.before_commit:kill:3", Failpoint("settle.before_commit", "kill", 3)),
        ("attempt.after_response:stop", Failpoint("attempt.after_response", "stop", 1)),
        ("attempt.before_send:kill:@e1", Failpoint("attempt.before_send", "kill", 1, "e1")),
    ],
)
def test_reads(text: str, wanted: Failpoint) -> None:
    """
    A failpoint is a place, an action and which time.
    """
    assert failpoints.parse(text) == wanted


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("elsewhere:kill", "must begin with one of publish.before_commit"),
        ("render.fail:explode", "must name one of kill, stop, raise"),
        ("render.fail", "must name one of kill, stop, raise"),
        ("render.fail:raise:0", "1 or more"),
        ("render.fail:raise:x", "1 or more"),
    ],
)
def test_refuses(text: str, problem: str) -> None:
    """
    What is not a failpoint is refused with what is allowed.
    """
    with pytest.raises(ValueError, match=problem):
        failpoints.parse(text)


def test_comes_for_its_subject_alone() -> None:
    """
    A failpoint of one subject lets all others pass.
    """
    failpoints.arm("attempt.before_send:raise:@e1")

    failpoints.reach("attempt.before_send", "e2")
    with pytest.raises(FailpointError):
        failpoints.reach("attempt.before_send", "e1")


def test_comes_at_its_turn_and_once() -> None:
    """
    Only the place that was set acts, at its turn, and not again.
    """
    failpoints.arm("render.fail:raise:2")

    failpoints.reach("settle.before_commit")
    failpoints.reach("render.fail")
    with pytest.raises(FailpointError):
        failpoints.reach("render.fail")
    failpoints.reach("render.fail")


def test_production_refuses_it() -> None:
    """
    No production service can be told to die.
    """
    environment = {
        "SHIPEDGE_ENVIRONMENT": "production",
        "SHIPEDGE_DISPATCH_FAILPOINT": "render.fail:raise",
    }

    with pytest.raises(SettingsInvalidError, match="FAILPOINT must be empty in production"):
        read_settings(Settings, environment)


def test_typo_is_a_problem_at_start() -> None:
    """
    A failpoint that is not one keeps the service from starting.
    """
    environment = {
        "SHIPEDGE_ENVIRONMENT": "development",
        "SHIPEDGE_DISPATCH_FAILPOINT": "render.fial:raise",
    }

    with pytest.raises(SettingsInvalidError, match="FAILPOINT must begin with one of"):
        read_settings(Settings, environment)
