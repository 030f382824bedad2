"""Fetching what a reply names by URL, over the client's own connections, without its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin

from polyport.border import USER_AGENT
from polyport.errors import APIConnectionError, class_for_status
from polyport.flow import Flow, HttpReply, HttpRequest
from polyport.types.upload import split_data_url

if TYPE_CHECKING:
    from polyport.client import Client

MAX_REDIRECTS = 5
REDIRECTS = frozenset({301, 302, 303, 307, 308})


def fetch(client: Client, url: str) -> bytes:
    """Return the bytes behind a URL (a `data:` URL too). Raises the error of its status."""
    return split_data_url(url)[1] if url.startswith("data:") else client.run(_get(url))


def _get(url: str) -> Flow[bytes]:
    for _ in range(MAX_REDIRECTS):
        reply: HttpReply = yield HttpRequest(method="GET", url=url, headers={"user-agent": USER_AGENT})
        if reply.status in REDIRECTS and "location" in reply.headers:
            url = urljoin(url, reply.headers["location"])
            continue
        if reply.status >= 300:
            raise class_for_status(reply.status)(f"HTTP {reply.status} for {url.partition('?')[0]}")
        return reply.content
    raise APIConnectionError(f"{url.partition('?')[0]} redirects without end.")
