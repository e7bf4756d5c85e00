"""
URLs of databases.
"""

from __future__ import annotations

import pytest

from service_runtime.database.urls import demand_tls, driver_url, parse_database_url

PASSWORD = "marker-password"


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "must be sqlite:///path or postgresql://"),
        (PASSWORD, "must be sqlite:///path or postgresql://"),
        (f"mysql://user:{PASSWORD}@host/name", "must be sqlite:///path or postgresql://"),
        (f"postgresql+psycopg://user:{PASSWORD}@host/name", "must be sqlite:///path"),
        (f"postgresql://user:{PASSWORD}@host:notaport/name", "must be sqlite:///path"),
        ("sqlite://", "must name a file"),
        ("sqlite:///:memory:", "must name a file"),
        (f"postgresql://user:{PASSWORD}@host", "must name a database"),
        (f"postgresql://user:{PASSWORD}@host/name?sslmode=require", "only the parameters host,"),
        (f"postgresql://user:{PASSWORD}@host/name?ssl=yes", "parameter ssl must be one of"),
    ],
)
def test_urls_that_cannot_be(url: str, problem: str) -> None:
    """
    Each is refused with what is allowed, and nothing of the URL is shown.
    """
    with pytest.raises(ValueError, match=problem) as raised:
        parse_database_url(url)

    assert PASSWORD not in str(raised.value)
    assert raised.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "demanded"),
    [
        ("sqlite:////data/x.db", "sqlite:////data/x.db"),
        ("postgresql://u:p%40@h/n", "postgresql://u:p%40@h/n?ssl=verify-full"),
        ("postgresql://u@h/n?ssl=verify-full", "postgresql://u@h/n?ssl=verify-full"),
        ("postgresql:///n?host=/run/postgresql", "postgresql:///n?host=/run/postgresql"),
        ("postgresql:///n", "postgresql:///n?ssl=verify-full"),
    ],
)
def test_tls_is_demanded_of_servers(url: str, demanded: str) -> None:
    """
    A server elsewhere is asked for a certificate; a file or a local socket is not.
    """
    assert demand_tls(url) == demanded


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_less_tls_is_refused(mode: str) -> None:
    """
    What an attacker on the way could undo does not count as TLS.
    """
    with pytest.raises(ValueError, match="ssl=verify-full or none"):
        demand_tls(f"postgresql://u:{PASSWORD}@h/n?ssl={mode}")


def test_driver_gets_a_context() -> None:
    """
    The parameters of TLS become a context that checks certificate and name.
    """
    url, tls = driver_url(parse_database_url("postgresql://u@h/n?ssl=verify-full"))

    assert tls["ssl"].check_hostname
    assert str(url) == "postgresql://u@h/n"
    assert driver_url(parse_database_url("postgresql://u@h/n?ssl=prefer"))[1] == {}


def test_authorities_that_are_not_there() -> None:
    """
    A file that cannot be read is an error, not fewer checks.
    """
    with pytest.raises(FileNotFoundError):
        driver_url(parse_database_url("postgresql://u@h/n?ssl=verify-full&sslrootcert=/none.pem"))
