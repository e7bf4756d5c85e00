"""
URLs of databases: what they may say, and the TLS that they ask for.
"""

from __future__ import annotations

import ssl

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

VERIFY_FULL = "verify-full"
TLS_MODES = ("disable", "allow", "prefer", "require", "verify-ca", VERIFY_FULL)
PARAMETERS = ("host", "port", "ssl", "sslrootcert", "target_session_attrs")
"""
The parameters that a URL of PostgreSQL may have.
"""

_FORMS = (
    "must be sqlite:///path or postgresql://user:password@host:port/name, with special characters"
    " in user and password percent-encoded"
)


def parse_database_url(url: str) -> URL:
    """
    Parse the URL of a database. Raises `ValueError`, whose text shows nothing of the URL.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(_FORMS) from None
    backend = parsed.get_backend_name() if parsed.drivername in {"sqlite", "postgresql"} else ""
    if not backend:
        raise ValueError(_FORMS)
    if backend == "sqlite" and parsed.database in {None, "", ":memory:"}:
        raise ValueError("must name a file: what is in memory is lost")
    if backend == "postgresql":
        _check_parameters(parsed)
    return parsed


def _check_parameters(url: URL) -> None:
    if not url.database:
        raise ValueError("must name a database: postgresql://user@host/name")
    if set(url.query) - set(PARAMETERS):
        raise ValueError(f"may have only the parameters {', '.join(PARAMETERS)}")
    if url.query.get("ssl", VERIFY_FULL) not in TLS_MODES:
        raise ValueError(f"parameter ssl must be one of {', '.join(TLS_MODES)}")


def demand_tls(url: str) -> str:
    """
    Return *url* with TLS that checks the server's certificate and name; SQLite and sockets of
    this machine need none. Raises `ValueError` if it asks for less.
    """
    parsed = parse_database_url(url)
    if parsed.get_backend_name() == "sqlite" or _is_local_socket(parsed):
        return url
    asked = parsed.query.get("ssl", VERIFY_FULL)
    if asked != VERIFY_FULL:
        raise ValueError(f"must have the parameter ssl={VERIFY_FULL} or none, not ssl={asked}")
    return parsed.update_query_dict({"ssl": VERIFY_FULL}).render_as_string(hide_password=False)


def _is_local_socket(url: URL) -> bool:
    hosts = url.query.get("host", url.host or "")
    named = [hosts] if isinstance(hosts, str) else hosts
    # Without a host, variables of the environment may name one.
    return all(host.startswith("/") for host in named)


def driver_url(url: URL) -> tuple[URL, dict[str, ssl.SSLContext]]:
    """
    Return the URL for the driver, and the TLS context that replaces its parameters.

    The driver would look for authorities only in the home folder; here `sslrootcert` names the
    file, and without it those of the system are trusted. Raises `OSError` if it cannot be read.
    """
    authorities = url.query.get("sslrootcert")
    rest = url.difference_update_query(["sslrootcert"])
    if url.query.get("ssl") != VERIFY_FULL:
        return rest, {}
    context = ssl.create_default_context(cafile=str(authorities) if authorities else None)
    return rest.difference_update_query(["ssl"]), {"ssl": context}
