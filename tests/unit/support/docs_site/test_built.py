"""
Built pages load nothing from elsewhere, and all of their Markdown was understood.
"""

from __future__ import annotations

import pytest

from tests.support.docs_site.built import DIAGRAMS, WITHDRAWN, foreign, not_understood, settled

AWAY = "https://cdn.example/x"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", f'<script src="{AWAY}"></script>'),
        ("a.html", f"<script defer src={AWAY}></script>"),
        ("a.html", f'<link rel="stylesheet" href="{AWAY}">'),
        ("a.html", f'<link href="{AWAY}" rel="preconnect">'),
        ("a.html", f'<img alt="x" src="{AWAY}">'),
        ("a.html", f"<style>@import url({AWAY})</style>"),
        ("a.css", f"@font-face{{src:url({AWAY})}}"),
        ("a.css", f"@import '{AWAY}';"),
        ("a.js", f'fetch("{AWAY}")'),
    ],
)
def test_what_is_loaded_from_elsewhere_is_found(name: str, text: str) -> None:
    """
    Scripts, styles, fonts and pictures, by tag, by style sheet and by script.
    """
    assert list(foreign(name, text)) == [AWAY]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.html", f'<a href="{AWAY}">x</a>'),
        ("a.html", '<script src="../javascripts/m.js"></script>'),
        ("a.html", f'<link rel="canonical" href="{AWAY}">'),
        ("a.css", "a{background:url(data:image/svg+xml;x)}"),
        ("a.js", "/* http://lunrjs.com */"),
        (DIAGRAMS, f"/* {AWAY} */"),
        ("a.txt", AWAY),
    ],
)
def test_links_and_comments_load_nothing(name: str, text: str) -> None:
    """
    What a reader may follow is not loaded.
    """
    assert list(foreign(name, text)) == []


def test_addresses_of_the_theme_are_withdrawn() -> None:
    """
    What the theme would fetch where a browser lacks it is not fetched.
    """
    theme = " ".join(f'load("{address}")' for address in WITHDRAWN)

    assert len(list(foreign("a.js", theme))) == 2
    assert list(foreign("a.js", settled(theme))) == []


@pytest.mark.parametrize(
    ("paragraph", "found"),
    [
        ("one\n- two", ["- two"]),
        ("<code>one</code>\n3. three", ["3. three"]),
        ("one\n| two |", ["| two |"]),
        ("```\ncode", ["```"]),
        ("a - b, 1. c | d", []),
    ],
)
def test_markdown_that_became_a_paragraph(paragraph: str, found: list[str]) -> None:
    """
    Lists, tables and code that stand in a paragraph were not understood.
    """
    assert list(not_understood("a.html", f"<p>{paragraph}</p>")) == found
