#!/opt/polyport/bin/python
"""Exit 0 where the gateway in this container is ready for work: Docker's health check, which needs no curl."""

import http.client
import os
import sys

PORT = int(os.environ.get("POLYPORT_PORT", "4000"))


def ask(connection: http.client.HTTPConnection) -> tuple[int, str]:
    """Return the status and what is told. Raises OSError."""
    connection.request("GET", "/health/readiness")
    reply = connection.getresponse()
    return reply.status, reply.read().decode()


def asked() -> tuple[int, str]:
    """Ask, by TLS where that is what is spoken: this is the same machine, whatever name the certificate has."""
    try:
        return ask(http.client.HTTPConnection("127.0.0.1", PORT, timeout=4))
    except (http.client.HTTPException, ConnectionError) as error:
        if isinstance(error, ConnectionRefusedError):
            raise
    import ssl  # few speak it, and this is run every few seconds

    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return ask(http.client.HTTPSConnection("127.0.0.1", PORT, timeout=4, context=context))


try:
    status, told = asked()
except (OSError, http.client.HTTPException) as error:
    sys.exit(f"the gateway does not answer: {error}")
if status != 200:
    sys.exit(told)
