"""
Which network addresses a delivery may go to.
"""

import pytest

from service_runtime.rules.addresses import AllowList, why_forbidden


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "93.184.216.34",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "198.20.0.1",
        "223.255.255.255",
        "::ffff:8.8.8.8",
        "2606:4700::1111",
        "2a00:1450::1",
    ],
)
def test_public_addresses(address: str) -> None:
    """
    A public unicast address may be sent to.
    """
    assert why_forbidden(address) is None


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("0.0.0.1", "in 0.0.0.0/8"),
        ("10.255.255.255", "in 10.0.0.0/8"),
        ("100.64.0.0", "in 100.64.0.0/10"),
        ("100.127.255.255", "in 100.64.0.0/10"),
        ("127.0.0.1", "in 127.0.0.0/8"),
        ("168.63.129.16", "in 168.63.129.16/32"),
        ("169.254.169.254", "in 169.254.0.0/16"),
        ("172.16.0.0", "in 172.16.0.0/12"),
        ("172.31.255.255", "in 172.16.0.0/12"),
        ("192.0.0.192", "in 192.0.0.0/24"),
        ("192.88.99.1", "in 192.88.99.0/24"),
        ("192.168.0.1", "in 192.168.0.0/16"),
        ("198.19.255.255", "in 198.18.0.0/15"),
        ("224.0.0.1", "in 224.0.0.0/4"),
        ("255.255.255.255", "in 240.0.0.0/4"),
        ("::", "not IPv6 global unicast"),
        ("::1", "not IPv6 global unicast"),
        ("::127.0.0.1", "not IPv6 global unicast"),
        ("::ffff:0:127.0.0.1", "not IPv6 global unicast"),
        ("::ffff:127.0.0.1", "in 127.0.0.0/8"),
        ("64:ff9b::7f00:1", "not IPv6 global unicast"),
        ("64:ff9b:1::1", "not IPv6 global unicast"),
        ("fc00::1", "not IPv6 global unicast"),
        ("fe80::1", "not IPv6 global unicast"),
        ("fec0::1", "not IPv6 global unicast"),
        ("ff02::1", "not IPv6 global unicast"),
        ("2001::1", "in 2001::/23"),
        ("2001:db8::1", "in 2001:db8::/32"),
        ("2002:7f00:1::1", "in 2002::/16"),
        ("2620:4f:8000::1", "in 2620:4f:8000::/48"),
        ("3fff::1", "in 3fff::/20"),
        ("2606:4700::1%eth0", "scoped address"),
        ("::ffff:8.8.8.8%eth0", "scoped address"),
        ("example.com", "not an address"),
        ("0177.0.0.1", "not an address"),
        ("", "not an address"),
    ],
)
def test_forbidden_addresses(address: str, why: str) -> None:
    """
    Everything else is refused, with the range as the reason.
    """
    assert why_forbidden(address) == why


@pytest.mark.parametrize(
    ("entry", "address", "port", "allowed"),
    [
        ("10.1.0.0/16:8443", "10.1.2.3", 8443, True),
        ("10.1.0.0/16:8443", "::ffff:10.1.2.3", 8443, True),
        ("10.1.0.0/16:8443", "10.1.2.3", 443, False),
        ("10.1.0.0/16:8443", "10.2.2.3", 8443, False),
        ("10.1.0.0/16:*", "10.1.2.3", 1, True),
        ("[fd00::/8]:8443", "fd00::7", 8443, True),
        ("[fd00::/8]:8443", "fd00::7%eth0", 8443, False),
        ("[fd00::/8]:8443", "10.1.2.3", 8443, False),
        ("receiver:8443", "10.1.2.3", 8443, False),
    ],
)
def test_allowed_addresses(entry: str, address: str, port: int, allowed: bool) -> None:
    """
    An entry allows the addresses of its network at its port, and `*` every port.
    """
    assert AllowList.parse([entry]).has_address(address, port) is allowed


@pytest.mark.parametrize(
    ("entry", "host", "port", "allowed"),
    [
        ("Receiver:8443", "receiver", 8443, True),
        ("receiver:8443", "receiver", 443, False),
        ("receiver:8443", "a.receiver", 8443, False),
        ("hooks.corp.example:*", "hooks.corp.example", 9, True),
        ("10.1.0.0/16:8443", "10.1.2.3", 8443, False),
    ],
)
def test_allowed_hosts(entry: str, host: str, port: int, allowed: bool) -> None:
    """
    An entry with a name allows exactly that name.
    """
    assert AllowList.parse([entry]).has_host(host, port) is allowed


def test_bad_entries_are_all_named() -> None:
    """
    Every entry that cannot be read is listed, so that one look repairs them all.
    """
    bad = ["10.0.0.0/8", "10.0.0.1/8:443", "host:0", "host:65536", "fd00::/8:443", "a b:1", ""]

    with pytest.raises(ValueError, match="host") as raised:
        AllowList.parse([*bad, "fine:443"])

    assert all(repr(entry) in str(raised.value) for entry in bad)
    assert "fine" not in str(raised.value)
