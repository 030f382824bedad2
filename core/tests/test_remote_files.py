"""Files that are given by URL: where they may be fetched from."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from polyport import Client, hookimpl
from polyport.dialects.openai import OpenAICompatible
from polyport.errors import APIConnectionError, BadRequestError, Timeout
from polyport.flow import TimeoutSpec
from polyport.remote import fetch, is_public
from polyport.types.chat import ChatCompletion, Choice, Message

ASK = [{"role": "user", "content": "what is it?"}]


class Fetching(OpenAICompatible):
    """A provider that cannot fetch what it is given by URL."""

    base_url = "https://provider.example/v1"
    auth = OpenAICompatible.auth

    @hookimpl
    def chat(self, request: Any) -> Any:
        found = yield from fetch(request.extra["picture"])
        said = bytes(found.read()).decode()
        return ChatCompletion(choices=[Choice(message=Message(content=said), finish_reason="stop")])


def ask(ours: Client, url: str, *, asynchronous: bool = False) -> str | None:
    """Have a file fetched, and return what it says."""
    if asynchronous:
        return asyncio.run(ours.acompletion("fetching/m", ASK, picture=url)).text
    return ours.completion("fetching/m", ASK, picture=url).text


def client(asked: list[str], **options: Any) -> Client:
    """A client whose wire answers every address, and redirects one into the machine's own network."""

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        if request.url.path == "/away":
            return httpx.Response(302, headers={"location": "http://127.0.0.1/inside"})
        return httpx.Response(200, content=b"a picture")

    transport = httpx.MockTransport(answer)
    return Client(http=transport, providers={"fetching": Fetching}, api_key="k", num_retries=0, **options)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.215.14", True), ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True), ("::ffff:93.184.215.14", True),
        ("127.0.0.1", False), ("0.0.0.0", False), ("10.1.2.3", False), ("172.16.0.1", False), ("192.168.1.1", False),
        ("169.254.169.254", False), ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False),
        ("::1", False), ("fe80::1%eth0", False), ("fd00::1", False), ("::ffff:127.0.0.1", False),
        ("2002:7f00:1::", False), ("64:ff9b::7f00:1", False), ("2001:0:7f00:1::", False),
    ],
)  # fmt: skip
def test_addresses_of_one_s_own_network_are_not_public(address: str, public: bool) -> None:
    """Nor are those that only look like others: IPv4 within IPv6, link-local ones, those of metadata."""
    assert is_public(address) is public


@pytest.mark.parametrize(
    "url",
    ["http://127.0.0.1/x", "http://localhost:6379/", "http://169.254.169.254/latest/meta-data", "http://[::1]/x",
     "http://2130706433/x", "http://0x7f.1/x", "http://no-such-host.invalid/x", "http://[::ffff:10.0.0.1]/x",
     "http://127.0.0.1:99999/x"],
)  # fmt: skip
@pytest.mark.parametrize("asynchronous", [False, True])
def test_strangers_urls_do_not_lead_into_one_s_own_network(url: str, asynchronous: bool) -> None:
    """With remote_files="public" they are refused before anything is sent, however the address is written."""
    asked: list[str] = []
    with client(asked, remote_files="public") as ours, pytest.raises(BadRequestError):
        if asynchronous:
            asyncio.run(ours.acompletion("fetching/m", ASK, picture=url))
        else:
            ours.completion("fetching/m", ASK, picture=url)
    assert asked == []


def test_redirects_do_not_lead_there_either() -> None:
    """A public host that redirects into one's own network is not followed."""
    asked: list[str] = []
    with client(asked, remote_files="public") as ours, pytest.raises(BadRequestError, match=r"127\.0\.0\.1"):
        ours.completion("fetching/m", ASK, picture="http://93.184.215.14/away")
    assert asked == ["http://93.184.215.14/away"]


def test_public_hosts_are_asked_and_without_the_setting_all_are() -> None:
    """A public address is fetched with "public"; any with "any", the default; none with "none"."""
    asked: list[str] = []
    with client(asked, remote_files="public") as ours:
        assert ours.completion("fetching/m", ASK, picture="http://93.184.215.14/x").text == "a picture"
    with client(asked) as ours:
        assert ours.completion("fetching/m", ASK, picture="http://127.0.0.1/x").text == "a picture"
    with client(asked, remote_files="none") as ours, pytest.raises(BadRequestError, match="data: URL"):
        ours.completion("fetching/m", ASK, picture="http://93.184.215.14/x")
    assert len(asked) == 2


