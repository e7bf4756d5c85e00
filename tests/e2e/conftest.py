"""
A running pair and an HTTPS receiver for each test.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.console_reader import console_of
from tests.support.pair import Pair, environment_of, running_pair
from tests.support.receivers import Receiver, answering, https_receiver
from tests.support.templates import PostgresTemplates


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """
    Yield a receiver that confirms everything.
    """
    async with https_receiver(answering(200, b"OK"), host="127.0.0.1") as running:
        yield running


@pytest.fixture
async def pair(tmp_path: Path, receiver: Receiver) -> AsyncIterator[Pair]:
    """
    Yield both services, started as they are shipped.
    """
    async with running_pair(environment_of(tmp_path, receiver)) as running:
        yield running


@pytest.fixture
async def reader(pair: Pair) -> AsyncIterator[httpx.AsyncClient]:
    """
    Yield a reader's browser at the console of the pair.
    """
    async with console_of(pair) as client:
        yield client


@pytest.fixture
def database(postgres_templates: PostgresTemplates) -> Iterator[str]:
    """
    Yield the URL of a migrated dispatch database on PostgreSQL.
    """
    with postgres_templates.copy("dispatch_service") as url:
        yield url
