"""
Texts as filters compare them. No I/O.
"""

from __future__ import annotations

import unicodedata


def folded(text: str) -> str:
    """
    Return *text* trimmed and without what people do not see as a difference: compatible forms of
    characters (NFKC), and case.
    """
    if text.isascii():
        return text.strip().lower()
    # Folding the case can make a text that is not normalised any more.
    cased = unicodedata.normalize("NFKC", text).casefold()
    return unicodedata.normalize("NFKC", cased).strip()
