"""What `verify` and `cert` mean to the ssl module: whom to trust, and who we are."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path

import msgspec

from polyport.errors import PolyportError
from polyport.transport import TransportOptions, tls_context as usual_context

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def tls_context(options: TransportOptions) -> ssl.SSLContext:
    """Return the settings of TLS; an SSLContext that was given is used as it is. Raises PolyportError."""
    if isinstance(options.verify, ssl.SSLContext):
        return options.verify
    folder = _folder(options)
    if folder is None:
        context = usual_context(options)
    else:
        context = usual_context(msgspec.structs.replace(options, verify=False))  # with cert, if there is one
        context.verify_mode, context.check_hostname = ssl.CERT_REQUIRED, True
        context.load_verify_locations(cadata="\n".join(_certificates(folder)))
    context.set_alpn_protocols(["http/1.1"])
    return context


def _folder(options: TransportOptions) -> Path | None:
    """Return the folder of authorities, if that is what is named. OpenSSL itself reads only files named by a hash."""
    named = options.verify if isinstance(options.verify, str) else None
    if options.verify is True and options.trust_env and not os.environ.get("SSL_CERT_FILE"):
        named = os.environ.get("SSL_CERT_DIR")
    return Path(named) if named and Path(named).is_dir() else None


def _certificates(folder: Path) -> list[str]:
    try:
        texts = [file.read_text(encoding="latin-1") for file in sorted(folder.iterdir()) if file.is_file()]
    except OSError as error:
        raise PolyportError(f"The TLS folder {str(folder)!r} cannot be read: {error.strerror}") from error
    found = [certificate for text in texts for certificate in CERTIFICATE.findall(text)]
    if not found:
        raise PolyportError(f"No PEM certificate in {str(folder)!r}, which verify (or SSL_CERT_DIR) names")
    return list(dict.fromkeys(found))
