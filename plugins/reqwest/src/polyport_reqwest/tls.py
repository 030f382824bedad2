"""What `verify` and `cert` mean: whom to trust, and who we are. Said to wreq for the long way, to ssl for the short."""

from __future__ import annotations

import os
import re
import ssl
from pathlib import Path
from typing import Any

from wreq import CertStore, Identity
from wreq.exceptions import BuilderError

from polyport.errors import PolyportError
from polyport.transport import TransportOptions, tls_context as usual_context
from polyport_reqwest.sockets import TlsSocket

CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)
KEY = re.compile(r"-----BEGIN ([A-Z ]*)PRIVATE KEY-----.+?-----END \1PRIVATE KEY-----", re.DOTALL)


def tls_settings(options: TransportOptions) -> dict[str, Any]:
    """Return wreq's settings for TLS. Raises PolyportError for a file that cannot be used, or an SSLContext."""
    roots = _roots(options)
    settings: dict[str, Any] = {"tls_verify": CertStore.from_pem_certs(roots) if isinstance(roots, list) else roots}
    if options.cert is not None:
        settings["tls_identity"] = _identity(options.cert)
    return settings


def tls_context(options: TransportOptions) -> ssl.SSLContext:
    """Return the same for ssl, of a server's HTTP/1.1."""
    roots = _roots(options)
    if isinstance(roots, list):
        context = ssl.create_default_context(cadata="\n".join(roots))
    else:
        context = usual_context(TransportOptions(verify=roots, trust_env=False))
    if options.cert is not None:
        context.load_cert_chain(*((options.cert,) if isinstance(options.cert, str) else options.cert))
    context.sslsocket_class = TlsSocket
    context.set_alpn_protocols(["http/1.1"])
    return context


def _roots(options: TransportOptions) -> bool | list[str]:
    """Return whom to trust: certificates that are named take the place of the usual ones, as with httpx."""
    verify = options.verify
    if isinstance(verify, ssl.SSLContext):
        raise PolyportError(
            "The reqwest transport brings its own TLS and cannot use an SSLContext. Give verify the path of a CA file "
            'and cert the path of a certificate, or choose the other transport: Client(transport="httpx")'
        )
    if verify is True and options.trust_env:
        verify = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR") or True
    return _certificates(Path(verify)) if isinstance(verify, str) else verify


def _certificates(path: Path) -> list[str]:
    files = sorted(file for file in path.iterdir() if file.is_file()) if path.is_dir() else [path]
    found = [certificate for file in files for certificate in CERTIFICATE.findall(_read(file))]
    if not found:
        raise PolyportError(f"No PEM certificate in {str(path)!r}, which verify (or SSL_CERT_FILE) names")
    return list(dict.fromkeys(found))


def _identity(cert: str | tuple[str, str]) -> Identity:
    certificate_file, key_file = (cert, cert) if isinstance(cert, str) else cert
    chain = CERTIFICATE.findall(_read(Path(certificate_file)))
    key = KEY.search(_read(Path(key_file)))
    if not chain or key is None:
        missing, where = ("certificate", certificate_file) if not chain else ("private key", key_file)
        raise PolyportError(f"No PEM {missing} in {where!r}, which cert names")
    if key[1]:  # RSA, EC, ENCRYPTED
        raise PolyportError(
            f"The key in {key_file!r} is in {key[1].strip()} form, and the reqwest transport reads plain PKCS#8. Try: "
            f"openssl pkcs8 -topk8 -nocrypt -in {key_file} -out key.pem"
        )
    try:
        return Identity.from_pkcs8_pem("\n".join(chain).encode(), key[0].encode())
    except BuilderError as error:
        raise PolyportError(f"The certificate in {certificate_file!r} cannot be used: {error}") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="latin-1")  # PEM allows any text around its blocks
    except OSError as error:
        raise PolyportError(f"The TLS file {str(path)!r} cannot be read: {error.strerror}") from error
