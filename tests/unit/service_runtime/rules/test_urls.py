"""
What the text of a customer's URL must look like.
"""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_runtime.rules.addresses import AllowList
from service_runtime.rules.urls import UrlRefusedError, UrlRules, parse_url, shown_url

_LINES = (Path(__file__).parents[3] / "data" / "hostile_urls.tsv").read_text("utf-8").split("\n")
_ROWS = [line.split("\t") for line in _LINES[1:] if line]

_PRODUCTION = UrlRules()
_DEVELOPMENT = UrlRules(
    allow_http=True,
    allow=AllowList.parse(["127.0.0.0/8:*", "[::1/128]:*", "localhost:*", "receiver:8443"]),
)


def reason(text: str, rules: UrlRules = _PRODUCTION) -> str:
    """
    The words with which a URL is refused; empty if it is not.
    """
    try:
        parse_url(text, rules)
    except UrlRefusedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(("group", "url", "answers", "at_write", "at_connect"), _ROWS)
def test_hostile_urls_at_write(
    group: str, url: str, answers: str, at_write: str, at_connect: str
) -> None:
    """
    Every hostile URL is refused when it is written, where its text alone shows the harm.
    """
    del group, answers, at_connect

    assert ("refused" if reason(json.loads(url)) else "accepted") == at_write


def test_parts_of_a_url() -> None:
    """
    A URL comes apart into what the sender, the endpoint queues and the logs need.
    """
    url = parse_url("HTTPS://Hooks.Acme.com:8443/orders?key=s3cret")

    assert (url.scheme, url.host, url.port) == ("https", "hooks.acme.com", 8443)
    assert url.authority == "hooks.acme.com:8443"
    assert url.target == "/orders?key=s3cret"
    assert url.endpoint == "https://hooks.acme.com:8443"
    assert url.text == "https://hooks.acme.com:8443/orders?key=s3cret"


@pytest.mark.parametrize(
    ("text", "target", "endpoint"),
    [
        ("https://a.com", "/", "https://a.com:443"),
        ("https://a.com:443/x", "/x", "https://a.com:443"),
        ("https://a.com?x=1", "/?x=1", "https://a.com:443"),
        ("https://a.com/?", "/?", "https://a.com:443"),
        ("https://[2606:4700:0:0::1111]/x", "/x", "https://[2606:4700::1111]:443"),
    ],
)
def test_normal_forms(text: str, target: str, endpoint: str) -> None:
    """
    The default port, an empty path and the long form of an IPv6 address leave no trace.
    """
    url = parse_url(text)

    assert (url.target, url.endpoint) == (target, endpoint)


def test_repr_hides_path_and_query() -> None:
    """
    Path and query may be secrets, so the repr of a URL shows neither.
    """
    assert "s3cret" not in repr(parse_url("https://a.com/s3cret?key=s3cret"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://a.com/", "https://a.com/…"),
        ("https://a.com", "https://a.com/…"),
        ("https://a.com:8443/hook", "https://a.com:8443/…"),
        ("http://[2606:4700::1111]:8080/in/x", "http://[2606:4700::1111]:8080/in/…"),
        ("https://a.com/services/T01/B02/key", "https://a.com/services/…"),
        ("https://a.com/web-hooks/x?key=y", "https://a.com/web-hooks/…"),
        ("https://a.com/abcdefghijklmnop/x", "https://a.com/abcdefghijklmnop/…"),
        ("https://a.com/abcdefghijklmnopq/x", "https://a.com/…"),
        ("https://a.com/only", "https://a.com/…"),
        ("https://a.com/only/", "https://a.com/…"),
        ("https://a.com/only//", "https://a.com/…"),
        ("https://a.com/only/?key=y", "https://a.com/…"),
        ("https://a.com/only?key=a/b", "https://a.com/…"),
        ("https://a.com?key=/in/x", "https://a.com/…"),
        ("https://a.com/v2/x", "https://a.com/…"),
        ("https://a.com/Services/x", "https://a.com/…"),
        ("https://a.com/in%2Fx/y", "https://a.com/…"),
        ("https://a.com//in/x", "https://a.com/…"),
        ("https://user:key@a.com/in/x", "/…"),
        ("ftp://a.com/in/x", "/…"),
        ("no url", "/…"),
        ("", "/…"),
    ],
)
def test_what_is_shown_of_a_url(text: str, shown: str) -> None:
    """
    Only a plain first segment before others is shown of a path, and nothing of a query.
    """
    assert shown_url(text, bytes.fromhex("1f3c09ab77")) == f"{shown}#1f3c09ab"


