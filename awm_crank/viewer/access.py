"""Decides which browsers may use the page and the feed: those that use one of our host names, from one of our pages.

A browser sends along where a request goes (Host) and which page makes it (Origin). A stranger's page can make requests
to the loopback address of whoever opens it, and its name can be made to lead there (DNS rebinding). Both are refused.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp.http_exceptions import HttpProcessingError

LOGGER = logging.getLogger("awm_crank.viewer")
"""aiohttp's servers of the page and the feed log here. A request that is no HTTP is answered and not logged: aiohttp
writes a traceback for each, and any stranger could fill the log with them."""
LOGGER.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))

_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class Access:
    """The rule for one server.

    Args:
        host: the address that it listens on.
        names: further host names under which it is reached, such as a reverse proxy's; also the sites whose pages may
            read the feed. `null` stands for pages without an origin, such as files.
    """

    def __init__(self, host: str, names: Iterable[str] = ()) -> None:
        self._names = {name.lower() for name in (*names, host, *_LOOPBACK)}

    def refuses(self, host: str, origin: str | None, *, same_port: bool) -> str:
        """Why a request is refused; empty when it is allowed.

        Args:
            host: its Host header.
            origin: its Origin header; None where there is none, as outside of browsers.
            same_port: whether its page must come from this very server, not only from the same host.
        """
        name = _name(host)
        if not (name in self._names or _is_address(name)):
            return "this server is not known by that name"
        if origin is None:
            return ""
        if origin == "null":
            return "" if "null" in self._names else "pages without an origin are not allowed"
        try:
            parts = urlsplit(origin)
            page = (parts.hostname or "").lower()
        except ValueError:
            return "the Origin header cannot be read"
        if parts.netloc.lower() == host.lower():
            return ""
        if not same_port and (page == name or page in self._names):
            return ""
        return "pages of another origin are not allowed"


def _name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    # A name can be made to lead anywhere, an address cannot.
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