# --- the address that is asked is the one that was judged ---


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """A name server: what each name stands for, the first time it is asked, the second ..."""
    known: dict[str, list[list[str]]] = {}

    def look_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, port)) for one in known[host].pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    return known


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_name_that_changes_after_it_was_judged_leads_nowhere_else(
    names: dict[str, list[list[str]]], asynchronous: bool
) -> None:
    """It is looked up once, and what is connected to is what it stood for then; the host is still told its name."""
    names["rebinding.example"] = [["93.184.215.14"], ["127.0.0.1"]]
    asked: list[tuple[str, str, Any]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append((str(request.url), request.headers["host"], request.extensions.get("sni_hostname")))
        return httpx.Response(200, content=b"a picture")

    transport = httpx.MockTransport(answer)
    with Client(http=transport, providers={"fetching": Fetching}, api_key="k", remote_files="public") as ours:
        assert ask(ours, "https://rebinding.example:8443/x", asynchronous=asynchronous) == "a picture"
    assert asked == [("https://93.184.215.14:8443/x", "rebinding.example:8443", "rebinding.example")]
    assert names["rebinding.example"] == [["127.0.0.1"]]


def test_every_address_of_a_name_is_judged(names: dict[str, list[list[str]]]) -> None:
    """One of them within one's own network is enough to refuse it."""
    names["mixed.example"] = [["93.184.215.14", "10.0.0.1"]]
    asked: list[str] = []
    with client(asked, remote_files="public") as ours, pytest.raises(BadRequestError, match=r"mixed\.example"):
        ask(ours, "http://mixed.example/x")
    assert asked == []


def test_an_address_that_cannot_be_reached_has_others_beside_it(names: dict[str, list[list[str]]]) -> None:
    """They are tried in their order; the last one's failure is the file's."""
    names["many.example"] = [["2606:2800:21f::1", "93.184.215.14"]] * 2
    up = True

    def answer(request: httpx.Request) -> httpx.Response:
        if not up or request.url.host.startswith("2606:"):
            raise httpx.ConnectError(f"no way to {request.url.host}")
        return httpx.Response(200, content=b"a picture")

    options = {"providers": {"fetching": Fetching}, "api_key": "k", "num_retries": 0}
    with Client(http=httpx.MockTransport(answer), remote_files="public", **options) as ours:  # type: ignore[arg-type]
        assert ask(ours, "http://many.example/x") == "a picture"
        up = False
        with pytest.raises(APIConnectionError, match=r"no way to 93\.184\.215\.14"):
            ask(ours, "http://many.example/x")


# --- how large a file may be ---


@contextlib.contextmanager
def fetching(**options: Any) -> Iterator[Client]:
    """A client with real connections."""
    with Client(transport="httpx", providers={"fetching": Fetching}, api_key="k", num_retries=0, **options) as ours:
        yield ours


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_file_that_is_too_large_is_not_read_to_its_end(serve: Callable[..., Any], asynchronous: bool) -> None:
    """One that does not say how large it is is given up when more came than may."""

    def endless(exchange: Any) -> None:
        exchange.begin()
        with contextlib.suppress(OSError):
            while True:
                exchange.piece(b"x" * 65536)

    with fetching(max_remote_file_mb=1) as ours, pytest.raises(BadRequestError) as raised:
        ask(ours, serve(endless).url, asynchronous=asynchronous)
    assert "'127.0.0.1' is larger than 1 MB" in raised.value.message
    assert "max_remote_file_mb" in raised.value.message


def test_an_error_page_without_end_is_not_read_at_all(serve: Callable[..., Any]) -> None:
    """Its status says enough."""

    def endless(exchange: Any) -> None:
        exchange.send(b"HTTP/1.1 404 Not Found\r\ntransfer-encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            while True:
                exchange.piece(b"x" * 65536)

    with fetching() as ours, pytest.raises(BadRequestError, match="HTTP 404"):
        ask(ours, serve(endless).url)


def test_a_file_that_comes_too_slowly_is_given_up(serve: Callable[..., Any]) -> None:
    """The total timeout holds for all of it, however steadily it trickles."""

    def trickle(exchange: Any) -> None:
        exchange.begin()
        with contextlib.suppress(OSError):
            while exchange.piece(b"x") is None:
                time.sleep(0.01)

    with fetching(timeout=TimeoutSpec(total=0.3)) as ours, pytest.raises(Timeout, match="did not send its file"):
        ask(ours, serve(trickle).url)


def test_strangers_files_are_100_mb_at_most_unless_told_otherwise() -> None:
    """One that announces more is not read at all; with "any" there is no limit that was not asked for."""

    def answer(request: httpx.Request) -> httpx.Response:
        length = request.url.path.strip("/")
        return httpx.Response(200, headers={"content-length": length}, stream=httpx.ByteStream(b"a picture"))

    def said(length: int, **options: Any) -> str | None:
        http = httpx.MockTransport(answer)
        with Client(http=http, providers={"fetching": Fetching}, api_key="k", num_retries=0, **options) as ours:
            return ask(ours, f"http://93.184.215.14/{length}")

    assert said(100_000_000, remote_files="public") == "a picture"
    with pytest.raises(BadRequestError, match="larger than 100 MB"):
        said(100_000_001, remote_files="public")
    assert said(10**12) == said(10**8 + 1, remote_files="public", max_remote_file_mb=100.5) == "a picture"
    with pytest.raises(BadRequestError, match=r"larger than 0\.5 MB"):
        said(500_001, max_remote_file_mb=0.5)


@pytest.mark.parametrize("wrong", [0, -1, "1", True])
def test_no_size_at_all_is_refused(wrong: Any) -> None:
    """With what to write."""
    with pytest.raises(BadRequestError, match="max_remote_file_mb is"):
        Client(max_remote_file_mb=wrong)


@pytest.mark.parametrize("wrong", ["all", "", None, ["public"], 1])
def test_another_word_is_refused(wrong: Any) -> None:
    """With the words that there are."""
    with pytest.raises(BadRequestError, match="any, public, none"):
        Client(remote_files=wrong)