@given(
    st.text("abcdefghijklmnopqrstuvwxyz-0123456789", min_size=17),
    st.lists(st.sampled_from(["in", "a", "", "v2"]), max_size=3),
)
def test_no_secret_segment_is_shown(secret: str, before: list[str]) -> None:
    """
    Wherever a long segment stands in a path, it is not shown.
    """
    assert secret not in shown_url("/".join(["https://a.com", *before, secret, "x"]), b"abcd")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "the URL is empty"),
        ("https://a.com/" + "x" * 2035, "the URL is longer than 2048 characters"),
        ("https://a.com/x\n", "the URL holds a space or a control character"),
        ("https://münchen.de/", "outside ASCII"),
        ("https://a.com\\@b.com/", "the URL holds a backslash"),
        ("http://a.com/", "the URL must begin with https://"),
        ("https:///x", "the URL names no host"),
        ("https://a.com/#x", "the URL has a fragment"),
        ("https://u:p@a.com/", "the URL holds credentials"),
        ("https://a%2ecom/", "the host holds a percent sign"),
        ("https://a.com:b/", "the port is not a number"),
        ("https://a.com:65536/", "the port is not a number from 1 to 65535"),
        ("https://[1.2.3.4]/", "not an IPv6 address"),
        ("https://127.1/", "the host is not a valid IPv4 address"),
        ("https://10.0.0.1/", "the host is not a public address"),
        ("https://a.internal/", "names under .internal are not public"),
        ("https://receiver/", "the host is a single label"),
        ("https://-a.com/", "the host is not a valid name"),
        ("https://" + "a." * 126 + "com/", "the host is longer than 253 characters"),
        ("https://a.com:5432/", "port 5432 is not allowed"),
        ("https://a.com/|", "must be encoded"),
    ],
)
def test_reasons(text: str, words: str) -> None:
    """
    A refusal says precisely what is wrong.
    """
    assert words in reason(text)


def test_longest_url() -> None:
    """
    A URL of exactly 2048 characters is accepted.
    """
    assert reason("https://a.com/" + "x" * 2034) == ""


@pytest.mark.parametrize(
    "text",
    [
        "http://localhost:9000/hook",
        "http://127.0.0.1/",
        "https://127.8.8.8:5432/",
        "http://[::1]:8000/",
        "https://receiver:8443/x",
        "http://example.com/",
    ],
)
def test_allow_list_lifts_host_and_port_rules(text: str) -> None:
    """
    An operator's entries lift the rules on hosts and ports for their destinations.
    """
    assert reason(text) != ""
    assert reason(text, _DEVELOPMENT) == ""


@pytest.mark.parametrize(
    "text",
    [
        "https://receiver:8444/",
        "https://10.0.0.1/",
        "https://127.1/",
        "https://u@localhost/",
        "http://localhost/#x",
        "ftp://localhost/",
    ],
)
def test_allow_list_lifts_nothing_else(text: str) -> None:
    """
    Another port, another address and every rule on the text stay refused.
    """
    assert reason(text, _DEVELOPMENT) != ""


def test_extra_ports() -> None:
    """
    An operator may allow a port for every destination.
    """
    assert reason("https://a.com:80/", UrlRules(extra_ports=frozenset({80}))) == ""


@given(st.text(alphabet=st.sampled_from("https://:@[]%.0x1a\\#?\x00 é-_~"), max_size=60))
def test_anything_is_a_url_or_refused(tail: str) -> None:
    """
    No text raises anything but a refusal, and what passes reads the same the second time.
    """
    for text in (tail, f"https://{tail}"):
        if reason(text, _DEVELOPMENT) == "":
            url = parse_url(text, _DEVELOPMENT)
            assert parse_url(url.text, _DEVELOPMENT) == url
