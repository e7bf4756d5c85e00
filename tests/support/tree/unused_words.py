"""
Words that names must not use. The glossary lists them under "Words not used" and describes the
format of the list.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from tests.support.tree.given_names import GivenName, Kind, given_names
from tests.support.tree.sources import Source, Violation

GLOSSARY = "docs/glossary.md"
SECTION = "## Words not used"

_QUOTED = re.compile(r"`([^`]+)`")
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_COLUMNS = 3


@dataclass(frozen=True, slots=True)
class Rule:
    """
    An entry of the list: what is not used, what is written instead, and the files and folders
    where it may stand.
    """

    entry: str
    instead: str
    exempt: tuple[str, ...] = ()

    def holds_in(self, path: str) -> bool:
        """
        Tell whether the rule holds in a file or folder.
        """
        return not any(path == place or path.startswith(f"{place}/") for place in self.exempt)


def read_rules(glossary: str) -> list[Rule]:
    """
    Read the entries of the list. Raises `ValueError` if the glossary has none.
    """
    section = glossary.partition(f"{SECTION}\n")[2].partition("\n## ")[0]
    rules: list[Rule] = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if line.startswith("|") and len(cells) == _COLUMNS:
            places = tuple(it.rstrip("/") for it in _QUOTED.findall(cells[2]) if "/" in it)
            rules += [Rule(entry, cells[1], places) for entry in _QUOTED.findall(cells[0])]
    if not rules:
        raise ValueError(f'no table under "{SECTION}"')
    return rules


def words_of(name: str) -> list[str]:
    """
    Cut a name into its words, in lower case: `HTTPLane_2` is http, lane, 2.
    """
    return [word.lower() for word in _WORD.findall(name)]


class Vocabulary:
    """
    The rules, found by name. A word in lower case stands for its plural, too.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._exact: dict[tuple[Kind, str], list[Rule]] = {}
        self._by_first_word: dict[str, list[Rule]] = {}
        self._known: dict[tuple[Kind, str], list[Rule]] = {}
        for rule in rules:
            self._add(rule)

    def broken_by(self, kind: Kind, name: str) -> list[Rule]:
        """
        Return the rules that a name breaks, one for each word to write instead.
        """
        known = self._known.get((kind, name))
        if known is None:
            found = [*self._exact.get((kind, name), ()), *self._sequences(words_of(name))]
            known = list({(it.instead, it.exempt): it for it in reversed(found)}.values())
            self._known[kind, name] = known
        return known

    def _add(self, rule: Rule) -> None:
        kinds, name = _exact_name(rule.entry)
        for kind in kinds:
            self._exact.setdefault((kind, name), []).append(rule)
        if not kinds:
            for word in _forms(name.split("_")[0]):
                self._by_first_word.setdefault(word, []).append(rule)

    def _sequences(self, words: Sequence[str]) -> Iterator[Rule]:
        for start, word in enumerate(words):
            for rule in self._by_first_word.get(word, ()):
                wanted = rule.entry.split("_")
                found = words[start : start + len(wanted)]
                if len(found) == len(wanted) and all(
                    one in _forms(other) for one, other in zip(found, wanted, strict=True)
                ):
                    yield rule


def _exact_name(entry: str) -> tuple[tuple[Kind, ...], str]:
    """
    Return what an entry names exactly, and the name; nothing if it is a sequence of words.
    """
    if entry.endswith(".py"):
        return (Kind.FILE,), entry
    if entry.endswith("()"):
        return (Kind.FUNCTION,), entry.removesuffix("()")
    if entry[0].isupper():
        return (Kind.CLASS, Kind.VARIABLE, Kind.ALIAS), entry
    return (), entry


def _forms(word: str) -> tuple[str, ...]:
    """
    Return a word and what may be its plural.
    """
    return (word, f"{word}s", f"{word}es", *([f"{word[:-1]}ies"] if word.endswith("y") else []))


def used_words(sources: Sequence[Source], vocabulary: Vocabulary) -> Iterator[Violation]:
    """
    Find names that use words which are not used: folders, then each name once a file.
    """
    for folder in sorted({folder for it in sources for folder in PurePosixPath(it.path).parents}):
        given = GivenName(0, Kind.FOLDER, folder.name)
        yield from _violations(str(folder), given, vocabulary)
    for source in sources:
        for given in _distinct(source):
            yield from _violations(source.path, given, vocabulary)


def _distinct(source: Source) -> Iterable[GivenName]:
    """
    Return the names that a file gives, each where it first stands.
    """
    distinct: dict[tuple[Kind, str], GivenName] = {}
    for given in sorted(given_names(source), key=lambda name: name.line):
        distinct.setdefault((given.kind, given.text), given)
    return distinct.values()


def _violations(path: str, given: GivenName, vocabulary: Vocabulary) -> Iterator[Violation]:
    for rule in vocabulary.broken_by(given.kind, given.text):
        if rule.holds_in(path):
            text = f"{given.kind.value} `{given.text}` uses `{rule.entry}`: write {rule.instead}"
            yield Violation(path, given.line, text)
