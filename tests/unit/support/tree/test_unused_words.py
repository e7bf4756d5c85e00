"""
Words that names must not use, and where they may stand.
"""

from __future__ import annotations

import pytest

from tests.support.tree.given_names import Kind
from tests.support.tree.sources import parse
from tests.support.tree.unused_words import Rule, Vocabulary, read_rules, used_words, words_of

GLOSSARY = """
# Glossary

| word | means | more |
| --- | --- | --- |
| `event` | something that happened | - |

## Words not used

An entry in lower case (`let_go`) matches words.

| word | instead | where it may stand |
| --- | --- | --- |
| `parcel`, `parcels` | `PreparedRequest` | `dispatch_service/payloads/`: packages of a shipment |
| `Line` | `SubscriptionQueue` | lines of a `file` |

## Another section

| `lane` | queue | - |
"""


def test_rules_are_read_from_their_section() -> None:
    """
    Each entry of a row is a rule; only a path, which has a slash, is an exemption.
    """
    places = ("dispatch_service/payloads",)

    assert read_rules(GLOSSARY) == [
        Rule("parcel", "`PreparedRequest`", places),
        Rule("parcels", "`PreparedRequest`", places),
        Rule("Line", "`SubscriptionQueue`"),
    ]


def test_glossary_without_rules_is_refused() -> None:
    """
    Without the table, each name would be good.
    """
    with pytest.raises(ValueError, match="no table"):
        read_rules("# Glossary\n")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("order_lanes", ["order", "lanes"]),
        ("_OrderLane", ["order", "lane"]),
        ("HTTPLane2", ["http", "lane", "2"]),
        ("MOST_LANES", ["most", "lanes"]),
        ("maintenance.lanes_mended", ["maintenance", "lanes", "mended"]),
    ],
)
def test_names_are_cut_into_words(name: str, words: list[str]) -> None:
    """
    They are cut at underscores and points, and at capitals that begin a word.
    """
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("entry", "kind", "name", "matches"),
    [
        ("lane", Kind.VARIABLE, "lane", True),
        ("lane", Kind.CLASS, "OrderLanes", True),
        ("lane", Kind.FILE, "lane_mending.py", True),
        ("lane", Kind.FOLDER, "lanes", True),
        ("lane", Kind.VARIABLE, "planes", False),
        ("wish", Kind.SQL, "wishes", True),
        ("entry", Kind.VARIABLE, "entries", True),
        ("keysets", Kind.VARIABLE, "keyset", False),
        ("let_go", Kind.FUNCTION, "_let_go_of", True),
        ("let_go", Kind.CLASS, "LetGo", True),
        ("let_go", Kind.VARIABLE, "go_let", False),
        ("let_go", Kind.VARIABLE, "let_it_go", False),
        ("let_go", Kind.VARIABLE, "let", False),
        ("Line", Kind.CLASS, "Line", True),
        ("Line", Kind.ALIAS, "Line", True),
        ("Line", Kind.CLASS, "OrderLine", False),
        ("Line", Kind.VARIABLE, "line", False),
        ("FLOORS", Kind.VARIABLE, "FLOORS", True),
        ("again()", Kind.FUNCTION, "again", True),
        ("again()", Kind.FUNCTION, "try_again", False),
        ("again()", Kind.VARIABLE, "again", False),
        ("trust.py", Kind.FILE, "trust.py", True),
        ("trust.py", Kind.FILE, "trust_store.py", False),
        ("trust.py", Kind.VARIABLE, "trust", False),
    ],
)
def test_kinds_of_entries(entry: str, kind: Kind, name: str, matches: bool) -> None:
    """
    Words in lower case match anywhere in a name, and in the plural; the other kinds match one
    class or constant, one function, or one file.
    """
    vocabulary = Vocabulary([Rule(entry, "another word")])

    assert bool(vocabulary.broken_by(kind, name)) is matches


def test_word_is_reported_once() -> None:
    """
    A word and its plural may both be listed, for the same one to write instead.
    """
    vocabulary = Vocabulary([Rule("lane", "queue"), Rule("lanes", "queue"), Rule("lot", "batch")])

    assert [rule.entry for rule in vocabulary.broken_by(Kind.VARIABLE, "lanes")] == ["lane"]
    assert len(vocabulary.broken_by(Kind.VARIABLE, "lanes_of_lot")) == 2


def test_each_name_is_reported_once_a_file() -> None:
    """
    It is reported where it first stands; a folder is reported by itself.
    """
    vocabulary = Vocabulary([Rule("lane", "queue")])
    text = "lane = 1\nlane = 2\n"
    sources = [parse("lanes/one.py", text), parse("lanes/two.py", "lane = 1\n")]

    assert [str(found) for found in used_words(sources, vocabulary)] == [
        "lanes: folder `lanes` uses `lane`: write queue",
        "lanes/one.py:1: variable `lane` uses `lane`: write queue",
        "lanes/two.py:1: variable `lane` uses `lane`: write queue",
    ]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("dispatch_service/payloads/orders.py", 0),
        ("dispatch_service/app.py", 0),
        ("dispatch_service/payloads_of_old.py", 1),
        ("tests/unit/dispatch_service/payloads/test_orders.py", 1),
    ],
)
def test_word_may_stand_where_the_rule_says(path: str, expected: int) -> None:
    """
    An exemption is a file, or a folder with all in it, from the root.
    """
    exempt = ("dispatch_service/payloads", "dispatch_service/app.py")
    vocabulary = Vocabulary([Rule("parcel", "request", exempt)])

    assert len(list(used_words([parse(path, "parcel = 1")], vocabulary))) == expected
