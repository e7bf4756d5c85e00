"""
The guide for receivers names programs, commands and causes that exist.
"""

from __future__ import annotations

import re

from typer.main import get_command

from dispatch_service.domain.outcomes import FailureKind
from tests.contract.test_webhooksctl_page import commands
from tests.support.customers import COMMANDS, EXAMPLES
from tests.support.project_files import ROOT
from webhooksctl.app import app

PAGE = (ROOT / "docs/receiving.md").read_text()


def test_every_receiver_is_described() -> None:
    """
    Each has a folder, a row of the table and a test that runs it.
    """
    linked = re.findall(r"\]\(\.\./examples/receivers/([a-z]+)/", PAGE)

    assert sorted(linked) == sorted(COMMANDS)
    assert sorted(it.name for it in EXAMPLES.iterdir()) == sorted(COMMANDS)


def test_commands_exist() -> None:
    """
    What is typed is a command of webhooksctl, with flags behind it.
    """
    known = set(commands(get_command(app), "webhooksctl"))
    typed = re.findall(r"(webhooksctl [a-z -]*[a-z])", PAGE)
    unknown = {
        it
        for it in typed
        if not any(f"{it.partition(' --')[0]} ".startswith(f"{name} ") for name in known)
    }

    assert len(set(typed)) > 15
    assert unknown == set()


def test_kinds_exist() -> None:
    """
    Kinds of failures are those of the log.
    """
    lists = re.findall(r"kinds? ((?:`[a-z_]+`(?:, | or )?)+)", PAGE)
    named = set(re.findall(r"[a-z_]{3,}", " ".join(lists)))

    assert named <= {str(kind) for kind in FailureKind}
    assert {"dns", "timeout", "tls", "http_status"} <= named
