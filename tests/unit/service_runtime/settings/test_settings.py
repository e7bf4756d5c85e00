"""
Settings from the environment.
"""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest

from config_service.settings import Settings as ConfigSettings
from dispatch_service.settings import Settings
from service_runtime.settings.reading import SettingsInvalidError, read_settings

KEY = base64.b64encode(b"k" * 32).decode()
PRODUCTION = {
    "SHIPEDGE_ENVIRONMENT": "production",
    "SHIPEDGE_ENCRYPTION_KEYS": f"a:{KEY}",
    "SHIPEDGE_HASH_KEY": KEY,
    "SHIPEDGE_TLS_CERTIFICATE_FILE": "/c",
    "SHIPEDGE_TLS_KEY_FILE": "/k",
    "SHIPEDGE_TLS_CA_FILE": "/a",
    "SHIPEDGE_CALLERS": "ops.internal=admin",
}


def problems(**environment: str) -> str:
    """
    Return what is wrong with an environment.
    """
    with pytest.raises(SettingsInvalidError) as raised:
        read_settings(Settings, environment)
    return str(raised.value)


def test_defaults_suffice_in_development() -> None:
    """
    Nothing has to be set to try it out.
    """
    settings = read_settings(Settings, {"PATH": "/bin"})

    assert settings.listen == "127.0.0.1:50052"
    assert settings.database().endswith("/data/dispatch.db")
    assert settings.url_rules().allow_http
    assert settings.allow_list().has_address("127.0.0.1", 9443)


def test_production_is_strict() -> None:
    """
    In production only public HTTPS targets are allowed.
    """
    settings = read_settings(Settings, PRODUCTION)

    assert not settings.url_rules().allow_http
    assert not settings.allow_list().has_address("127.0.0.1", 9443)


def test_production_requires_what_makes_it_safe() -> None:
    """
    Without certificates and keys it does not start.
    """
    message = problems(SHIPEDGE_ENVIRONMENT="production")

    for name in set(PRODUCTION) - {"SHIPEDGE_ENVIRONMENT"}:
        assert f"{name} is required in production" in message


def test_unknown_names_are_refused_with_a_suggestion() -> None:
    """
    A typo does not hide; the names of the other service are not typos.
    """
    message = problems(SHIPEDGE_DISPATCH_LISTN="x", SHIPEDGE_CONFIG_LISTEN="x:1")

    assert message == (
        "SHIPEDGE_DISPATCH_LISTN is not a setting; did you mean SHIPEDGE_DISPATCH_LISTEN?"
    )


def test_all_problems_are_reported_at_once() -> None:
    """
    Each problem names its variable and what is allowed.
    """
    message = problems(
        SHIPEDGE_GRACE="soon",
        SHIPEDGE_LOG_LEVEL="loud",
        SHIPEDGE_DISPATCH_LISTEN="nowhere",
        SHIPEDGE_NONSENSE="1",
    )

    assert len(message.split("\n")) == 4
    assert "SHIPEDGE_GRACE: must be a number and ms, s, m, h or d" in message
    assert "SHIPEDGE_DISPATCH_LISTEN: must be host:port" in message


def test_secrets_are_not_shown() -> None:
    """
    A bad key is not shown in the problem, a good one not in the repr.
    """
    assert "hidden" not in problems(SHIPEDGE_ENCRYPTION_KEYS="a:hidden")
    assert KEY not in repr(read_settings(Settings, PRODUCTION))


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("10s", timedelta(seconds=10)),
        ("1.5m", timedelta(seconds=90)),
        ("2h", timedelta(hours=2)),
        ("3d", timedelta(days=3)),
    ],
)
def test_spans(text: str, span: timedelta) -> None:
    """
    Spans of time are written with their unit.
    """
    assert read_settings(ConfigSettings, {"SHIPEDGE_GRACE": text}).grace == span


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHIPEDGE_ALLOWED_TARGETS", "10.0.0.0/8"),
        ("SHIPEDGE_DISPATCH_LEASE", "20s"),
        ("SHIPEDGE_DISPATCH_ENDPOINT_CONCURRENCY", "0"),
    ],
)
def test_values_that_cannot_be(name: str, value: str) -> None:
    """
    A value that cannot work is refused at the start.
    """
    assert name in problems(**{name: value})


def test_bad_egress_range() -> None:
    """
    What customers put into their firewalls is checked.
    """
    with pytest.raises(SettingsInvalidError, match="'here' is not a CIDR block"):
        read_settings(ConfigSettings, {"SHIPEDGE_CONFIG_EGRESS_RANGES": "203.0.113.0/28, here"})


@pytest.mark.parametrize(
    ("listen", "fits"),
    [
        ("127.0.0.1:50051", True),
        ("[::1]:50051", True),
        ("localhost:50051", True),
        ("0.0.0.0:50051", False),
        ("10.0.0.5:50051", False),
        ("example.com:50051", False),
    ],
)
def test_plain_text_stays_on_loopback(listen: str, fits: bool) -> None:
    """
    Without TLS nobody listens where others may hear.
    """
    environment = {"SHIPEDGE_CONFIG_LISTEN": listen}
    if fits:
        assert read_settings(ConfigSettings, environment).listen == listen
        return
    with pytest.raises(SettingsInvalidError, match="SHIPEDGE_CONFIG_LISTEN must be a loopback"):
        read_settings(ConfigSettings, environment)


def test_several_workers_need_postgresql_and_a_port() -> None:
    """
    What workers cannot share is refused at start, by the names of the settings.
    """
    environment = {"SHIPEDGE_DISPATCH_WORKERS": "2", "SHIPEDGE_DISPATCH_LISTEN": "127.0.0.1:0"}
    found = problems(**environment)

    assert "SHIPEDGE_DISPATCH_WORKERS must be 1 on SQLite" in found
    assert "SHIPEDGE_DISPATCH_DATABASE_URL" in found
    assert "SHIPEDGE_DISPATCH_LISTEN must name a port" in found
    assert "SHIPEDGE_DISPATCH_WORKERS" in problems(SHIPEDGE_DISPATCH_WORKERS="0")
    database = {"SHIPEDGE_DISPATCH_DATABASE_URL": "postgresql://localhost/webhooks"}
    assert read_settings(Settings, {**database, "SHIPEDGE_DISPATCH_WORKERS": "2"}).workers == 2
