"""How requests are signed: what is found first, what is kept, and what is said when nothing is found."""

from __future__ import annotations

import asyncio
import sys
import time
from types import SimpleNamespace

import httpx
import pytest

from polyport import Client, errors
from polyport_azure import Azure

BASE = "https://res.openai.azure.com"
HELLO = [{"role": "user", "content": "Hello"}]
ANSWER = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "stop"}]}
JWT = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2ln"
KEY = {"AZURE_API_KEY": "env-key"}
TOKEN = {"AZURE_OPENAI_AD_TOKEN": "env-token"}


def signed(wire):
    """Return what the last request was signed with."""
    headers = wire.last.headers
    return {name: headers[name] for name in ("api-key", "authorization") if name in headers}


def bearer(token):
    """Return how a token is sent."""
    return {"authorization": f"Bearer {token}"}


FOUND = [
    ({"api_key": "key"}, KEY | TOKEN, {"api-key": "key"}),
    ({"api_key": JWT}, KEY | TOKEN, bearer(JWT)),
    ({"azure_ad_token": "token"}, KEY, bearer("token")),
    ({"azure_ad_token_provider": lambda: "given"}, KEY, bearer("given")),
    ({"api_key": "key", "azure_ad_token_provider": lambda: "given"}, {}, bearer("given")),
    ({}, KEY, {"api-key": "env-key"}),
    ({}, {"AZURE_OPENAI_API_KEY": "theirs\n"}, {"api-key": "theirs"}),
    ({}, TOKEN, bearer("env-token")),
    ({}, KEY | TOKEN, bearer("env-token")),  # as OpenAI's SDK has it
    ({"extra_headers": {"Api-Key": "mine"}}, KEY, {"api-key": "mine"}),
    ({"extra_headers": {"Authorization": "Bearer mine"}}, KEY, bearer("mine")),
]


@pytest.mark.parametrize(("given", "env", "sent"), FOUND)
def test_what_a_request_is_signed_with(wire, connected, given, env, sent):
    """The call's own first, then the environment's; none of it is in the body."""
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    with connected(env, api_base=BASE) as client:
        client.completion("azure/gpt-4o", HELLO, **given)
    assert signed(wire) == sent
    assert b"token" not in wire.last.content


def test_tokens_are_in_no_query(wire, connected):
    """Lists have parameters in the query, and what signs is not one."""
    wire.answer = lambda _: httpx.Response(200, json={"data": []})
    with connected(api_base=BASE) as client:
        client.list_files(provider="azure", azure_ad_token="token")
        assert str(wire.last.url) == f"{BASE}/openai/v1/files"
        client.list_batches(provider="azure", azure_ad_token="token")
        assert str(wire.last.url) == f"{BASE}/openai/v1/batches"
    assert signed(wire) == bearer("token")


def test_a_client_with_a_provider_of_tokens(wire):
    """An instance is made with one, which is asked for each request; a key of the client's goes before it."""
    tokens = iter(["one", "two"])
    azure = Azure(token_provider=lambda: next(tokens))
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    known = {"http": httpx.MockTransport(wire), "api_base": BASE, "secrets": KEY.get}
    with Client(providers={"azure": azure}, **known) as client:
        for token in ("one", "two"):
            client.completion("azure/gpt-4o", HELLO)
            assert signed(wire) == bearer(token)
        client.completion("azure/gpt-4o", HELLO, api_key="key")
        assert signed(wire) == {"api-key": "key"}


def test_a_provider_of_tokens_that_is_asynchronous(wire):
    """It is awaited in asynchronous calls, and refused in others."""

    async def provide() -> str:
        return "awaited"

    async def main() -> None:
        async with Client(http=httpx.MockTransport(wire), api_base=BASE, providers={"azure": Azure}) as client:
            await client.acompletion("azure/gpt-4o", HELLO, azure_ad_token_provider=provide)

    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    asyncio.run(main())
    assert signed(wire) == bearer("awaited")
    with (
        Client(http=httpx.MockTransport(wire), api_base=BASE, providers={"azure": Azure}) as client,
        pytest.raises(errors.AuthenticationError, match="pass a plain function"),
    ):
        client.completion("azure/gpt-4o", HELLO, azure_ad_token_provider=provide)


