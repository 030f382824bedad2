"""The admin pages' files, without a browser: what is served, how, and what may not be in them."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx
import pytest

from polyport_gateway import ui

STATIC = Path(ui.__file__).parent / "static"
SCRIPTS = sorted(STATIC.rglob("*.js"))


@pytest.fixture
def client() -> httpx.Client:
    """A client of the pages alone."""
    return httpx.Client(transport=_Transport(), base_url="http://gateway")


class _Transport(httpx.BaseTransport):
    """Asks the ASGI application; its answers are one message long."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        async def main() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(ui.Pages()), base_url="http://gateway") as inner:
                return await inner.request(request.method, request.url, headers=request.headers)

        found = asyncio.run(main())
        return httpx.Response(found.status_code, headers=found.headers, content=found.content)


def test_every_file_is_served_by_its_type_and_under_the_policy(client: httpx.Client) -> None:
    """Scripts of this address alone may run, and nobody may frame the pages."""
    for path in ["", *(str(one.relative_to(STATIC)) for one in STATIC.rglob("*") if one.is_file())]:
        reply = client.get(f"/ui/{path}")
        assert reply.status_code == 200, path
        assert reply.headers["content-type"] == ui.TYPES[path.rpartition(".")[2] or "html"]
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_file_that_the_browser_has_is_not_sent_again(client: httpx.Client) -> None:
    """It is asked for by its tag, each time, so that an update is seen at once."""
    first = client.get("/ui/app.css")
    again = client.get("/ui/app.css", headers={"if-none-match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert first.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "path", ["/ui/nothing", "/ui/../assembly.py", "/ui/%2e%2e/assembly.py", "/ui/__init__.py", "/ui//"]
)
def test_nothing_else_is_served(client: httpx.Client, path: str) -> None:
    """Not a file beside the pages, whatever the address."""
    assert client.get(path).status_code == 404


def test_the_address_without_a_slash_leads_on(client: httpx.Client) -> None:
    """/ui and / go to /ui/, below the address that a proxy serves the gateway at; other methods are refused."""
    assert [client.get(path).headers["location"] for path in ("/ui", "/")] == ["/ui/", "/ui/"]
    assert client.post("/ui/").status_code == 405
    head = client.head("/ui/")
    assert (head.status_code, head.content) == (200, b"")


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda one: str(one.relative_to(STATIC)))
def test_no_script_parses_html_or_keeps_anything(path: Path) -> None:
    """What strangers named things goes in as text; of the browser's storage only the theme is used."""
    text = path.read_text(encoding="utf-8")
    forbidden = "innerHTML outerHTML insertAdjacentHTML document.write DOMParser setHTML eval( sessionStorage indexedDB"
    assert [word for word in forbidden.split() if word in text] == []
    stored = re.findall(r"localStorage\.\w+\(([^,)]*)", text)
    assert all(name == '"polyport-theme"' for name in stored)
    assert re.findall(r"https?://(?!html\.spec\.|www\.w3\.org/2000/svg)[\w.]+", text) == []
