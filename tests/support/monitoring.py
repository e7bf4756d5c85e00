"""
The alerts and the dashboard as tests read them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.support.project_files import ROOT

PROMETHEUS = ROOT / "deploy/prometheus"
RULES = PROMETHEUS / "webhooks.rules.yml"
DASHBOARD = ROOT / "deploy/grafana/dashboards/webhooks.json"

_SAMPLE = re.compile(r"\b(?:webhooks|process)_[a-z_]+\b")


def alerts() -> list[dict[str, Any]]:
    """
    Read the alert rules.
    """
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[dict[str, Any]]:
    """
    Read the panels of the dashboard, rows included.
    """
    read: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["panels"]
    return read


def queries() -> Iterator[tuple[str, str]]:
    """
    Yield the title of a panel and an expression, for each query of the dashboard.
    """
    for panel in panels():
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def samples_of(expression: str) -> set[str]:
    """
    Return the names of metrics in an expression, without names in texts.
    """
    return set(_SAMPLE.findall(re.sub(r'"[^"]*"', "", expression)))


def program(name: str) -> str:
    """
    Return the path of a program of Prometheus; skip the test where it is not installed.
    """
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"NOT RUN: {name} is not installed (Debian: prometheus)")
    return found
