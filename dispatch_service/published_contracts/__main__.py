"""
Write or check the published forms of the payload contracts.

    python -m dispatch_service.published_contracts write
    python -m dispatch_service.published_contracts check
    python -m dispatch_service.published_contracts bundle FOLDER
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from dispatch_service.published_contracts.bundle import bundle
from dispatch_service.published_contracts.files import contract_files
from dispatch_service.published_contracts.pages import pages

ROOT = Path(__file__).resolve().parents[2]
FILES = ROOT / "proto" / "python" / "shipedge" / "webhooks" / "payload_contracts"
PAGES = ROOT / "docs" / "payloads"

Content = Iterable[tuple[str, bytes]]


def _write(folder: Path, content: Content) -> None:
    for name, text in content:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def _stale(folder: Path, suffix: str, content: Content) -> Iterable[str]:
    """
    Yield the files of *folder* that differ from *content*, missing and superfluous ones included.
    """
    wanted = dict(content)
    present = {path.name: path.read_bytes() for path in folder.glob(f"*{suffix}")}
    for name in sorted(wanted.keys() | present.keys()):
        if wanted.get(name) != present.get(name):
            yield str((folder / name).relative_to(ROOT))


def check() -> int:
    """
    Print the stale files; return 1 if there are any.
    """
    stale = [*_stale(FILES, ".json", contract_files()), *_stale(PAGES, ".md", pages())]
    for name in stale:
        sys.stderr.write(f"{name} is stale\n")
    if stale:
        sys.stderr.write("run make contracts to write them\n")
        return 1
    sys.stdout.write("contracts: good\n")
    return 0


def main() -> int:
    """
    Run the command of the command line; return the exit code.
    """
    parser = argparse.ArgumentParser(prog="published_contracts", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("write")
    commands.add_parser("check")
    commands.add_parser("bundle").add_argument("folder", type=Path)
    arguments = parser.parse_args()
    match arguments.command:
        case "check":
            return check()
        case "bundle":
            _write(arguments.folder, bundle())
        case "write":
            _write(FILES, contract_files())
            _write(PAGES, pages())
    return 0


if __name__ == "__main__":
    sys.exit(main())
