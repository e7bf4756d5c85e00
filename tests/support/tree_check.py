"""
Rules on the shape and the words of the tree: `python -m tests.support.tree_check`.

It prints each violation and ends with 1 if there is any.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from tests.support.project_files import ROOT
from tests.support.tree.resource_names import spelled_names
from tests.support.tree.sizes import crowded_rooms, crowded_roots, long_files, long_functions
from tests.support.tree.sources import Source, Violation, read_sources
from tests.support.tree.unseen_tasks import unseen_tasks
from tests.support.tree.unused_words import GLOSSARY, Vocabulary, read_rules, used_words

Check = Callable[[Sequence[Source]], Iterable[Violation]]


def main(root: Path = ROOT) -> int:
    """
    Check the tree under *root*; return the exit code.
    """
    sources = read_sources(root)
    found = {name: sorted(check(sources)) for name, check in checks(root).items()}
    broken = {name: places for name, places in found.items() if places}
    for name, places in broken.items():
        print(f"{name}:", *places, sep="\n  ")
    counts = ", ".join(f"{name} {len(places)}" for name, places in broken.items())
    print(f"tree: {counts or 'good'}")
    return int(bool(broken))


def checks(root: Path) -> dict[str, Check]:
    """
    Return the checks by their names.
    """

    def words(sources: Sequence[Source]) -> Iterable[Violation]:
        try:
            vocabulary = Vocabulary(read_rules((root / GLOSSARY).read_text()))
        except ValueError as missing:
            return [Violation(GLOSSARY, 0, str(missing))]
        return used_words(sources, vocabulary)

    return {
        "package roots": crowded_roots,
        "rooms": crowded_rooms,
        "files": long_files,
        "functions": long_functions,
        "words": words,
        "resource names": spelled_names,
        "tasks": unseen_tasks,
    }


if __name__ == "__main__":
    # The syntax trees live to the end: looking for garbage among them takes 40 % of the time.
    gc.disable()
    sys.exit(main())
