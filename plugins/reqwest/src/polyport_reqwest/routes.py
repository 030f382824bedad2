"""Where requests go: straight to their host or through a proxy, in clear or in TLS. Opens nothing but TLS files."""

from __future__ import annotations

import base64
import os
import re
import ssl
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from polyport.errors import BadRequestError, PolyportError
from polyport.transport import TransportOptions, proxy_for
from polyport_reqwest.tls import tls_context

#: A URL that goes on the wire as it stands: no user, no fragment, nothing left to encode.
PLAIN = re.compile(r"(https?://[a-zA-Z0-9.-]+(?::\d+)?|https?://\[[0-9a-fA-F:.]+\](?::\d+)?)(/[!$-~]*)?$")
#: What a target may have besides letters and digits; the rest is percent-encoded, and what is already stays so.
SAFE = "/%:@!$&'()*+,;=~-._?[]|"
PORTS = {"http": 80, "https": 443, "socks5": 1080, "socks5h": 1080}
#: URLs that are remembered, and origins; those may differ in every call, and these in every image.
MOST = 1024


class Address(NamedTuple):
    """A host and port to be looked up."""

    host: str
    port: int


class Proxy:
    """A proxy: `scheme` is http, https or socks5. Its password stays out of its repr."""

    __slots__ = ("address", "basic", "password", "scheme", "tls", "user")

    def __init__(self, scheme: str, address: Address, user: str, password: str, tls: ssl.SSLContext | None) -> None:
        self.scheme, self.address, self.user, self.password, self.tls = scheme, address, user, password, tls
        self.basic = f"proxy-authorization: {basic(user, password)}\r\n" if user or password else ""


class Route:
    """The way to one origin. `tls` is what the host is spoken to with, `tunnel` the proxy that only passes on bytes.

    `first` is who is connected to: the host itself, or a proxy; `dialled` is that, or the one address that a request
    for the host is kept to. `key` is whose connections may be used again.
    """

    __slots__ = (
        "address",
        "dialled",
        "first",
        "first_tls",
        "host_line",
        "key",
        "origin",
        "proxy_line",
        "tls",
        "tunnel",
    )

    def __init__(self, origin: str, address: Address, tls: ssl.SSLContext | None, proxy: Proxy | None) -> None:
        self.origin, self.address, self.tls = origin, address, tls
        self.host_line = f"host: {origin.partition('://')[2]}\r\n"
        self.first, self.first_tls, self.tunnel, self.proxy_line = address, tls, None, ""
        if proxy is not None:
            self.first, self.first_tls = proxy.address, proxy.tls
            if tls is None and proxy.scheme != "socks5":
                self.proxy_line = proxy.basic
            else:
                self.tunnel = proxy
        self.dialled, self.key = self.first, origin

    tunnel: Proxy | None

    def at(self, address: str) -> Route:
        """Return the way to the same origin at one of its host's addresses; through a proxy, the same way."""
        if self.first is not self.address:
            return self
        pinned = Route(self.origin, self.address, self.tls, None)
        pinned.dialled, pinned.key = Address(address, self.address.port), f"{self.origin}/{address}"
        return pinned

    @property
    def absolute(self) -> bool:
        """Say whether a proxy reads the requests, and wants to see whole URLs."""
        return self.first is not self.address and self.tunnel is None


class Way:
    """Where one URL leads. `user_line` is the header that its user and password ask for.

    `heads` is message.py's: what went there lately is written only once.
    """

    __slots__ = ("heads", "route", "target", "user_line")

    def __init__(self, route: Route, target: str, user_line: str) -> None:
        self.route, self.target, self.user_line = route, target, user_line
        self.heads: dict[tuple[object, ...], bytes] = {}

    def __repr__(self) -> str:
        return f"<Way to {self.route.origin}>"  # its query and its user may be secret


class Routes:
    """Finds the way. Raises PolyportError at once for TLS files that cannot be used."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._tls: ssl.SSLContext | None = None
        self._routes: dict[str, Route] = {}
        self._ways: dict[str, Way] = {}
        named = options.trust_env and any(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
        if options.cert is not None or not isinstance(options.verify, bool) or (options.verify and named):
            self._tls = tls_context(options)  # otherwise at the first https: it takes 20 ms

    def find(self, url: str) -> Way:
        """Return where a URL leads. Raises BadRequestError for one that is none."""
        way = self._ways.get(url)
        if way is None:
            if len(self._ways) >= MOST:
                self._ways.clear()
            way = self._ways[url] = self._find(url)
        return way

    def _find(self, url: str) -> Way:
        try:
            found = PLAIN.match(url)
            origin, target, user_line = (found[1], found[2] or "/", "") if found else _parse(url)
            route = self._routes.get(origin)
            if route is None:
                if len(self._routes) >= MOST:
                    self._routes.clear()
                route = self._routes[origin] = self._open(origin)
        except ValueError as error:
            raise no_address(url, error) from None  # urlsplit quotes what it was given
        return Way(route, origin + target if route.absolute else target, user_line)

    def _open(self, origin: str) -> Route:
        parts = urlsplit(origin)
        secure = parts.scheme == "https"
        address = Address(parts.hostname or "", parts.port or PORTS[parts.scheme])
        given = proxy_for(f"{origin}/", self._options)
        proxy = None if given is None else self._proxy(given)
        return Route(origin, address, self._context() if secure else None, proxy)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = tls_context(self._options)
        return self._tls

    def _proxy(self, given: str) -> Proxy:
        """Read a proxy's URL. The error is not chained: it has the proxy's password."""
        try:
            parts = urlsplit(given)
            port = PORTS[parts.scheme] if parts.port is None else parts.port
            if parts.hostname and port:
                scheme, address = parts.scheme.removesuffix("h"), Address(parts.hostname, port)
                user, password = unquote(parts.username or ""), unquote(parts.password or "")
                return Proxy(scheme, address, user, password, self._context() if scheme == "https" else None)
        except (KeyError, ValueError):
            pass
        shown = given.rpartition("@")[2]
        raise PolyportError(f"The proxy {shown!r} cannot be used: it is not a URL of http, https or socks5")


def basic(user: str, password: str) -> str:
    """Return what Basic authentication says, https://www.rfc-editor.org/rfc/rfc7617"""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def no_address(url: str, why: object) -> BadRequestError:
    """Return the error for a URL that is none."""
    shown = re.sub(r"//[^/@\s]*@", "//***@", url.partition("?")[0][:200])
    return BadRequestError(f"The address {shown!r} is not a URL that can be called: {why}")


def host_of(url: str) -> str:
    """Return a URL's host and port: all of it that an error may show."""
    return url.partition("://")[2].partition("/")[0].partition("?")[0].rpartition("@")[2] or url[:80]


def _parse(url: str) -> tuple[str, str, str]:
    """Return the origin, target and header of a URL that is not plain. Raises ValueError."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https"):
        raise ValueError("it begins with neither http:// nor https://")
    host = (parts.hostname or "").encode("idna").decode("ascii")
    if not host or not re.fullmatch(r"[0-9a-fA-F:.]+|[a-z0-9._-]+", host):
        raise ValueError("it has no host")
    name = f"[{host}]" if ":" in host else host
    origin = f"{parts.scheme}://{name}" + ("" if parts.port is None else f":{parts.port}")
    target = quote(parts.path, SAFE) or "/"
    if parts.query:
        target += f"?{quote(parts.query, SAFE)}"
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    return origin, target, f"authorization: {basic(user, password)}\r\n" if user or password else ""
