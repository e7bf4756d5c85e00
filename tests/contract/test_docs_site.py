"""
The site of the documents: every document is in its navigation, once.
"""

from __future__ import annotations

import json
import re
from collections import Counter

from tests.support.docs_site.__main__ import configuration, documents
from tests.support.docs_site.links import page_of, rewritten
from tests.support.project_files import ROOT


def test_navigation_has_every_page_once() -> None:
    """
    Pages that the file does not name come last; none that it names is missing.
    """
    named = Counter(re.findall(r"[\w./-]+\.md", json.dumps(configuration()["nav"])))
    pages = [page_of(document) for document in documents()]

    assert sorted(named) == sorted(str(page) for page in pages)
    assert set(named.values()) == {1}


def test_every_link_of_every_document_leads_somewhere() -> None:
    """
    To a page, to a file of the repository, or to an address.
    """
    for document in documents():
        rewritten((ROOT / document).read_text(), document, lambda it: (ROOT / it).exists())
