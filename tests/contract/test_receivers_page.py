"""
The page about receivers shows the corpus of answers as it was recorded.
"""

from __future__ import annotations

from collections import Counter

from tests.support.answers.corpus import CASES
from tests.support.answers.record import CLIENTS, PAGE, page, recorded

FEWEST_CASES = 80


def test_names_of_the_corpus_are_unique() -> None:
    """
    Verdicts are recorded by name.
    """
    assert max(Counter(case.name for case in CASES).values()) == 1
    assert len(CASES) >= FEWEST_CASES


def test_each_client_was_recorded_for_each_answer() -> None:
    """
    A case that was added later has to be recorded.
    """
    names = {case.name for case in CASES}

    assert {client: set(verdicts) for client, verdicts in recorded().items()} == dict.fromkeys(
        CLIENTS, names
    )


def test_page_shows_what_was_recorded() -> None:
    """
    `python -m tests.support.answers.record` writes the tables.
    """
    assert PAGE.read_text() == page(recorded())


def test_what_any_client_takes_as_success_is_one() -> None:
    """
    A 2xx that another client takes, even with an error behind it, is a success here.
    """
    taken = {
        case.name
        for case in CASES
        for verdicts in recorded().values()
        if verdicts[case.name].startswith("2")
    }

    refused = [case.name for case in CASES if case.name in taken and (case.code or 0) // 100 != 2]

    assert refused == []
