"""
The rules on the text of a customer's URL. Pure; the addresses of host names are judged later.

The grammar is RFC 3986 without parts that parsers read differently: no credentials, no
fragment, no percent-encoding in the host, IPv4 addresses only as four decimals.
"""

import re
from dataclasses import dataclass, field
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from service_runtime.rules.addresses import AllowList, why_forbidden

MAX_URL = 2048
MAX_HOST = 253

_DEFAULT_PORTS = {"https": 443, "http": 80}
_LAST_PORT = 65535
_FIRST_USER_PORT = 1024
_LOW_PORTS = frozenset({443})

# Ports from 1024 up where databases, brokers, caches and control planes listen, not web servers.
_REFUSED_PORTS = frozenset(
    {1080, 1433, 1521, 1723, 2049, 2181, 2375, 2376, 2377, 2379, 2380, 3128, 3260, 3306, 3389}
    | {4001, 4222, 4369, 4505, 4506, 5432, 5433, 5601, 5671, 5672, 5900, 5984, 5985, 5986, 6000}
    | {6379, 6380, 6443, 6650, 6666, 6667, 6668, 6669, 6697, 7000, 7001, 7199, 7474, 7687, 8020}
    | {8086, 8125, 8200, 8300, 8301, 8302, 8500, 8501, 8600, 9042, 9090, 9092, 9093, 9100, 9200}
    | {9300, 10050, 10051, 10250, 10255, 10256, 11211, 15672, 16379, 25672, 26257, 27017, 27018}
    | {27019, 28017, 50051, 50070, 61616}
)

# RFC 6761 and 6762, ICANN's collisions, and the names of cluster and cloud networks.
_SPECIAL_NAMES = frozenset(
    {"localhost", "localdomain", "local", "internal", "intranet", "private", "corp", "home", "lan"}
    | {"svc", "test", "invalid", "onion", "alt", "arpa"}
)

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_AUTHORITY = re.compile(r"//([^/?#]*)")
_HOST_AND_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([^:\[\]]*))(?::(.*))?")
_PORT = re.compile(r"[1-9][0-9]{0,4}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NUMERIC = re.compile(r"[0-9]+|0x[0-9a-f]*")
_TARGET = re.compile(
    r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*)?"
    r"(?:\?(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/?\[\]]|%[0-9A-Fa-f]{2})*)?"
)
# The beginning of a URL that anybody may see: a first segment is a word only where others follow.
_SHOWN = re.compile(r"(https?://[^/?#@\\\s]+(?=[/?]|$))(/[a-z-]{1,16}(?=/[^/?#]))?")
_SHOWN_HASH_BYTES = 4
_CONTROL_OR_SPACE = re.compile(r"[\x00-\x20\x7f]")


_NOTHING_ALLOWED = AllowList()


class UrlRefusedError(ValueError):
    """
    A URL breaks a rule. The message names the rule, for the person who wrote the URL.
    """


@dataclass(frozen=True, slots=True, kw_only=True)
class UrlRules:
    """
    Exceptions from the rules that an operator's settings make.
    """

    allow_http: bool = False
    allow: AllowList = _NOTHING_ALLOWED
    extra_ports: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """
    A URL that has passed the rules. Built by `parse_url`.

    `host` is in lower case and without brackets; `authority` is what goes into `Host`; `target` is
    path and query as they go on the wire, and stays out of the repr since both may be the secret
    by which a receiver knows its callers; `endpoint` always names the port.
    """

    scheme: str
    host: str
    port: int
    authority: str
    target: str = field(repr=False)
    endpoint: str

    @property
    def text(self) -> str:
        """
        The whole URL in its normal form, a secret: see `shown_url`.
        """
        return f"{self.scheme}://{self.authority}{self.target}"


_NO_EXCEPTIONS = UrlRules()


def parse_url(text: str, rules: UrlRules = _NO_EXCEPTIONS) -> Url:
    """
    Parse a customer's URL of at most 2048 characters. Raises `UrlRefusedError`.

    HTTPS only, unless the rules allow plain HTTP. An entry of the allow-list lifts the rules on
    hosts and ports for its destination, and no other rule.
    """
    _check_text(text)
    scheme, rest = _scheme(text, rules)
    authority, target = _authority(rest)
    host, port = _host_and_port(authority, scheme)
    _check_destination(host, port, scheme, rules)

    bracketed = f"[{host}]" if ":" in host else host
    shown_authority = bracketed if port == _DEFAULT_PORTS[scheme] else f"{bracketed}:{port}"
    return Url(
        scheme=scheme,
        host=host,
        port=port,
        authority=shown_authority,
        target=target if target.startswith("/") else f"/{target}",
        endpoint=f"{scheme}://{bracketed}:{port}",
    )


def normal_url(text: str, rules: UrlRules) -> str:
    """
    Return the normal form of a URL, by which it is hashed; *text* itself if it breaks a rule.
    """
    try:
        return parse_url(text, rules).text
    except UrlRefusedError:
        return text


