"""
Backups of the config service's database, and the change to another one.
"""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from sqlalchemy.engine import make_url

from tests.faults.harness.services import CONFIG
from tests.faults.harness.site import Site
from tests.support.databases import run_sql

_SETTING = "SHIPEDGE_CONFIG_DATABASE_URL"
_SUFFIXES = ("", "-wal")


async def copy(site: Site, name: str) -> str:
    """
    Copy the database of the config service, which is stopped for it; return the URL of the copy.
    """
    await site.config.stop()
    url = site.config.environment[_SETTING]
    made = await asyncio.to_thread(_copy, site, url, name)
    await site.config.start()
    return made


def _copy(site: Site, url: str, name: str) -> str:
    if site.server:
        run_sql(site.server.url, f'CREATE DATABASE "{name}" TEMPLATE "{make_url(url).database}"')
        return _renamed(url, name)
    source = Path(str(make_url(url).database))
    target = source.with_name(f"{name}.db")
    for suffix in _SUFFIXES:
        part = source.with_name(source.name + suffix)
        if part.exists():
            shutil.copy(part, target.with_name(target.name + suffix))
    return f"sqlite:///{target}"


async def empty(site: Site, name: str) -> str:
    """
    Make an empty database; return its URL.
    """
    if not site.server:
        return f"sqlite:///{site.directory}/data/{name}.db"
    await asyncio.to_thread(run_sql, site.server.url, f'CREATE DATABASE "{name}"')
    return _renamed(site.urls[CONFIG], name)


def _renamed(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


async def change(site: Site, url: str) -> None:
    """
    Start the config service again, on another database.
    """
    await site.config.stop()
    site.config.environment[_SETTING] = url
    await site.config.start()
