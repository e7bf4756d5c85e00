"""
Network addresses that deliveries may go to. Own tables, no I/O.

`ipaddress.is_global` is not safe: it calls 192.0.0.192, 168.63.129.16, 2002:7f00:1::1 and every
multicast address global.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Self

# The IANA IPv4 special-purpose registry, multicast, reserved class E, and Azure's wire server.
_REFUSED_V4 = tuple(
    IPv4Network(cidr)
    for cidr in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "168.63.129.16/32",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)

_GLOBAL_UNICAST_V6 = IPv6Network("2000::/3")

# Inside global unicast: protocol assignments with Teredo, documentation, 6to4, AS112.
_REFUSED_V6 = tuple(
    IPv6Network(cidr)
    for cidr in ("2001::/23", "2001:db8::/32", "2002::/16", "2620:4f:8000::/48", "3fff::/20")
)

_ENTRY = re.compile(r"(?:\[(?P<v6>[0-9a-f:.]+/\d+)\]|(?P<plain>[^\[\]:]+)):(?P<port>\d{1,5}|\*)")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?")
_LAST_PORT = 65535


def why_forbidden(address: str) -> str | None:
    """
    Return why nothing may be sent to *address*, a literal IPv4 or IPv6 address; None if it may.

    IPv4-mapped addresses are judged as the address that they map to. Other IPv6 addresses must be
    global unicast, which excludes loopback, link-local, unique local, NAT64 and multicast. The
    reason names the range and is meant for operators.
    """
    judged = _parsed(address)
    if isinstance(judged, str):
        return judged

    if isinstance(judged, IPv6Address):
        if judged not in _GLOBAL_UNICAST_V6:
            return "not IPv6 global unicast"
        return next((f"in {network}" for network in _REFUSED_V6 if judged in network), None)
    return next((f"in {network}" for network in _REFUSED_V4 if judged in network), None)


@dataclass(frozen=True, slots=True)
class AllowList:
    """
    Destinations that an operator allows although they are not public.
    """

    networks: tuple[tuple[IPv4Network | IPv6Network, int | None], ...] = ()
    hosts: frozenset[tuple[str, int | None]] = frozenset()

    @classmethod
    def parse(cls, entries: Iterable[str]) -> Self:
        """
        Parse entries of the form `10.1.0.0/16:8443`, `[fd00::/8]:8443` or `receiver:8443`.

        The port `*` stands for every port. Raises `ValueError`, which lists all invalid entries.
        """
        networks: list[tuple[IPv4Network | IPv6Network, int | None]] = []
        hosts: list[tuple[str, int | None]] = []
        problems: list[str] = []
        for entry in entries:
            try:
                target, port = _entry(entry)
            except ValueError as error:
                problems.append(f"{entry!r}: {error}")
                continue
            if isinstance(target, str):
                hosts.append((target, port))
            else:
                networks.append((target, port))
        if problems:
            raise ValueError("; ".join(problems))
        return cls(tuple(networks), frozenset(hosts))

    def has_host(self, host: str, port: int) -> bool:
        """
        Tell whether *host*, in lower case, is allowed by name, whatever it resolves to.
        """
        return (host, port) in self.hosts or (host, None) in self.hosts

    def has_address(self, address: str, port: int) -> bool:
        """
        Tell whether the literal *address* lies in an allowed network.
        """
        if not self.networks:
            return False
        judged = _parsed(address)
        return not isinstance(judged, str) and any(
            allowed in (None, port) and judged in network for network, allowed in self.networks
        )


def _parsed(address: str) -> IPv4Address | IPv6Address | str:
    """
    Parse a literal address, IPv4-mapped ones unwrapped; return the reason if it is none.
    """
    if "%" in address:
        return "scoped address"
    try:
        parsed = ip_address(address)
    except ValueError:
        return "not an address"
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is not None:
        return parsed.ipv4_mapped
    return parsed


def _entry(entry: str) -> tuple[IPv4Network | IPv6Network | str, int | None]:
    """
    Parse one entry of an allow-list. Raises `ValueError`.
    """
    match = _ENTRY.fullmatch(entry.strip().lower())
    if match is None:
        raise ValueError("expected CIDR:port, [IPv6 CIDR]:port or host:port")
    port = None if match["port"] == "*" else int(match["port"])
    if port is not None and not 0 < port <= _LAST_PORT:
        raise ValueError("the port is out of range")
    if match["v6"]:
        return IPv6Network(match["v6"]), port
    if "/" in match["plain"]:
        return ip_network(match["plain"]), port
    if not _HOST.fullmatch(match["plain"]):
        raise ValueError("the host is not a name")
    return match["plain"], port
