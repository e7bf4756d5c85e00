"""
The pages of the reference are those that the code makes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service_runtime.observability.logs import ALLOWED
from service_runtime.rpc.access import RULES
from service_runtime.rpc.gate.log_context import CallSubject
from shipedge.webhooks.errors.v1.error_reason_pb2 import ErrorReason
from tests.support.api_reference import cell, prose
from tests.support.log_events import UnknownEventError, events_of, log_events
from tests.support.project_files import ROOT
from tests.support.reference import DOCS, PAGES, declared_metrics, meanings

TESTS = ROOT / "tests"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_current(name: str) -> None:
    """
    What is declared is documented, and nothing else: `make reference` writes the page.
    """
    assert (DOCS / name).read_text() == PAGES[name]()


def test_every_log_event_has_a_meaning() -> None:
    """
    Whoever writes a new line says what it means, in the last column of the page.
    """
    assert [name for name, meaning in meanings().items() if not meaning] == []
    assert set(meanings()) == set(log_events())


def test_fields_of_all_log_events_are_allowed() -> None:
    """
    A field that is not on the list would be dropped, and the line would say less than its author
    thinks.
    """
    added = {"exception"} | set(CallSubject("").log_fields())
    used = {name: event.fields - ALLOWED for name, event in log_events().items()}

    assert {name: fields for name, fields in used.items() if fields} == {}
    assert added <= ALLOWED


def test_documents_name_log_events_that_exist() -> None:
    """
    The handbook names no line that is never written.
    """
    text = (ROOT / "docs/operations.md").read_text()
    kinds = {name.partition(".")[0] for name in log_events()}
    named = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", text))

    unknown = {name for name in named if name.partition(".")[0] in kinds} - set(log_events())
    assert {name for name in unknown if not (ROOT / "docs" / name).exists()} == set()


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ('log.warning("a.b", owner=1)', {"a.b": ({"warning"}, {"owner"})}),
        ('log.exception("a.b")', {"a.b": ({"error"}, {"exception"})}),
        ('log.info("a.b" if x else "a.c")', {"a.b": ({"info"}, set()), "a.c": ({"info"}, set())}),
        (
            'write = log.info if x else log.debug\nwrite("a.b", code=1)',
            {"a.b": ({"info", "debug"}, {"code"})},
        ),
        (
            'self.x = SampledLines("a.b")\nself.x.log(key, owner=1)',
            {"a.b": ({"warning"}, {"count", "owner"})},
        ),
        (
            'NAME = "a.b"\nPeriodic(work, failure=NAME)',
            {"a.b": ({"error"}, {"count", "error_type", "exception", "problem"})},
        ),
        ('other.warning("a.b")', {}),
    ],
)
def test_log_calls_are_found(code: str, expected: dict[str, tuple[set[str], set[str]]]) -> None:
    """
    Direct ones, those through a variable, and those of the classes that fold repeated lines.
    """
    found = events_of({Path("x.py"): code})

    assert {name: (event.levels, event.fields) for name, event in found.items()} == expected


def test_name_that_the_code_does_not_say_is_refused() -> None:
    """
    Otherwise its event would be missing from the page.
    """
    with pytest.raises(UnknownEventError, match=r"x\.py:1: name"):
        events_of({Path("x.py"): "log.warning(name)"})


def test_reference_of_the_api_has_all_methods_and_reasons() -> None:
    """
    Every method of the contract and every reason of an error is on its page, with its comment.
    """
    methods = [path.rpartition("/")[2] for path in RULES if ".feed." not in path]
    pages = (DOCS / "api/config.md").read_text() + (DOCS / "api/dispatch.md").read_text()
    shown = re.findall(r"^### (\w+)$", pages, re.MULTILINE)
    reasons = {name.removeprefix("ERROR_REASON_") for name in ErrorReason.keys()}  # noqa: SIM118
    explained = re.findall(
        r"^\| `(\w+)` \| `[A-Z_]+`.* \| \S.* \| `\{.*`? \|$",
        (DOCS / "reasons.md").read_text(),
        re.MULTILINE,
    )

    assert sorted(shown) == sorted(methods)
    assert set(explained) == reasons - {"UNSPECIFIED"}


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        (" One line.\n", "One line."),
        (" One.\n\n Two.\n", "One.\n\nTwo."),
        (' One.\n\n     {"an": "example"}\n', "One."),
        (" - one\n   more\n", "- one\n  more"),
    ],
)
def test_comments_are_markdown(comment: str, expected: str) -> None:
    """
    What a comment says is shown as it stands; examples of the contract are shown as code.
    """
    assert prose(comment) == expected


def test_cell_is_one_line() -> None:
    """
    A table is not broken by what its cells say.
    """
    assert cell("one | two\nthree") == "one \\| two three"


def test_every_metric_is_named_by_a_test() -> None:
    """
    A metric that no test moves may be one that nothing moves.
    """
    texts = [path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    named = set(re.findall(r"\b(?:webhooks|process)_[a-z_]+", " ".join(texts)))

    missing = [
        name
        for name in declared_metrics()
        if not any(it.startswith(name) for it in named) and not name.startswith(("tests_", "seen_"))
    ]
    assert not missing, missing


def test_labels_have_no_customer() -> None:
    """
    Their values come from the code, the contract or the settings of the service, so there are few,
    and none is a secret.
    """
    used = {label for it in declared_metrics().values() for label in it.labels}

    assert used <= {
        *("change", "code", "event", "failure_kind", "key", "kind", "method", "phase", "pool"),
        *("python", "reason", "result", "service", "state", "use", "version"),
    }


def test_documents_name_metrics_that_exist() -> None:
    """
    The handbook watches no metric that is not there.
    """
    shown = {it.shown_name for it in declared_metrics().values()}
    text = "".join((ROOT / f"docs/{name}.md").read_text() for name in ("operations", "reliability"))
    rows = re.findall(r"`(webhooks_[a-z_]+?)(?:_(?:bucket|sum|count))?(?:\{[^`]*)?`", text)

    assert set(rows) - shown - {"webhooks_"} == set()