def fails():
    """Raise, as a provider of tokens may."""
    raise OSError("no network")


@pytest.mark.parametrize(
    ("provider", "said"), [(lambda: None, "gave no token but a NoneType"), (fails, "raised OSError: no network")]
)
def test_a_provider_of_tokens_that_gives_none(wire, connected, provider, said):
    """It is an error of authentication, and nothing is sent."""
    with connected(api_base=BASE) as client, pytest.raises(errors.AuthenticationError, match=said):
        client.completion("azure/gpt-4o", HELLO, azure_ad_token_provider=provider)
    assert wire.seen == []


class Identity:
    """What stands for azure-identity: gives tokens that are good for `seconds`."""

    def __init__(self, seconds: float, error: Exception | None = None) -> None:
        self.seconds, self.error = seconds, error
        self.scopes: list[str] = []
        self.made = 0

    def DefaultAzureCredential(self) -> Identity:  # noqa: N802  the name there
        self.made += 1
        return self

    def get_token(self, scope: str) -> SimpleNamespace:
        self.scopes.append(scope)
        if self.error:
            raise self.error
        return SimpleNamespace(token=f"token-{len(self.scopes)}", expires_on=time.time() + self.seconds)


@pytest.mark.parametrize(("seconds", "last"), [(3600, "token-1"), (60, "token-2")])
def test_entra_s_tokens_are_kept_while_they_are_good(wire, connected, monkeypatch, seconds, last):
    """One credential a client; a token that is about to expire is not used again."""
    identity = Identity(seconds)
    monkeypatch.setitem(sys.modules, "azure.identity", identity)
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    with connected(api_base=BASE) as client:
        for _ in range(2):
            client.completion("azure/gpt-4o", HELLO)
    assert signed(wire) == bearer(last)
    assert identity.made == 1
    assert set(identity.scopes) == {"https://cognitiveservices.azure.com/.default"}


def test_entra_s_scope_may_be_another_cloud_s(wire, connected, monkeypatch):
    """AZURE_SCOPE names it."""
    identity = Identity(3600)
    monkeypatch.setitem(sys.modules, "azure.identity", identity)
    scope = "https://cognitiveservices.azure.us/.default"
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    with connected({"AZURE_SCOPE": scope}, api_base=BASE) as client:
        client.completion("azure/gpt-4o", HELLO)
    assert identity.scopes == [scope]


def test_nobody_is_signed_in(wire, connected, monkeypatch):
    """The error names variables, parameters and the extra; nothing is sent."""
    hint = r"Set AZURE_API_KEY or AZURE_OPENAI_API_KEY.*azure_ad_token_provider=.*polyport-azure\[entra\]"
    with connected(api_base=BASE) as client:
        with pytest.raises(errors.AuthenticationError, match=f"No API key for Azure. {hint}"):
            client.completion("azure/gpt-4o", HELLO)
        monkeypatch.setitem(sys.modules, "azure.identity", Identity(0, RuntimeError("run az login")))
        with pytest.raises(errors.AuthenticationError, match="Entra gave no token: run az login"):
            client.completion("azure/gpt-4o", HELLO)
    assert wire.seen == []


def test_tokens_are_hidden(wire, connected):
    """A reply that echoes one does not show it."""
    wire.answer = lambda _: httpx.Response(401, json={"error": {"code": "401", "message": "secret-token is expired"}})
    with connected(api_base=BASE) as client, pytest.raises(errors.AuthenticationError) as caught:
        client.completion("azure/gpt-4o", HELLO, azure_ad_token="secret-token")
    assert "secret-token" not in f"{caught.value} {caught.value!r} {caught.value.body}"
