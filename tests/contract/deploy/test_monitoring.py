"""
Alerts, runbooks and dashboard agree with the metrics and with each other.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections import Counter
from itertools import product

import pytest
import yaml

from tests.support.monitoring import (
    DASHBOARD,
    PROMETHEUS,
    RULES,
    alerts,
    panels,
    program,
    queries,
    samples_of,
)
from tests.support.project_files import ROOT

RUNBOOKS = ROOT / "docs/runbooks"
WIDTH = 24
UNITS = {"none", "short", "ops", "s", "d", "bytes", "percentunit"}


def documented_samples() -> set[str]:
    """
    Return the samples of all documented metrics, those of histograms with their suffixes.
    """
    found = set()
    rows = re.findall(
        r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
    )
    for name, kind in rows:
        suffixes = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
        found |= {name + suffix for suffix in suffixes}
    return found


def test_alerts_and_dashboard_use_metrics_that_exist() -> None:
    """
    Every metric of a rule or a panel is documented, and so declared.
    """
    expressions = [rule["expr"] for rule in alerts()] + [query for _, query in queries()]
    used = {name for expression in expressions for name in samples_of(expression)}

    assert len(used) > 30
    assert used - documented_samples() == set()


def test_each_alert_has_a_severity_a_summary_and_a_runbook() -> None:
    """
    Names are unique; the page of an alert is named after it and says what to look at and to do.
    """
    names = [rule["alert"] for rule in alerts()]
    assert max(Counter(names).values()) == 1
    for rule in alerts():
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["runbook"] == f"docs/runbooks/{rule['alert']}.md"
        page = (RUNBOOKS / f"{rule['alert']}.md").read_text()
        assert page.startswith(f"# {rule['alert']}\n")
        assert f"- Severity: {rule['labels']['severity']}\n" in page
        assert all(f"\n## {part}\n" in page for part in ("Look", "Act"))

    assert {page.stem for page in RUNBOOKS.glob("*.md")} == {*names, "README"}
    listed = re.findall(r"^\| \[(\w+)\]", (RUNBOOKS / "README.md").read_text(), re.MULTILINE)
    assert listed == names


def test_runbooks_name_metrics_and_log_events_that_exist() -> None:
    """
    What a page tells to look at is documented.
    """
    events = (ROOT / "docs/log_events.md").read_text()
    metrics = documented_samples()
    histograms = {name.removesuffix("_count") for name in metrics if name.endswith("_count")}
    for page in RUNBOOKS.glob("*.md"):
        for code in re.findall(r"`([^`\n]+)`", page.read_text()):
            assert samples_of(code) <= metrics | histograms, page.name
            if re.fullmatch(r"[a-z_]+\.[a-z]+(?:_[a-z]+)*", code) and not code.endswith("pem"):
                assert f"`{code}`" in events, f"{page.name}: {code}"


def test_each_alert_is_tested_firing_and_quiet() -> None:
    """
    The unit tests have a case in which an alert fires and one in which it does not.
    """
    cases = yaml.safe_load((PROMETHEUS / "webhooks.tests.yml").read_text())["tests"]
    found = {
        (check["alertname"], bool(check["exp_alerts"]))
        for case in cases
        for check in case["alert_rule_test"]
    }

    assert found == set(product((rule["alert"] for rule in alerts()), (True, False)))


@pytest.mark.heavy
@pytest.mark.parametrize(
    "command",
    [
        ("check", "config", "prometheus.yml"),
        ("check", "rules", "--lint=all", "--lint-fatal", RULES.name),
        ("test", "rules", "webhooks.tests.yml"),
    ],
    ids=" ".join,
)
def test_prometheus_takes_configuration_and_rules(command: tuple[str, ...]) -> None:
    """
    promtool finds no mistake, and the unit tests of the alerts succeed.
    """
    done = subprocess.run(
        [program("promtool"), *command],
        check=False,
        capture_output=True,
        text=True,
        cwd=PROMETHEUS,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_dashboard_is_laid_out() -> None:
    """
    Panels have ids of their own and do not overlap; each has a unit and says what it shows.
    """
    assert len({panel["id"] for panel in panels()}) == len(panels())
    cells: Counter[tuple[int, int]] = Counter()
    for panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= WIDTH
        across, down = range(place["x"], place["x"] + place["w"]), range(place["h"])
        cells.update((x, place["y"] + y) for x in across for y in down)
        if panel["type"] == "row":
            continue
        assert panel["type"] in {"timeseries", "stat"}
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["unit"] in UNITS

    assert max(cells.values()) == 1


def test_dashboard_uses_the_data_source_that_is_chosen() -> None:
    """
    Every panel and query asks the variable `datasource`; the provisioned source is a choice.
    """
    dashboard = json.loads(DASHBOARD.read_text())
    (variable,) = dashboard["templating"]["list"]
    chosen = {"type": "prometheus", "uid": f"${{{variable['name']}}}"}
    for panel in panels():
        if panel["type"] != "row":
            assert panel["datasource"] == chosen
            assert all(target["datasource"] == chosen for target in panel["targets"])
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])

    provisioning = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((provisioning / "datasources/prometheus.yml").read_text())[
        "datasources"
    ]
    assert source["type"] == variable["query"] == "prometheus"
