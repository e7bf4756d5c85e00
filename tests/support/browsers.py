"""
A headless Chromium, as Debian has it, at a console that listens on loopback.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import uvicorn
from playwright.async_api import Browser, Page, Response, async_playwright
from starlette.applications import Starlette

from tests.support.databases import free_port

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
"""
Browsers of Playwright's own are not used: they are downloaded from elsewhere.
"""

AXE = (files("axe_playwright_python") / "axe.min.js").read_text()
"""
The checks of accessibility.
"""

WIDE, NARROW = 1280, 360
_HEIGHT = 900


@asynccontextmanager
async def served(app: Starlette) -> AsyncIterator[str]:
    """
    Yield the address of *app*, served on a free port of loopback.
    """
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    running = asyncio.create_task(server.serve())
    try:
        while not server.started:
            assert not running.done(), "the console does not start"
            await asyncio.sleep(0.02)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """
    Yield a browser.
    """
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM,
            # Chromium refuses to run as root in its sandbox.
            args=["--no-sandbox", "--disable-dev-shm-usage"],
        )
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Inspector:
    """
    Looks at pages of a console as people do: light and dark, wide and narrow; *faults* has what
    is wrong with them.
    """

    browser: Browser
    address: str
    faults: list[str] = field(default_factory=list)

    async def inspect(self, name: str, path: str, *, status: int = 200) -> None:
        """
        Look at the page *path*. With `CONSOLE_SCREENSHOTS`, a folder, its pictures are kept there.
        """
        page = await self.browser.new_page(viewport={"width": WIDE, "height": _HEIGHT})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        answered = await page.goto(self.address + path)
        assert isinstance(answered, Response)
        if answered.status != status:
            self.faults.append(f"{name}: HTTP {answered.status} at {path}")
        await page.evaluate(AXE)
        for scheme, rules in _LOOKS.items():
            await page.emulate_media(color_scheme=scheme)
            self.faults += [f"{name}, {scheme}: {each}" for each in await violations(page, rules)]
            await _keep_picture(page, f"{name}-{scheme}-wide")
        await page.set_viewport_size({"width": NARROW, "height": _HEIGHT})
        await _keep_picture(page, f"{name}-dark-narrow")
        width = await page.evaluate("document.documentElement.scrollWidth")
        if width > NARROW:
            self.faults.append(f"{name}: {width} px wide on a screen of {NARROW} px")
        strange = [url for url in asked if not url.startswith(self.address)]
        self.faults += [f"{name}: asks for {url}" for url in strange]
        await page.close()


# Only colours differ in the dark.
_LOOKS: Mapping[Literal["light", "dark"], Mapping[str, Any]] = {
    "light": {},
    "dark": {"runOnly": ["color-contrast"]},
}


async def violations(page: Page, rules: Mapping[str, Any]) -> list[str]:
    """
    Return what axe, loaded before, finds on a page, of any impact.
    """
    found: dict[str, Any] = await page.evaluate(
        "rules => axe.run({...rules, resultTypes: ['violations']})", dict(rules)
    )
    return [
        f"{each['id']} ({each['impact']}): {node['html'][:160]}"
        for each in found["violations"]
        for node in each["nodes"]
    ]


async def _keep_picture(page: Page, name: str) -> None:
    if folder := os.environ.get("CONSOLE_SCREENSHOTS"):
        await page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)
