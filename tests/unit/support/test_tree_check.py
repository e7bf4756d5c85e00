"""
What the check of the tree reads, prints and returns.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.tree_check import main

GLOSSARY = (
    "## Words not used\n\n| word | instead | where |\n| --- | --- | --- |\n| `lane` | queue | - |\n"
)


def written(root: Path, files: dict[str, str]) -> Path:
    """
    Write files under *root*.
    """
    for name, text in {"docs/glossary.md": GLOSSARY, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_good_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A tree without violations ends with 0; generated code and migrations are not read.
    """
    root = written(
        tmp_path,
        {
            "dispatch_service/log/read.py": "queue = 1\n",
            "dispatch_service/migrations/versions/0001_lanes.py": "lane = 1\n",
            "proto/python/shipedge/webhooks/events/v1/event_pb2.py": "lane = 1\n",
        },
    )

    assert main(root) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "tree: good"


def test_violations_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    Each is printed with its place under the name of its check; then the tool ends with 1.
    """
    root = written(
        tmp_path,
        {
            "dispatch_service/log/read.py": "queue = 1\nlane = 2\n",
            "dispatch_service/log/names.py": 'name = f"{owner}/events/{id}"\n',
            "tests/unit/test_read.py": "\n" * 401,
            "proto/tool.py": "lane = 1\n",
        },
    )

    assert main(root) == 1
    assert capsys.readouterr().out == (
        "files:\n"
        "  tests/unit/test_read.py: 401 lines, at most 400 are allowed\n"
        "words:\n"
        "  dispatch_service/log/read.py:2: variable `lane` uses `lane`: write queue\n"
        "  proto/tool.py:1: variable `lane` uses `lane`: write queue\n"
        "resource names:\n"
        "  dispatch_service/log/names.py:1: spells a resource name: f'{owner}/events/{id}'\n"
        "tree: files 1, words 2, resource names 1\n"
    )


def test_missing_rules_are_a_violation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """
    A glossary whose table was moved or renamed does not pass as good.
    """
    root = written(tmp_path, {"docs/glossary.md": "# Glossary\n"})

    assert main(root) == 1
    assert "docs/glossary.md: no table under" in capsys.readouterr().out
