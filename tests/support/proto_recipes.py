"""
The commands of `proto/README.md` that generate clients, run as a reader would run them.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.project_files import ROOT


@dataclass(frozen=True, slots=True)
class Recipe:
    """
    The folder that a recipe writes into, and a pattern of the files of which each proto makes one.
    """

    out: str
    one_of_each: str


RECIPES = {
    "Go": Recipe("out/go", "*.pb.go"),
    "Java": Recipe("out/java", "*Proto.java"),
    "TypeScript and Node.js": Recipe("out/typescript", "*.ts"),
    "Python": Recipe("out/python", "*_pb2.py"),
    "C#": Recipe("out/csharp", "*.cs"),
    "Ruby": Recipe("out/ruby", "*_pb.rb"),
    "PHP": Recipe("out/php", "GPBMetadata/**/*.php"),
}


def make_archive(folder: Path) -> Path:
    """
    Write the bundle into *folder*; return its archive.
    """
    command = [sys.executable, str(ROOT / "proto/bundle.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return folder.parent / "shipedge-webhooks-proto.tar.gz"


def unpack(archive: Path, folder: Path) -> Path:
    """
    Unpack the bundle in *folder*; return the folder with its files.
    """
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / "shipedge-webhooks-proto"


def commands(text: str, language: str) -> str:
    """
    Return the shell commands of the section of a language.
    """
    found = re.search(rf"^### {re.escape(language)}\n(.*?)(?=^##)", text, re.DOTALL | re.MULTILINE)
    block = re.search(r"```sh\n(.*?)```", found[1], re.DOTALL) if found else None
    if block is None:
        raise LookupError(f"no commands for {language}")
    return block[1]


def run_recipe(language: str, bundle: Path, programs: Sequence[Path] = ()) -> Path:
    """
    Generate a client in an unpacked bundle; return the folder with it. protoc and Python are
    those of the development environment, plugins are in the folders *programs*. Raises
    `AssertionError` with what the compiler says.
    """
    script = commands((bundle / "README.md").read_text(), language)
    folders = [*programs, Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    done = subprocess.run(
        ["/bin/sh", "-euc", script],
        cwd=bundle,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return bundle / RECIPES[language].out
