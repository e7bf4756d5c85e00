"""
An unpacked bundle, and the programs that its clients are generated and compiled with.

The files are named `check_…`, so only `make clients` runs them: they download compilers' plugins
and libraries, in the versions and with the hashes that the files beside them name.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.proto_recipes import make_archive, unpack


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """
    Return the folder of a freshly unpacked bundle.
    """
    return unpack(make_archive(tmp_path / "proto"), tmp_path)
