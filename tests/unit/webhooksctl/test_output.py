"""
Tables, on wide and narrow terminals.
"""

from __future__ import annotations

import pytest

from shipedge.webhooks.config.v1.subscription_pb2 import Subscription
from webhooksctl.output.formats import Format, least_width, show_list, show_rows

LONG = "a" * 60


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Be a terminal of 80 columns.
    """
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")


def test_the_last_column_is_folded(capsys: pytest.CaptureFixture[str]) -> None:
    """
    The others are whole, so that they can be copied.
    """
    show_rows(["Id", "Why"], [["x" * 40, LONG]])
    lines = capsys.readouterr().out.splitlines()

    assert len(lines) == 4
    assert all(len(line) <= 80 for line in lines[1:])
    assert "x" * 40 in lines[2]


def test_a_terminal_that_is_too_narrow_breaks_lines(capsys: pytest.CaptureFixture[str]) -> None:
    """
    Nothing is cut off.
    """
    show_rows(["Id", "Event", "Url"], [["x" * 40, "y" * 40, LONG]])
    lines = capsys.readouterr().out.splitlines()

    assert lines[2].split() == ["x" * 40, "y" * 40, "a" * 24]
    assert "".join(lines[2:]).count("a") == len(LONG)


def test_the_least_width_counts_what_is_shown() -> None:
    """
    With the gaps; wide letters count twice, and the last cell as far as it is not folded.
    """
    assert least_width([["Id", "Url"], ["abc", LONG]]) == 3 + 3 + 24
    assert least_width([["Id", "Url"], ["\u6f22\u5b57", "b"]]) == 4 + 3 + 3
    assert least_width([["Id"], ["\x1b"]]) == 4


def test_nothing_found_is_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    """
    A person is told so, a program is not.
    """
    show_rows(["Id"], [])

    assert tuple(capsys.readouterr()) == ("", "nothing was found\n")


def test_names_are_whole_where_owners_differ(capsys: pytest.CaptureFixture[str]) -> None:
    """
    And short otherwise; what is no table is the contract's JSON.
    """
    found = Subscription(name="accounts/1/subscriptions/sub_a", url="https://a.example")
    columns = (("Id", "name"), ("Url", "url"))
    show_list([found], columns, Format.TABLE, "accounts/1")
    short = capsys.readouterr().out
    show_list([found], columns, Format.TABLE, "accounts/-")
    whole = capsys.readouterr().out
    show_list([found], columns, Format.YAML, "accounts/1")

    assert "sub_a" in short
    assert "accounts/1" not in short
    assert "accounts/1/subscriptions/sub_a" in whole
    assert capsys.readouterr().out == (
        "- name: accounts/1/subscriptions/sub_a\n  url: https://a.example\n"
    )
