"""Endpoints: which URLs are accepted, and that no way of printing one shows its secrets."""

from __future__ import annotations

import copy
import json
import logging
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.endpoint import HTTP, WEBSOCKET, Endpoint, redact
from awm_crank.errors import ConfigError

SECRETS = ("hunter22", "abcdef0123", "s3cretpathsegment")
SECRET_URL = "https://user:hunter22@rpc.example:8899/v2/s3cretpathsegment?api-key=abcdef0123"


def leaks(text: str) -> list[str]:
    """The secrets that a text shows."""
    return [secret for secret in SECRETS if secret in text]


@pytest.mark.parametrize(
    ("url", "host", "port", "shown"),
    [
        ("http://127.0.0.1:8899", "127.0.0.1", 8899, "http://127.0.0.1:8899"),
        ("http://127.0.0.1:8899/", "127.0.0.1", 8899, "http://127.0.0.1:8899"),
        ("https://rpc.example", "rpc.example", 443, "https://rpc.example"),
        ("http://[::1]:7799", "::1", 7799, "http://[::1]:7799"),
        (SECRET_URL, "rpc.example", 8899, "https://rpc.example:8899/..."),
    ],
)
def test_parts(url: str, host: str, port: int, shown: str) -> None:
    """A URL gives host and port, prints as scheme, host and port, and reveals the whole only on request."""
    endpoint = Endpoint.parse(url)
    assert (endpoint.host, endpoint.port, str(endpoint), endpoint.reveal()) == (host, port, shown, url)


@pytest.mark.parametrize(
    "url",
    [
        "", "localhost:8899", "ftp://h", "http://", "http://:8899", "http://h:99999", "http://h:0", "http://h:x",
        "http://[::1", "http://[nonsense]/", "http://a b", " http://h", "http://h\n", "http://h/ü", "http://h/#f",
        "http://-h", "http://a..b", "http://" + "a" * 64, "ws://h", "http://h\x00",
    ],
)  # fmt: skip
def test_impossible(url: str) -> None:
    """A text that cannot be an endpoint is refused by the setting's name, without the URL's secrets."""
    with pytest.raises(ConfigError, match=r"chain\.base_http; expected a URL that begins with http://"):
        Endpoint.parse(url, setting="chain.base_http")


@pytest.mark.parametrize("url", [SECRET_URL.replace("8899", "99999"), SECRET_URL + " ", SECRET_URL + "#x"])
def test_refusal_shows_no_secret(url: str) -> None:
    """The error about a URL does not repeat it."""
    with pytest.raises(ConfigError) as caught:
        Endpoint.parse(url)
    assert not leaks(str(caught.value) + repr(caught.value))


def test_no_way_of_printing_shows_a_secret(caplog: pytest.LogCaptureFixture) -> None:
    """str, repr, format, %-formatting, containers and logging all show the same short form."""
    endpoint = Endpoint.parse(SECRET_URL)
    logging.getLogger("test").warning("at %s: %r", endpoint, {"endpoint": endpoint})
    ways = [
        str(endpoint), repr(endpoint), f"{endpoint}", f"{endpoint!r:>60}", "%s" % endpoint, f"{[endpoint]}",  # noqa: UP031
        json.dumps({"endpoint": endpoint}, default=str), caplog.text,
    ]  # fmt: skip
    assert [leaks(way) for way in ways] == [[]] * len(ways)
    assert all("rpc.example" in way for way in ways)


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("the key abcdef0123 is not known", "the key *** is not known"),
        (f"redirect to {SECRET_URL}", "redirect to https://rpc.example:8899/..."),
        ("see ws://user:hunter22@other/x?y", "see ws://other/..."),
        ("/v2/s3cretpathsegment not found", "/v2/*** not found"),
        ("nothing secret in here", "nothing secret in here"),
    ],
)
def test_scrub(said: str, shown: str) -> None:
    """Other programs' texts are shown without the endpoint's secrets and without those of other URLs."""
    assert Endpoint.parse(SECRET_URL).scrub(said) == shown


def test_quoted_secret() -> None:
    """A secret is masked both as the URL spells it and as it reads unquoted."""
    endpoint = Endpoint.parse("https://me:p%40ssword@h/?k=a%2Fbcdef")
    assert endpoint.scrub("p%40ssword p@ssword a%2Fbcdef a/bcdef") == "*** *** *** ***"
    assert endpoint.credentials == ("me", "p@ssword")


def test_copies() -> None:
    """A copy of an endpoint, even in another process, equals the original."""
    endpoint = Endpoint.parse(SECRET_URL)
    assert copy.copy(endpoint) == pickle.loads(pickle.dumps(endpoint)) == endpoint
    assert len({endpoint, Endpoint.parse(SECRET_URL), Endpoint.parse("http://h")}) == 2


def test_websocket() -> None:
    """The WebSocket endpoint has the port one higher, and the same path and secrets."""
    found = Endpoint.parse("https://user:pw@h:1/p?k=v").websocket()
    assert (found.reveal(), found.scheme) == ("wss://user:pw@h:2/p?k=v", "wss")
    with pytest.raises(ConfigError, match=r"view\.ws"):
        Endpoint.parse("https://h").websocket(setting="view.ws")


def test_scheme_of_a_parsed_one() -> None:
    """An endpoint with the wrong scheme is refused."""
    assert Endpoint.parse(Endpoint.parse("http://h"), HTTP).scheme == "http"
    with pytest.raises(ConfigError, match="ws://"):
        Endpoint.parse(Endpoint.parse("http://h"), WEBSOCKET)


@given(st.text())
def test_any_text(url: str) -> None:
    """Any text is an endpoint or raises ConfigError, and can be redacted."""
    redact(url)
    try:
        endpoint = Endpoint.parse(url)
    except ConfigError:
        return
    assert endpoint.host
    assert 0 < endpoint.port < 65536


@given(st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=8, max_size=40))
def test_any_secret(secret: str) -> None:
    """A secret in any place of a URL is shown in no form of it."""
    for url in (f"http://u:{secret}@h", f"http://{secret}@h", f"http://h/?api-key={secret}", f"http://h/{secret}/x"):
        endpoint = Endpoint.parse(url)
        for text in (str(endpoint), repr(endpoint), endpoint.scrub(f"said {secret} and {url}"), redact(f"x {url} y")):
            assert secret not in text.replace("Endpoint('http://h", "")
