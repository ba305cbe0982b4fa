"""Who may use page and feed: requests to one of our host names, from one of our pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from awm_crank.viewer.access import Access

PAGE = Access("127.0.0.1", ["arena.example", "Sub.Arena.example"])


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8766", "localhost", "[::1]:8766", "10.0.0.7:80", "ARENA.example", "sub.arena.example:1"]
)
def test_names_of_ours(host: str) -> None:
    """Loopback names, addresses and configured names are accepted, in any case and with any port."""
    assert PAGE.refuses(host, None, same_port=True) == ""


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "arena.example.evil", "xarena.example", "0x7f.1", "[::1"]
)
def test_names_of_others(host: str) -> None:
    """Any other host name is refused, since someone must have pointed it here."""
    assert "not known by that name" in PAGE.refuses(host, None, same_port=False)


@pytest.mark.parametrize(
    ("origin", "page", "feed"),
    [
        ("http://127.0.0.1:8766", True, True),
        ("http://localhost:5173", False, True),
        ("https://arena.example", False, True),
        ("https://evil.example", False, False),
        ("https://10.0.0.8", False, False),
        ("null", False, False),
        ("file://", False, False),
        ("http://[", False, False),
        ("", False, False),
    ],
)
def test_origins(origin: str, page: bool, feed: bool) -> None:
    """The page's own origin is always accepted; the feed also accepts pages of this machine and of the named sites."""
    host = "127.0.0.1:8766"
    assert (PAGE.refuses(host, origin, same_port=True) == "") is page
    assert (PAGE.refuses(host, origin, same_port=False) == "") is feed


def test_pages_without_an_origin() -> None:
    """Pages that are opened as files may read the feed where `null` is named."""
    assert Access("localhost", ["null"]).refuses("localhost", "null", same_port=False) == ""


@given(st.text(max_size=40), st.none() | st.text(max_size=40), st.booleans())
def test_any_headers(host: str, origin: str | None, same_port: bool) -> None:
    """Any headers get an answer."""
    assert isinstance(PAGE.refuses(host, origin, same_port=same_port), str)
