"""
Links of documents lead to their pages in the site.
"""

from __future__ import annotations

import pytest

from tests.support.docs_site.links import page_of, rewritten, with_script

FILES = {
    "docs/a.md", "docs/b.md", "docs/payloads", "docs/payloads/README.md", "docs/payloads/c.md",
    "deploy/chart", "CONTRIBUTING.md", "proto/README.md",
}  # fmt: skip


@pytest.mark.parametrize(
    ("document", "text", "expected"),
    [
        ("docs/a.md", "[x](b.md)", "[x](b.md)"),
        ("docs/a.md", "[x](b.md#y)", "[x](b.md#y)"),
        ("docs/a.md", "[x](#y)", "[x](#y)"),
        ("docs/a.md", "[x](https://example.com/b.md)", "[x](https://example.com/b.md)"),
        ("docs/a.md", "[x](payloads)", "[x](payloads/README.md)"),
        ("docs/a.md", "[x](../CONTRIBUTING.md)", "[x](contributing.md)"),
        ("docs/payloads/c.md", "[x](../a.md)", "[x](../a.md)"),
        ("docs/payloads/c.md", "[x](../../proto/README.md#go)", "[x](../clients.md#go)"),
        ("CONTRIBUTING.md", "[x](docs/a.md)", "[x](a.md)"),
        ("proto/README.md", "[x](../docs/payloads/c.md)", "[x](payloads/c.md)"),
        ("docs/a.md", "in [`x`](../deploy/chart), and", "in `x`, and"),
        ("docs/a.md", "```\n[x](y)\n```\n[x](b.md)", "```\n[x](y)\n```\n[x](b.md)"),
    ],
)
def test_link(document: str, text: str, expected: str) -> None:
    """
    Links between pages stay; what is not in the site keeps its words.
    """
    assert rewritten(text, document, FILES.__contains__) == expected


def test_link_to_nothing_is_refused() -> None:
    """
    The message names the document and the link.
    """
    with pytest.raises(ValueError, match=r"docs/a\.md: \.\./gone\.md leads nowhere"):
        rewritten("[x](../gone.md)", "docs/a.md", FILES.__contains__)


def test_pages() -> None:
    """
    Documents have pages, other files have none.
    """
    assert page_of("docs/payloads/c.md") == "payloads/c.md"
    assert page_of("SECURITY.md") == "security_policy.md"
    assert page_of("docs/mkdocs.yml") is None


def test_only_pages_with_diagrams_load_the_library() -> None:
    """
    The address of the script fits the folder of the page.
    """
    diagram = "```mermaid\nflowchart LR\n```"

    assert with_script("x", "a.md", "js/m.js") == "x"
    assert '<script src="js/m.js">' in with_script(diagram, "a.md", "js/m.js")
    assert '<script src="../js/m.js">' in with_script(diagram, "b/a.md", "js/m.js")
