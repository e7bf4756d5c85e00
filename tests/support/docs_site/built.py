"""
What may not be in the built pages: anything that is loaded from elsewhere, and Markdown that was
not understood. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

DIAGRAMS = "javascripts/mermaid.min.js"

WITHDRAWN: Mapping[str, str] = {
    # The theme would fetch both where a browser lacks them; the first is in the site.
    "https://unpkg.com/mermaid@11/dist/mermaid.min.js": "data:text/javascript,",
    "https://unpkg.com/resize-observer-polyfill": "data:text/javascript,",
}
"""
Addresses in the scripts of the theme, and what stands there instead.
"""

_TEXT_ONLY = (
    # Names of licences and projects in comments and messages, and names of XML.
    *("https://clipboardjs.com/", "http://lunrjs.com", "http://tartarus.org/", "https://bit.ly/"),
    # Asked only for the repository of a site, which this one does not name.
    *("https://api.github.com/repos/", "https://api.github.com/users/", "https://gitlab.com/api/"),
    "http://www.w3.org/",
)
_ADDRESS = re.compile(r"https?://[\w.-]+[\w./@%+-]*")
_LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|object)\b[^>]*?\b(?:src|data)=["']?(?P<a>[^"'\s>]+)"""
    r"""|<link\b(?=[^>]*\brel=["']?(?:stylesheet|preload|preconnect|icon|dns-prefetch|modulepreload))"""
    r"""[^>]*?\bhref=["']?(?P<b>[^"'\s>]+)"""
)
_STYLE = re.compile(r"""(?:@import\s+|url\()\s*["']?((?:https?:)?//[^"')\s]+)""")
_PARAGRAPH = re.compile(r"<p>(.*?)</p>", re.DOTALL)
_LEFT = re.compile(r"```.*|^ *(?:[-*+]|\d+\.) .*|^ *\|.*", re.MULTILINE)


def foreign(name: str, text: str) -> Iterator[str]:
    """
    Yield what the file *name* of the site loads from elsewhere.
    """
    if name.endswith(".html"):
        loaded = (found["a"] or found["b"] for found in _LOADED.finditer(text))
        yield from (it for it in loaded if it.startswith(("http:", "https:", "//")))
        yield from _STYLE.findall(text)
    elif name.endswith(".css"):
        yield from _STYLE.findall(text)
    elif name.endswith(".js") and name != DIAGRAMS:
        yield from (it for it in _ADDRESS.findall(text) if not it.startswith(_TEXT_ONLY))


def not_understood(name: str, text: str) -> Iterator[str]:
    """
    Yield lines of lists, tables and blocks of code that are in a paragraph: Python's Markdown wants
    an empty line before a list, and four spaces before what belongs to an item.
    """
    if name.endswith(".html"):
        for paragraph in _PARAGRAPH.findall(text):
            yield from (found[0][:120] for found in _LEFT.finditer(paragraph))


def settled(text: str) -> str:
    """
    Return a script of the theme without the addresses that it would load from.
    """
    for address, instead in WITHDRAWN.items():
        text = text.replace(address, instead)
    return text
