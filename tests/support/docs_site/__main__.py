"""
The documents as a site, around mkdocs, which has an environment of its own.

    python -m tests.support.docs_site stage TOOLS SOURCE
    python -m tests.support.docs_site finish SITE

The first copies all documents with their links into SOURCE, and the library for diagrams of TOOLS.
The second removes what the theme would load from elsewhere, and fails if anything is left.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.docs_site.built import DIAGRAMS, foreign, not_understood, settled
from tests.support.docs_site.links import ELSEWHERE, page_of, rewritten, with_script
from tests.support.project_files import ROOT


def documents() -> list[str]:
    """
    Return the paths of all documents of the site, relative to the root.
    """
    inside = (path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs").rglob("*.md")))
    return [*inside, *ELSEWHERE]


def stage(tools: Path, source: Path) -> None:
    """
    Write what mkdocs reads into *source*.
    """
    shutil.rmtree(source, ignore_errors=True)
    for document in documents():
        page = page_of(document)
        assert page is not None
        text = rewritten((ROOT / document).read_text(), document, lambda it: (ROOT / it).exists())
        target = source / "pages" / page
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(with_script(text, page, DIAGRAMS))
    library = tools / "mermaid.min.js"
    if library.exists():
        (source / "pages" / DIAGRAMS).parent.mkdir(parents=True)
        shutil.copy(library, source / "pages" / DIAGRAMS)
    else:
        print("docs: without npm no diagrams are drawn; they are shown as text")
    # JSON is YAML, too.
    (source / "mkdocs.yml").write_text(json.dumps(configuration(), indent=1))


def configuration() -> dict[str, Any]:
    """
    Return the configuration of mkdocs, with all pages in its navigation.
    """
    found: dict[str, Any] = yaml.safe_load((ROOT / "docs/mkdocs.yml").read_text())
    navigation = [_expanded(entry) for entry in found["nav"]]
    named = set(re.findall(r"[\w./-]+\.md", json.dumps(navigation)))
    rest = sorted({page_of(it) or "" for it in documents()} - named)
    return {**found, "nav": [*navigation, {"More": rest}] if rest else navigation}


def _expanded(entry: Any) -> Any:
    if isinstance(entry, dict):
        return {title: _expanded(inner) for title, inner in entry.items()}
    if isinstance(entry, list):
        return [_expanded(inner) for inner in entry]
    if not entry.endswith("/"):
        return entry
    names = (path.name for path in (ROOT / "docs" / entry).glob("*.md"))
    return [f"{entry}{name}" for name in sorted(names, key=lambda it: (it != "README.md", it))]


def finish(site: Path) -> Iterator[str]:
    """
    Remove what scripts would load from elsewhere; yield what is wrong with the built files.
    """
    # The search needs these for other languages only.
    shutil.rmtree(site / "assets/javascripts/lunr", ignore_errors=True)
    for path in sorted(site.rglob("*")):
        name = path.relative_to(site).as_posix()
        if path.suffix == ".map":
            path.unlink()
        elif path.suffix in {".html", ".css", ".js"}:
            text = path.read_text()
            if path.suffix == ".js" and settled(text) != text:
                path.write_text(text := settled(text))
            yield from (f"{name} loads {address}" for address in foreign(name, text))
            yield from (f"{name}: not understood: {it}" for it in not_understood(name, text))


def main(command: str, *paths: str) -> int:
    """
    Run a command; return its exit code.
    """
    if command == "stage":
        stage(*map(Path, paths))
        return 0
    faults = list(finish(*map(Path, paths)))
    print(*(f"docs: {it}" for it in faults), sep="\n", end="\n" if faults else "")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
