"""The URL of an RPC, WebSocket or MQTT endpoint, which prints without its secrets.

Providers put their keys into the URL: as a user and password, as a query (`?api-key=…`) or as a part of the path
(`/v2/…`). An `Endpoint` holds the whole URL but shows only scheme, host and port, however it is printed:

    >>> endpoint = Endpoint.parse("https://user:secret@rpc.example:8899/?api-key=abcdef")
    >>> f"{endpoint}"
    'https://rpc.example:8899/...'
    >>> endpoint.scrub("403: the key abcdef is not known")
    '403: the key *** is not known'
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from .errors import ConfigError

HTTP: Final = ("http", "https")
WEBSOCKET: Final = ("ws", "wss")
MQTT: Final = ("mqtt", "mqtts")

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443, "mqtt": 1883, "mqtts": 8883}
_HOST_NAME = re.compile(
    r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?)*\.?"
)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>]+")
_MASK = "***"
# Shorter words would also hide what a message is about: `?commitment=1` must not mask every digit 1.
_SHORTEST_VALUE = 4
_SHORTEST_PATH = 8


class Endpoint:
    """One endpoint. Equal when the whole URLs are equal.

    `scheme`, `host` (without brackets) and `port` (the scheme's own where the URL names none) are public; the rest is
    kept for `reveal`.
    """

    __slots__ = ("_parts", "_secrets", "_url", "host", "port", "scheme")

    def __init__(self, parts: SplitResult, url: str, port: int) -> None:
        self._url = url
        self._parts = parts
        self.scheme = parts.scheme
        self.host = parts.hostname or ""
        self.port = port
        self._secrets = _secrets(parts)

    @classmethod
    def parse(cls, url: str | Endpoint, schemes: tuple[str, ...] = HTTP, *, setting: str = "endpoint") -> Endpoint:
        """Reads a URL.

        Args:
            url: the text, or an `Endpoint`, which is checked for its scheme only.
            schemes: the schemes that are allowed.
            setting: what the error names, such as `chain.base_http`.

        Raises:
            ConfigError: this is not a URL of one of the schemes, or no host or port can be what it names. The message
                shows none of its secrets.
        """
        if isinstance(url, Endpoint):
            if url.scheme not in schemes:
                raise _bad(setting, schemes, url.scheme + "://")
            return url
        if not url.isascii() or not url.isprintable() or " " in url:
            raise _bad(setting, schemes, "blanks, control characters or letters beyond ASCII in it")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            # urlsplit's own words about brackets and ports; they can repeat a part of the URL
            problem = "a port beyond 65535" if "range" in str(error) else "a host or port that cannot be read"
            raise _bad(setting, schemes, problem) from None
        if parts.scheme not in schemes:
            raise _bad(setting, schemes, f"{parts.scheme}://" if "://" in url else "no scheme")
        if not _possible_host(parts.hostname or ""):
            raise _bad(setting, schemes, "no host" if not parts.hostname else "a host name that cannot exist")
        if port == 0:
            raise _bad(setting, schemes, "port 0")
        if parts.fragment:
            raise _bad(setting, schemes, "a fragment (#)")
        return cls(parts, url, port or _DEFAULT_PORTS[parts.scheme])

    def reveal(self) -> str:
        """The whole URL with its secrets: to connect with, never to print."""
        return self._url

    @property
    def authority(self) -> str:
        """`host:port` as the URL spells it, without user and password: the value of a Host header."""
        return self._parts.netloc.rpartition("@")[2]

    @property
    def target(self) -> str:
        """Path and query as a request line has them. Secret."""
        return (self._parts.path or "/") + (f"?{self._parts.query}" if self._parts.query else "")

    @property
    def credentials(self) -> tuple[str, str] | None:
        """User and password, unquoted; None where the URL names no user. Secret."""
        if self._parts.username is None:
            return None
        return unquote(self._parts.username), unquote(self._parts.password or "")

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in ("https", "wss", "mqtts")

    @property
    def secret(self) -> bool:
        """Whether the URL has more than scheme, host and port, any of which may be a key."""
        return "@" in self._parts.netloc or self.target != "/"

    def websocket(self, *, setting: str = "chain.rollup_ws") -> Endpoint:
        """The WebSocket endpoint that goes with this HTTP endpoint: the same host, the port one higher.

        Raises:
            ConfigError: the URL names no port, so that nothing can be derived; the hint names `setting`.
        """
        if self._parts.port is None:
            raise ConfigError("no WebSocket endpoint", found=str(self), hint=f"set {setting}")
        user, at, _ = self._parts.netloc.rpartition("@")
        host = self.authority.rpartition(":")[0]
        parts = self._parts._replace(
            scheme="wss" if self.tls else "ws", netloc=f"{user}{at}{host}:{self._parts.port + 1}"
        )
        return Endpoint.parse(parts.geturl(), WEBSOCKET, setting=setting)

    def scrub(self, text: str) -> str:
        """`text` with the URL and each of its secrets masked: for what others say, such as an endpoint's own error."""
        text = text.replace(self._url, str(self))
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return redact(text)

    def __str__(self) -> str:
        more = "/..." if self.target != "/" else ""
        return f"{self.scheme}://{self.authority}{more}"

    def __repr__(self) -> str:
        return f"Endpoint({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Endpoint) and self._url == other._url

    def __hash__(self) -> int:
        return hash(self._url)

    def __reduce__(self) -> tuple[object, ...]:
        # a copy in another process is parsed there; the default would fail on the slots
        return (Endpoint.parse, (self._url, (self.scheme,)))


def redact(text: str) -> str:
    """`text` with every URL in it cut down to scheme, host and port: the last guard before a line is written."""
    return _URL.sub(lambda match: _shown(match[0]), text) if "://" in text else text


def _shown(url: str) -> str:
    scheme, _, rest = url.partition("://")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    more = "" if rest in (authority, authority + "/") else "/..."
    return f"{scheme}://{authority.rpartition('@')[2]}{more}"


def _bad(setting: str, schemes: tuple[str, ...], found: str) -> ConfigError:
    named = " or ".join(f"{scheme}://" for scheme in schemes)
    return ConfigError(setting, expected=f"a URL that begins with {named}", found=found, hint="correct the URL")


def _possible_host(host: str) -> bool:
    if ":" in host:
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            return False
        return True
    return len(host) <= 253 and _HOST_NAME.fullmatch(host) is not None


def _secrets(parts: SplitResult) -> list[str]:
    """What is masked in others' texts, the longest first; as the URL spells it and unquoted."""
    found = [parts.username or "", parts.password or ""]
    found += [value for _, value in parse_qsl(parts.query, keep_blank_values=False)]
    found += [value for part in parts.query.split("&") for value in part.split("=")[1:]]
    long = [value for value in found if len(value) >= _SHORTEST_VALUE]
    if "=" not in parts.query and len(parts.query) >= _SHORTEST_VALUE:
        long.append(parts.query)
    long += [segment for segment in parts.path.split("/") if len(segment) >= _SHORTEST_PATH]
    return sorted({*long, *map(unquote, long)}, key=len, reverse=True)
