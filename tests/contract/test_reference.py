"""
The pages of the reference are those that the code makes.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service_runtime.observability.instruments import DECLARED
from tests.support.project_files import ROOT
from tests.support.reference import DOCS, PAGES

TESTS = ROOT / "tests"


@pytest.mark.parametrize("name", PAGES)
def test_page_is_current(name: str) -> None:
    """
    What is declared is documented, and nothing else: `make reference` writes the page.
    """
    assert (DOCS / name).read_text() == PAGES[name]()


def test_every_metric_is_named_by_a_test() -> None:
    """
    A metric that no test moves may be one that nothing moves.
    """
    PAGES["metrics.md"]()
    texts = [path.read_text() for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
    named = set(re.findall(r"\b(?:webhooks|process)_[a-z_]+", " ".join(texts)))

    missing = [
        name
        for name in DECLARED
        if not any(it.startswith(name) for it in named) and not name.startswith(("tests_", "seen_"))
    ]
    assert not missing, missing


def test_documents_name_metrics_that_exist() -> None:
    """
    The handbook watches no metric that is not there.
    """
    PAGES["metrics.md"]()
    shown = {it.shown_name for it in DECLARED.values()}
    text = "".join((ROOT / f"docs/{name}.md").read_text() for name in ("operations", "reliability"))
    rows = re.findall(r"`(webhooks_[a-z_]+?)(?:_(?:bucket|sum|count))?(?:\{[^`]*)?`", text)

    assert set(rows) - shown - {"webhooks_"} == set()
