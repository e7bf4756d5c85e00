"""
Links of a document of the repository, as links of its page in the site. No I/O.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping

ELSEWHERE: Mapping[str, str] = {
    "README.md": "project.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security_policy.md",
    "proto/README.md": "clients.md",
    "proto/python/README.md": "python_client.md",
}
"""
Documents that do not lie in `docs`, and their pages.
"""

_FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)\)")


def page_of(document: str) -> str | None:
    """
    Return the page of a document; none for a file that is not in the site.
    """
    if document.startswith("docs/") and document.endswith(".md"):
        return document.removeprefix("docs/")
    return ELSEWHERE.get(document)


def rewritten(text: str, document: str, exists: Callable[[str], bool]) -> str:
    """
    Return the text of *document* with the links that its page has in the site.

    What lies in the repository but not in the site keeps its words and loses its link. Raises
    `ValueError` for a link to what *exists* nowhere.
    """

    def link(found: re.Match[str]) -> str:
        target, hash_sign, anchor = found["target"].partition("#")
        if "://" in target or target.startswith("mailto:") or not target:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(document), target))
        page = page_of(path) or page_of(f"{path}/README.md" if exists(f"{path}/README.md") else "")
        if page is None:
            if not exists(path):
                raise ValueError(f"{document}: {found['target']} leads nowhere")
            return found["text"]
        here = posixpath.dirname(page_of(document) or "")
        return f"[{found['text']}]({posixpath.relpath(page, here or '.')}{hash_sign}{anchor})"

    parts, end = [], 0
    for block in _FENCED.finditer(text):
        parts += [_LINK.sub(link, text[end : block.start()]), block[0]]
        end = block.end()
    return "".join([*parts, _LINK.sub(link, text[end:])])


def with_script(text: str, page: str, script: str) -> str:
    """
    Return the text of *page*, which loads *script* of the site if it has diagrams.
    """
    if "```mermaid\n" not in text:
        return text
    source = posixpath.relpath(script, posixpath.dirname(page) or ".")
    return f'{text}\n<script src="{source}"></script>\n'
