"""TLS: the certificate that the gateway shows, and a renewed one in its place, without a restart.

    general_settings: {ssl_certfile_path: tls.crt, ssl_keyfile_path: tls.key}
    polyport serve --ssl-certfile tls.crt --ssl-keyfile tls.key

Whoever renews a certificate (certbot, cert-manager) puts other files in place of these. Connections that are made later
are shown it; those that are there go on.
"""

from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

import msgspec

from polyport.errors import BadRequestError

log = logging.getLogger("polyport.gateway")

#: How a file lies on the disk: one that was renewed has another time, or is another one.
Version = tuple[int, int, int]


class Files(msgspec.Struct, kw_only=True, frozen=True):
    """A certificate with those that vouch for it, and its key, as PEM; the key may be in the certificate's file."""

    certificate: Path
    key: Path | None = None
    password: str | None = None

    def __repr__(self) -> str:
        return f"Files({str(self.certificate)!r})"


def files(
    certificate: str | None, key: str | None, password: str | None, folder: Path = Path(), place: str = ""
) -> Files | None:
    """Return the files that are named, in a folder where they do not say one; None where no certificate is.

    `place` is where they were named. Raises BadRequestError.
    """
    if certificate is None:
        if key is not None or password is not None:
            raise BadRequestError(f"{place}ssl_keyfile_path is of no use without ssl_certfile_path")
        return None
    folder = folder.absolute()
    return Files(certificate=folder / certificate, key=None if key is None else folder / key, password=password)


def load(files: Files) -> ssl.SSLContext:
    """Return what connections are made with: TLS 1.2 or later. Raises BadRequestError naming the files."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["http/1.1"])
    _fill(context, files)
    return context


def _fill(context: ssl.SSLContext, files: Files) -> None:
    named = f"The certificate {files.certificate}" + ("" if files.key is None else f" with the key {files.key}")
    try:
        # Without a password, OpenSSL would ask at the terminal for one.
        context.load_cert_chain(files.certificate, files.key, lambda: files.password or "")
    except ssl.SSLError as error:
        why = (error.reason or "it is no PEM, or the key is not read by ssl_keyfile_password").replace("_", " ").lower()
        raise BadRequestError(f"{named} cannot be used: {why}") from error
    except OSError as error:
        raise BadRequestError(f"{named} cannot be read: {error.strerror}") from error


class Certificate:
    """A certificate that is shown, and looked after. `context` is what connections are made with."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._seen = self._versions()
        self.context = load(files)

    def look(self) -> None:
        """Show what the files hold now, if others are in their place; what cannot be used is told once, not shown."""
        found = self._versions()
        if found == self._seen:
            return
        self._seen = found
        try:
            load(self._files)  # first by itself: what is half taken up could not be shown
            _fill(self.context, self._files)
        except BadRequestError as error:
            log.error("the certificate was not renewed, the old one is shown: %s", error.message)
            return
        log.info("the certificate was renewed: %s", self._files.certificate)

    def _versions(self) -> tuple[Version, ...]:
        return tuple(_version(path) for path in (self._files.certificate, self._files.key) if path is not None)


def _version(path: Path) -> Version:
    try:
        found = os.stat(path)
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_ino, found.st_size