def same_endpoint(one: str, other: str, rules: UrlRules) -> bool:
    """
    Tell whether two URLs are one, or keep the rules and have the same scheme, host and port.
    """
    try:
        return one == other or parse_url(one, rules).endpoint == parse_url(other, rules).endpoint
    except UrlRefusedError:
        return False


def shown_url(text: str, url_hash: bytes) -> str:
    """
    Return what anybody may see of the URL *text*, whose keyed hash is *url_hash*.

    For many receivers the path is the secret. So shown are scheme, host and port, the first
    segment of the path if it is a plain word and another one follows, and eight hexadecimal
    digits of the hash, which tell two URLs apart: `https://example.com/services/…#1f3c09ab`.
    """
    begin = _SHOWN.match(text)
    return f"{begin[0] if begin else ''}/…#{url_hash[:_SHOWN_HASH_BYTES].hex()}"


def _check_text(text: str) -> None:
    """
    Refuse texts that no URL may contain.
    """
    if not text:
        raise UrlRefusedError("the URL is empty")
    if len(text) > MAX_URL:
        raise UrlRefusedError(f"the URL is longer than {MAX_URL} characters")
    if _CONTROL_OR_SPACE.search(text):
        raise UrlRefusedError("the URL holds a space or a control character")
    if not text.isascii():
        raise UrlRefusedError(
            "the URL holds a character outside ASCII; write a host as xn-- and percent-encode paths"
        )
    if "\\" in text:
        raise UrlRefusedError("the URL holds a backslash")


def _scheme(text: str, rules: UrlRules) -> tuple[str, str]:
    """
    Split off the scheme, in lower case.
    """
    match = _SCHEME.match(text)
    scheme = match[1].lower() if match else ""
    if match and (scheme == "https" or (scheme == "http" and rules.allow_http)):
        return scheme, text[match.end() :]
    if rules.allow_http:
        raise UrlRefusedError("the URL must begin with https:// or http://")
    raise UrlRefusedError("the URL must begin with https://")


def _authority(rest: str) -> tuple[str, str]:
    """
    Split what follows the scheme into authority and target.
    """
    if "#" in rest:
        raise UrlRefusedError("the URL has a fragment")
    match = _AUTHORITY.match(rest)
    if match is None or not match[1]:
        raise UrlRefusedError("the URL names no host")
    target = rest[match.end() :]
    if not _TARGET.fullmatch(target):
        raise UrlRefusedError("the path or the query holds a character that must be encoded")
    return match[1], target


def _host_and_port(authority: str, scheme: str) -> tuple[str, int]:
    """
    Split an authority; the host comes back in lower case, an IPv6 address in its short form.
    """
    if "@" in authority:
        raise UrlRefusedError("the URL holds credentials; use a credential instead")
    if "%" in authority:
        raise UrlRefusedError("the host holds a percent sign")
    match = _HOST_AND_PORT.fullmatch(authority)
    if match is None:
        raise UrlRefusedError("the host and port cannot be read")
    literal, name, port = match[1], match[2], match[3]
    if port is not None and not (_PORT.fullmatch(port) and int(port) <= _LAST_PORT):
        raise UrlRefusedError("the port is not a number from 1 to 65535")
    host = name.lower() if literal is None else _short_v6(literal)
    return host, _DEFAULT_PORTS[scheme] if port is None else int(port)


def _short_v6(literal: str) -> str:
    """
    Write an IPv6 address, as it stood in brackets, in its short form.
    """
    try:
        return str(IPv6Address(literal))
    except AddressValueError:
        raise UrlRefusedError("the host in brackets is not an IPv6 address") from None


def _check_destination(host: str, port: int, scheme: str, rules: UrlRules) -> None:
    """
    Apply the rules on hosts and ports, unless the allow-list lifts them.
    """
    if rules.allow.has_host(host, port) or rules.allow.has_address(host, port):
        return
    _check_host(host)
    if port == _DEFAULT_PORTS[scheme] or port in _LOW_PORTS or port in rules.extra_ports:
        return
    if port < _FIRST_USER_PORT or port in _REFUSED_PORTS:
        raise UrlRefusedError(f"port {port} is not allowed")


def _check_host(host: str) -> None:
    """
    Refuse names that cannot be public, and addresses that are not.
    """
    if len(host) > MAX_HOST:
        raise UrlRefusedError(f"the host is longer than {MAX_HOST} characters")
    labels = host.split(".")
    if ":" in host or _NUMERIC.fullmatch(labels[-1]):
        _check_literal(host)
        return
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefusedError("the host is not a valid name")
    if labels[-1] in _SPECIAL_NAMES:
        raise UrlRefusedError(f"names under .{labels[-1]} are not public")
    if len(labels) == 1:
        raise UrlRefusedError("the host is a single label, not a public name")


def _check_literal(host: str) -> None:
    """
    Refuse an address that is not public, and an IPv4 address in another spelling.
    """
    if ":" not in host:
        try:
            IPv4Address(host)
        except AddressValueError:
            raise UrlRefusedError("the host is not a valid IPv4 address") from None
    if why_forbidden(host):
        raise UrlRefusedError("the host is not a public address")
