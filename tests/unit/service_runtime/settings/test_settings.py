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


IN_VAIN = {name for name in PRODUCTION if "TLS" in name} | {
    "SHIPEDGE_TLS_CRL_FILE",
    "SHIPEDGE_CALLERS",
    "SHIPEDGE_DISPATCH_TOKEN_LISTEN",
}
IN_VAIN_VALUES = PRODUCTION | {
    "SHIPEDGE_TLS_CRL_FILE": "/crl.pem",
    "SHIPEDGE_DISPATCH_TOKEN_LISTEN": "127.0.0.1:50062",
}
DEVELOPMENT = {"SHIPEDGE_ENVIRONMENT": "development"}


def problems(**environment: str) -> str:
    """
    Return what is wrong with an environment, that of development if it names none.
    """
    with pytest.raises(SettingsInvalidError) as raised:
        read_settings(Settings, DEVELOPMENT | environment)
    return str(raised.value)


def test_defaults_suffice_in_development() -> None:
    """
    Nothing has to be set to try it out.
    """
    settings = read_settings(Settings, DEVELOPMENT | {"PATH": "/bin"})

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


def test_production_is_the_default_and_requires_what_makes_it_safe() -> None:
    """
    Who forgets the environment gets no service that is open to all.
    """
    with pytest.raises(SettingsInvalidError) as raised:
        read_settings(Settings, {})
    message = str(raised.value)

    assert message.endswith("set SHIPEDGE_ENVIRONMENT=development")
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


def test_crash_tests_are_never_suggested() -> None:
    """
    A typo does not lead to the setting that stops the service.
    """
    assert problems(SHIPEDGE_DISPATCH_FAILPOIN="x") == (
        "SHIPEDGE_DISPATCH_FAILPOIN is not a setting"
    )
    assert "FAILPOINT" not in problems(SHIPEDGE_DISPATCH_PORT="1")


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
    settings = read_settings(ConfigSettings, DEVELOPMENT | {"SHIPEDGE_GRACE": text})
    assert settings.grace == span


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
        read_settings(
            ConfigSettings,
            DEVELOPMENT | {"SHIPEDGE_CONFIG_EGRESS_RANGES": "203.0.113.0/28, here"},
        )


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
@pytest.mark.parametrize("listener", ["LISTEN", "OPERATORS_LISTEN", "METRICS_LISTEN"])
def test_development_stays_on_loopback(listener: str, listen: str, fits: bool) -> None:
    """
    Where every caller may do everything, nobody listens where others may call.
    """
    name = f"SHIPEDGE_CONFIG_{listener}"
    environment = DEVELOPMENT | {name: listen}
    if fits:
        assert read_settings(ConfigSettings, environment).listeners()[name] == listen
        return
    with pytest.raises(SettingsInvalidError, match=f"{name} must be a loopback"):
        read_settings(ConfigSettings, environment)


@pytest.mark.parametrize("name", sorted(IN_VAIN))
def test_development_refuses_what_would_be_in_vain(name: str) -> None:
    """
    Whoever configures TLS or callers expects protection, and is told that there is none.
    """
    message = problems(**{name: IN_VAIN_VALUES[name]})

    assert f"{name} has no effect with SHIPEDGE_ENVIRONMENT=development" in message


def test_listeners_without_tls_that_others_reach() -> None:
    """
    The listeners for callers have TLS in production; the others have none.
    """
    settings = read_settings(
        ConfigSettings,
        PRODUCTION
        | {
            "SHIPEDGE_CONFIG_LISTEN": "0.0.0.0:1",
            "SHIPEDGE_CONFIG_TOKEN_LISTEN": "0.0.0.0:4",
            "SHIPEDGE_CONFIG_OPERATORS_LISTEN": "127.0.0.1:2",
            "SHIPEDGE_CONFIG_METRICS_LISTEN": "0.0.0.0:3",
        },
    )

    assert settings.unprotected_listeners() == {"SHIPEDGE_CONFIG_METRICS_LISTEN": "0.0.0.0:3"}


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("hunter2", "must be sqlite:///path or postgresql://"),
        ("mysql://u:hunter2@h/n", "must be sqlite:///path or postgresql://"),
        ("postgresql://u:hunter2@h:notaport/n", "must be sqlite:///path or postgresql://"),
        ("postgresql://u:hunter2@h/n?ssl=prefer", "unless SHIPEDGE_DISPATCH_DATABASE_TLS=off"),
        ("postgresql://u:hunter2@h/n?sslrootcert=/none.pem", ": sslrootcert cannot be read"),
    ],
)
def test_database_url_is_judged_with_the_others(url: str, problem: str) -> None:
    """
    It is reported among all problems, and nothing of it is shown.
    """
    environment = PRODUCTION | {
        "SHIPEDGE_DISPATCH_DATABASE_URL": url,
        "SHIPEDGE_DISPATCH_WORKERS": "2",
        "SHIPEDGE_ALLOWED_TARGETS": "10.0.0.0/8",
    }
    message = problems(**environment)

    assert "SHIPEDGE_DISPATCH_DATABASE_URL" in message
    assert problem in message
    assert "SHIPEDGE_ALLOWED_TARGETS" in message
    assert "hunter2" not in message


@pytest.mark.parametrize(
    ("environment", "tls", "ends"),
    [
        (PRODUCTION, "required", "/n?ssl=verify-full"),
        (PRODUCTION, "off", "/n"),
        (DEVELOPMENT, "required", "/n"),
    ],
)
def test_production_demands_tls_of_the_database(
    environment: dict[str, str], tls: str, ends: str
) -> None:
    """
    Unless that is switched off by name.
    """
    database = {
        "SHIPEDGE_DISPATCH_DATABASE_URL": "postgresql://u:hunter2@h/n",
        "SHIPEDGE_DISPATCH_DATABASE_TLS": tls,
    }
    settings = read_settings(Settings, environment | database)

    assert settings.database().endswith(ends)
    assert "hunter2" not in repr(settings)


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
    workers = {**DEVELOPMENT, **database, "SHIPEDGE_DISPATCH_WORKERS": "2"}
    assert read_settings(Settings, workers).workers == 2
