"""A server that speaks as much of S3 as is needed, and events to log."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote

import pytest
from local_server import LocalServer

from polyport.observing import Event
from polyport_logs import Logs


def event(number: int, **more: Any) -> Event:
    """An event that can be told from others."""
    fields = {"operation": "chat", "function": "completion", "provider": "fake", "model": "m", "started": 1.7e9}
    return Event(id=f"e{number}", **{**fields, "latency": 0.5, **more})


class Bucket:
    """What a bucket was sent. `refusing` answers 503, `put` counts requests."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.refusing = False
        self.put = 0
        self.url = ""

    def lines(self) -> list[dict[str, Any]]:
        """Return every line of every object."""
        return [json.loads(line) for name in sorted(self.objects) for line in self.objects[name].splitlines()]

    def ids(self) -> list[str]:
        """Return the ids of all lines."""
        return [line["id"] for line in self.lines()]

    def store(self) -> dict[str, Any]:
        """Return the settings that lead here."""
        return {
            "config": {
                "endpoint": self.url,
                "region": "us-east-1",
                "access_key_id": "mine",
                "secret_access_key": "hidden-0123456789",
                "virtual_hosted_style_request": False,
            },
            "client_options": {"allow_http": True},
            "retry_config": {"max_retries": 0},
        }


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    """A bucket on 127.0.0.1."""
    found = Bucket()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_PUT(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.put += 1
            if found.refusing:
                self._answer(503)
                return
            assert self.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=mine/")
            found.objects[unquote(self.path)] = body
            self._answer(200)

        def _answer(self, status: int) -> None:
            self.send_response(status)
            self.send_header("etag", '"x"')
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: Any) -> None:
            """Say nothing."""

    server = LocalServer(Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    found.url = server.address
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def logs() -> Iterator[Callable[..., Logs]]:
    """Make Logs, which are closed with the test."""
    made: list[Logs] = []

    def make(*arguments: Any, **options: Any) -> Logs:
        made.append(Logs(*arguments, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()
