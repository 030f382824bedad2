#!/opt/polyport/bin/python
"""Exit 0 where the gateway in this container is ready for work: Docker's health check, which needs no curl."""

import http.client
import os
import sys

connection = http.client.HTTPConnection("127.0.0.1", int(os.environ.get("POLYPORT_PORT", "4000")), timeout=4)
try:
    connection.request("GET", "/health/readiness")
    reply = connection.getresponse()
    told = reply.read().decode()
except OSError as error:
    sys.exit(f"the gateway does not answer: {error}")
if reply.status != 200:
    sys.exit(told)
