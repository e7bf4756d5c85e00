"""
Which variables of the environment a service does not obey.
"""

from __future__ import annotations

import pytest

from service_runtime.settings.ignored_variables import ignore_variables


@pytest.mark.parametrize(
    "name",
    ["http_proxy", "HTTPS_PROXY", "grpc_proxy", "All_Proxy", "SSLKEYLOGFILE", "PGSSLMODE"],
)
def test_variable_is_taken_out_and_named(name: str) -> None:
    """
    Proxies in any case, the others as they are written.
    """
    environment = {name: "x", "PATH": "/bin"}

    assert ignore_variables(environment) == [name]
    assert environment == {"PATH": "/bin"}


@pytest.mark.parametrize(
    "name", ["SSL_CERT_FILE", "SSL_CERT_DIR", "OPENSSL_CONF", "GRPC_VERBOSITY", "pgsslmode", "TZ"]
)
def test_other_variables_stay(name: str) -> None:
    """
    Those that are documented, and those that only look alike.
    """
    environment = {name: "x"}

    assert ignore_variables(environment) == []
    assert environment == {name: "x"}
