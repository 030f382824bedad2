"""What every transport shares: its options and protocols, TLS, proxies, and errors of requests that cannot be sent."""

from __future__ import annotations

import os
import re
import ssl
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec

from polyport.errors import BadRequestError, PolyportError
from polyport.flow import HttpReply, HttpRequest

#: How long an idle connection is kept, in seconds: below the 60 s after which load balancers cut one.
KEEP_ALIVE = 30.0
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f\ud800-\udfff]")


class TransportOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach providers.

    `proxy` is one URL for everything; without it the environment's HTTP(S)_PROXY and NO_PROXY hold (`trust_env`).
    `verify`: True, False, a path to a CA file or folder, or an SSLContext. `cert`: a PEM with certificate and key,
    or (certificate, key).
    """

    proxy: str | None = None
    verify: bool | str | ssl.SSLContext = True
    cert: str | tuple[str, str] | None = None
    trust_env: bool = True


class Transport(Protocol):
    """Sends requests, blocking. Safe to use from several threads.

    Where a request has an `address`, that is what is connected to; a proxy, if there is one, does as it does.
    """

    def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply, a stream's with its body open unless it failed. Raises APIConnectionError, Timeout."""

    def close(self) -> None:
        """Close every connection."""


class AsyncTransport(Protocol):
    """Sends requests on one event loop. Cancelling `send` closes its connection. `address` as with `Transport`."""

    async def send(self, request: HttpRequest) -> HttpReply:
        """Return the reply, a stream's with its body open unless it failed. Raises APIConnectionError, Timeout."""

    async def aclose(self) -> None:
        """Close every connection."""


class TransportFactory(Protocol):
    """What an entry point of `polyport.transports` names: a class without arguments."""

    def open(self, options: TransportOptions) -> Transport:
        """Return a blocking transport."""

    def open_async(self, options: TransportOptions) -> AsyncTransport:
        """Return a transport for the running event loop."""


def host_of(url: str) -> str:
    """Return where a URL leads, as errors say it: without what stands before an @."""
    return urlsplit(url).netloc.rpartition("@")[2] or url[:80]


def shorter(limit: float | None, other: float | None) -> float | None:
    """Return the shorter of two limits, None being none."""
    return other if limit is None else limit if other is None else min(limit, other)


def headers_hold(request: HttpRequest) -> bool:
    """Whether an HTTP message can hold every header of a request."""
    return all(_NAME.fullmatch(name) and _is_value(value) for name, value in request.headers.items())


def bad_header(request: HttpRequest) -> BadRequestError:
    """Name the header that no HTTP message can hold; its value may be a key and stays unsaid."""
    wrong = next((n for n, v in request.headers.items() if not (_NAME.fullmatch(n) and _is_value(v))), "a header")
    return BadRequestError(
        f"The header {wrong!r} for {host_of(request.url)} has a character that HTTP headers cannot hold, "
        "such as a line break at its end."
    )


def _is_value(value: object) -> bool:
    return isinstance(value, str) and value == value.strip() and not _CONTROL.search(value)


def tls_context(options: TransportOptions) -> ssl.SSLContext:
    """Return the TLS settings. Raises PolyportError where a CA or certificate file cannot be read."""
    verify = options.verify
    if isinstance(verify, ssl.SSLContext):
        return verify
    try:
        if isinstance(verify, str):
            folder = os.path.isdir(verify)
            context = ssl.create_default_context(cafile=None if folder else verify, capath=verify if folder else None)
        else:
            context = _usual(verify=verify, trust_env=options.trust_env)
        if options.cert is not None:
            context.load_cert_chain(*((options.cert,) if isinstance(options.cert, str) else options.cert))
    except OSError as error:
        raise PolyportError(
            f"The TLS files cannot be read (verify={verify!r}, cert={options.cert!r}): {error}"
        ) from error
    return context


def _usual(*, verify: bool, trust_env: bool) -> ssl.SSLContext:
    """Return the context of certifi's authorities, or of those that SSL_CERT_FILE or SSL_CERT_DIR name."""
    if not verify:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    file, folder = (os.environ.get(name) if trust_env else None for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))
    if file or folder:
        return ssl.create_default_context(cafile=file, capath=folder)
    import certifi

    return ssl.create_default_context(cafile=certifi.where())


def proxy_for(url: str, options: TransportOptions) -> str | None:
    """Return the proxy that a URL goes through, None for a direct connection."""
    if options.proxy is not None:
        return options.proxy
    if not options.trust_env:
        return None
    parts = urlsplit(url)
    if proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    found = proxies.get(parts.scheme) or proxies.get("all")
    return found if found is None or "://" in found else f"http://{found}"
