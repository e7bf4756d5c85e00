"""
Files beside the code agree with the code.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

import config_service.settings
import dispatch_service.settings
from service_runtime.settings.common import CommonSettings
from tests.support import preloaded

ROOT = Path(__file__).parent.parent.parent
SETTINGS: dict[str, type[CommonSettings]] = {
    "config_service": config_service.settings.Settings,
    "dispatch_service": dispatch_service.settings.Settings,
}


@pytest.mark.slow
@pytest.mark.parametrize("package", SETTINGS)
def test_operations_list_all_settings(package: str) -> None:
    """
    The handbook lists the settings that the service prints.
    """
    code, printed = preloaded.run(package, os.environ, "settings")

    assert code == 0
    assert printed.strip() in (ROOT / "docs/operations.md").read_text()


def test_pins_have_no_addresses_and_fit_the_bounds() -> None:
    """
    Requirements are pinned by version alone, and cover all dependencies of the package.
    """
    pins: set[str] = set()
    for name in (
        "runtime",
        "build",
        "console",
        "otel",
        "webhooksctl",
        "dev",
        "audit",
        "chart",
        "docs",
    ):
        text = (ROOT / f"requirements/{name}.txt").read_text()
        assert "//" not in text
        pins |= pinned(text)
    needed = re.findall(r'^  "([a-z-]+)>=', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)

    assert len(needed) > 10
    assert set(needed) <= pins
    project = (ROOT / "pyproject.toml").read_text()
    (built_with,) = re.findall(r'^requires = \["([a-z]+)==', project, re.MULTILINE)
    assert built_with in pins


def pinned(text: str) -> set[str]:
    """
    Return the names of pinned packages; assert that each has its hashes.
    """
    found = set()
    for entry in text.replace("\\\n", " ").split("\n"):
        if not entry or entry.startswith(("#", "-r ")):
            continue
        package, *hashes = re.sub(r";[^-]*", "", entry).split()
        name, version = package.split("==")
        assert version, entry
        assert hashes, entry
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", each) for each in hashes)
        found.add(name.lower().replace("_", "-"))
    return found


@pytest.mark.parametrize("file", ["Makefile", "Dockerfile"])
def test_every_download_is_compared_with_its_hash(file: str) -> None:
    """
    Packages come by pins with hashes; what is built here is built with pinned packages.
    """
    lines = (ROOT / file).read_text().split("\n")
    commands = [line for line in lines if re.search(r"pip (install|wheel) ", line)]
    unpinned = [line for line in commands if "--require-hashes" not in line]

    assert commands
    assert all("--no-deps" in line for line in unpinned)
    assert all(re.search("--no-(build-isolation|index)", line) for line in unpinned)


def test_links_between_documents_lead_somewhere() -> None:
    """
    Every relative link of a document leads to a file.
    """
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{document.name}: {link}"
        for document in documents
        for link in re.findall(r"\]\(([^)#]+)\)", document.read_text())
        if "://" not in link and not (document.parent / link).exists()
    ]

    assert broken == []


def test_index_lists_every_decision_with_status_and_date() -> None:
    """
    The index of decisions repeats number, title, status and date of every decision, in order.
    """
    folder = ROOT / "docs/decisions"
    header = re.compile(r"# (\d+)\. (.+)\n\n- Status: (.+)\n- Date: (\d{4}-\d\d-\d\d)\n")
    expected = []
    for path in sorted(folder.glob("0*.md")):
        found = header.match(path.read_text())
        assert found, f"{path.name} does not begin with title, status and date"
        number, title, status, date = found.groups()
        assert int(number) == int(path.name[:4])
        expected.append(f"| {number} | [{title}]({path.name}) | {status} | {date} |")

    listed = re.findall(r"^\| \d+ \|.*$", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == expected
