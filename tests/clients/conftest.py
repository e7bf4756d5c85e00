"""
An unpacked bundle, the programs that its clients are generated and compiled with, and a pair for
the example programs.

The files are named `check_…`, so only `make clients` runs them: they download compilers' plugins
and libraries, in the versions and with the hashes that the files beside them name.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.programs import Services
from tests.support.pair import CONFIG, DISPATCH, environment_of, running_pair
from tests.support.proto_recipes import make_archive, unpack
from tests.support.receivers import answering, https_receiver


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """
    Return the folder of a freshly unpacked bundle.
    """
    folder = tmp_path_factory.mktemp("bundle")
    return unpack(make_archive(folder / "proto"), folder)


@pytest.fixture
async def services(tmp_path: Path) -> AsyncIterator[Services]:
    """
    Yield a running pair, and a receiver for it.
    """
    async with (
        https_receiver(answering(), host="127.0.0.1") as receiver,
        running_pair(environment_of(tmp_path, receiver)) as pair,
    ):
        yield Services(
            {
                "CONFIG_ADDRESS": pair.address(CONFIG),
                "DISPATCH_ADDRESS": pair.address(DISPATCH),
                "WEBHOOK_URL": receiver.url,
            }
        )
