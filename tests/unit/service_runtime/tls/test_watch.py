"""
The watch over TLS files.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service_runtime.tls.current import CurrentTls
from service_runtime.tls.material import DAY_SECONDS
from service_runtime.tls.watch import TlsWatch
from tests.support.authority import NOW, Authority
from tests.support.figures import figure

pytestmark = pytest.mark.anyio


async def test_new_files_are_taken_up(tmp_path: Path) -> None:
    """
    A change is taken up once; files that cannot be used are reported once and change nothing.
    """
    authority = Authority(tmp_path)
    tls = CurrentTls(authority.files(authority.issue("a")), {"server", "client"})
    renewed: list[int] = []

    async def renew() -> None:
        renewed.append(1)

    watch = TlsWatch(tls, [renew])
    await watch.run_once()
    assert renewed == []

    first = tls.material
    files = authority.files(authority.issue("a"))
    files.key.write_text("half a ke")
    with capture_logs() as logs:
        await watch.run_once()
        await watch.run_once()
    assert [line["event"] for line in logs] == ["tls.refused"]
    assert tls.material is first

    authority.files(authority.issue("a"))
    with capture_logs() as logs:
        await watch.run_once()
        await watch.run_once()
    assert [line["event"] for line in logs] == ["tls.reloaded"]
    assert tls.material is not first
    assert renewed == [1]


async def test_expiry_is_warned_of_once_a_day(tmp_path: Path) -> None:
    """
    From 30 days before the end on, one line a day says how many are left.
    """
    authority = Authority(tmp_path)
    end = NOW + timedelta(days=31)
    revoked = authority.revoking(next_update=NOW + timedelta(days=1))
    tls = CurrentTls(authority.files(authority.issue("a", end=end), revoked=revoked), {"server"})
    now = [NOW.timestamp()]
    watch = TlsWatch(tls, clock=lambda: now[0])
    assert figure("webhooks_tls_certificate_days") == pytest.approx(31)

    async def lines() -> list[tuple[str, object]]:
        with capture_logs() as logs:
            await watch.run_once()
        return [(line["event"], line.get("count")) for line in logs]

    assert await lines() == []
    now[0] += DAY_SECONDS + 1
    stale = ("tls.revocations_stale", None)
    assert await lines() == [("tls.certificate_expires", 29), stale]
    assert await lines() == []
    now[0] += DAY_SECONDS
    assert await lines() == [("tls.certificate_expires", 28), stale]
    assert 28 < watch.days_left() < 29
