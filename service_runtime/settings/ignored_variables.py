"""
Variables of the environment that libraries read and a service must not obey: they would change
where it connects to, whom it trusts or who can read along, and no setting would show it.
"""

from __future__ import annotations

from collections.abc import MutableMapping

_PROXIES = ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy", "no_proxy", "no_grpc_proxy")

_EXACT = frozenset(
    {
        # gRPC: other authorities, ciphers and proxies for the calls between the services. Its
        # names are those of https://github.com/grpc/grpc/blob/master/doc/environment_variables.md
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
        "GRPC_SSL_CIPHER_SUITES",
        "GRPC_DNS_RESOLVER",
        "GRPC_PROXY_EXP",
        # OpenSSL and Python: session keys in a file.
        "SSLKEYLOGFILE",
        # glibc: names without a dot resolved by a file, and searched in domains of the caller.
        "HOSTALIASES",
        "LOCALDOMAIN",
        "RES_OPTIONS",
        # The driver of PostgreSQL: what the URL does not say. Its names are those of
        # https://www.postgresql.org/docs/current/libpq-envars.html
        "PGHOST",
        "PGPORT",
        "PGUSER",
        "PGPASSWORD",
        "PGPASSFILE",
        "PGDATABASE",
        "PGSERVICE",
        "PGSERVICEFILE",
        "PGOPTIONS",
        "PGSSLMODE",
        "PGSSLCERT",
        "PGSSLKEY",
        "PGSSLROOTCERT",
        "PGSSLCRL",
        "PGSSLNEGOTIATION",
        "PGGSSLIB",
        "PGKRBSRVNAME",
        "PGTARGETSESSIONATTRS",
    }
)


def ignore_variables(environment: MutableMapping[str, str]) -> list[str]:
    """
    Take the variables out that a service does not obey; return the names of those that were set.

    `os.environ` takes them out of the process, so libraries in C and child processes do not see
    them either. Proxies count in upper and lower case.
    """
    found = sorted(name for name in environment if name in _EXACT or name.lower() in _PROXIES)
    for name in found:
        del environment[name]
    return found
