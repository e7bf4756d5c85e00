"""
The pages of the reference that are made from the code, and a command that writes them.

    python -m tests.support.reference
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path

import config_service.settings
import dispatch_service.settings
from service_runtime.observability.instruments import DECLARED, Declaration, Service
from service_runtime.process.command import print_settings
from service_runtime.settings.service import ServiceSettings
from tests.support import api_reference
from tests.support.answers.tokens import token_table
from tests.support.failures_page import failures_page
from tests.support.log_events import LEVELS, log_events
from tests.support.project_files import ROOT

DOCS = ROOT / "docs"

SERVICES: Mapping[Service, tuple[str, str]] = {
    "both": ("Metrics of both services", "service_runtime.database.measured"),
    "dispatch": ("Metrics of the dispatch service", "dispatch_service.supervisor"),
    "config": ("Metrics of the config service", "config_service.app"),
}
"""
The titles of the tables, and the modules that import all that declares metrics.
"""

_METRICS = (
    "# Metrics",
    "",
    "Made from the declarations in the code by `make reference`; do not edit.",
    "[Operations](operations.md#what-to-watch) says which of them to watch, and what to do.",
    "",
    (
        "With a metrics listener (`SHIPEDGE_…_METRICS_LISTEN`) a service serves them at `/metrics`,"
        " in the format of Prometheus."
    ),
    "A histogram has the suffixes `_bucket`, `_sum` and `_count`.",
    (
        "With several workers the supervisor serves the metrics of all: counters and histograms are"
        " summed, with those of workers that have ended; gauges are merged as the column `workers`"
        " says."
    ),
    "Counters begin at 0 when a service starts.",
    "No label has a name of a customer, a URL or a secret.",
)

_MERGED = {"sum": "sum", "max": "greatest", "min": "least"}


def declared_metrics() -> Mapping[str, Declaration]:
    """
    Return the declarations of both services, whatever was imported before.
    """
    for _, module in SERVICES.values():
        importlib.import_module(module)
    return DECLARED


def metrics_page() -> str:
    """
    Return the page of all metrics.
    """
    lines = list(_METRICS)
    metrics = declared_metrics()
    for service, (title, _) in SERVICES.items():
        declared = [it for it in metrics.values() if it.service == service]
        lines += ["", f"## {title}", "", *_metrics_table(declared)]
    return "\n".join(lines) + "\n"


def _metrics_table(declared: Iterable[Declaration]) -> Iterator[str]:
    yield "| metric | type | labels | workers | meaning |"
    yield "| --- | --- | --- | --- | --- |"
    for it in declared:
        labels = ", ".join(f"`{label}`" for label in it.labels)
        workers = _MERGED[it.how] if it.kind == "gauge" else ""
        yield f"| `{it.shown_name}` | {it.kind} | {labels} | {workers} | {it.meaning} |"


_LOG_EVENTS = (
    "# Log events",
    "",
    (
        "Made from the log calls in the code by `make reference`, which keeps the last column: add"
        " the meaning of a new event there."
    ),
    (
        "[Operations](operations.md#log-lines) says how lines look, and"
        " [what to do](operations.md#what-to-do-when) about some of them."
    ),
    "",
    (
        "All lines have `event`, `level` and `timestamp`, those of a worker `worker`; those of a"
        " call have `request_id`, `trace_id`, `method` and `caller`, those of an attempt `owner`,"
        " `delivery`, `attempt` and `trace_id`."
    ),
    (
        "An error with `exception` has its traceback when it is new; the same again is one line a"
        " minute with its `count`."
    ),
    "",
    "| event | level | fields | meaning |",
    "| --- | --- | --- | --- |",
)

_ROW = re.compile(r"^\| `([a-z_.]+)` \| [^|]*\| [^|]*\| (.*) \|$", re.MULTILINE)


def meanings() -> Mapping[str, str]:
    """
    Return what the page says of log events.
    """
    return dict(_ROW.findall((DOCS / "log_events.md").read_text()))


def log_events_page() -> str:
    """
    Return the page of all log events; a new one has no meaning yet.
    """
    lines, known = list(_LOG_EVENTS), meanings()
    for name, event in log_events().items():
        levels = ", ".join(level for level in LEVELS if level in event.levels)
        fields = [f"`{it}`" for it in sorted(event.fields)] + ["…"] * event.open
        lines.append(f"| `{name}` | {levels} | {', '.join(fields)} | {known.get(name, '')} |")
    return "\n".join(lines) + "\n"


SETTINGS: Mapping[str, type[ServiceSettings]] = {
    "config service": config_service.settings.Settings,
    "dispatch service": dispatch_service.settings.Settings,
}


def operations_page() -> str:
    """
    Return the handbook with the tables of all settings; the rest of it is kept.
    """
    text = (DOCS / "operations.md").read_text()
    for service, kind in SETTINGS.items():
        with redirect_stdout(StringIO()) as printed:
            print_settings(kind)
        before, heading, rest = text.partition(f"## Settings of the {service}\n")
        after = rest[rest.index("\n\n## ") :]
        text = f"{before}{heading}\n{printed.getvalue().strip()}{after}"
    return text


_TOKENS, _END_OF_TOKENS = "<!-- tokens -->\n", "<!-- end of tokens -->\n"


def receivers_page() -> str:
    """
    Return the page about receivers, with the corpus of token servers' answers.
    """
    before, _, rest = (DOCS / "receivers.md").read_text().partition(_TOKENS)
    behind = rest.partition(_END_OF_TOKENS)[2]
    return f"{before}{_TOKENS}\n{token_table()}\n{_END_OF_TOKENS}{behind}"


PAGES: Mapping[str, Callable[[], str]] = {
    "metrics.md": metrics_page,
    "log_events.md": log_events_page,
    "operations.md": operations_page,
    "reasons.md": api_reference.reasons_page,
    "api/README.md": api_reference.overview,
    **{
        f"api/{package}.md": partial(api_reference.package_page, package)
        for package in api_reference.PAGES
    },
    "receivers.md": receivers_page,
    "why_did_my_webhook_fail.md": failures_page,
}


def write(folder: Path = DOCS) -> None:
    """
    Write all pages.
    """
    for name, page in PAGES.items():
        (folder / name).write_text(page())


if __name__ == "__main__":
    write()
