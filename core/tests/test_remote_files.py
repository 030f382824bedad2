"""Files that are given by URL: where they may be fetched from."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from polyport import Client, hookimpl
from polyport.dialects.openai import OpenAICompatible
from polyport.errors import BadRequestError
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


@pytest.mark.parametrize("wrong", ["all", "", None, ["public"], 1])
def test_another_word_is_refused(wrong: Any) -> None:
    """With the words that there are."""
    with pytest.raises(BadRequestError, match="any, public, none"):
        Client(remote_files=wrong)
