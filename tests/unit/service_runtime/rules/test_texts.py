"""
Texts as filters compare them.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.rules.texts import folded

SAME = [
    (" Ground ", "ground"),
    ("STRASSE", "stra\N{LATIN SMALL LETTER SHARP S}e"),
    ("caf\N{LATIN SMALL LETTER E WITH ACUTE}", "CAFE\N{COMBINING ACUTE ACCENT}"),
    ("\N{FULLWIDTH LATIN CAPITAL LETTER A}", "a"),
    ("\N{NO-BREAK SPACE}Air\N{IDEOGRAPHIC SPACE}", "air"),
    ("\N{LATIN SMALL LIGATURE FI}ve", "Five"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_texts_that_look_alike_are_equal(one: str, other: str) -> None:
    """
    Case, compatible forms and spaces around a text make no difference.
    """
    assert folded(one) == folded(other)


@pytest.mark.parametrize(("one", "other"), [("a b", "ab"), ("a", "\N{CYRILLIC SMALL LETTER A}")])
def test_other_texts_differ(one: str, other: str) -> None:
    """
    Spaces within a text count, and so does the alphabet.
    """
    assert folded(one) != folded(other)


@given(st.text(max_size=8))
def test_folding_twice_changes_nothing(text: str) -> None:
    """
    A folded text stays as it is, so that what is stored can be folded again.
    """
    assert folded(folded(text)) == folded(text)
