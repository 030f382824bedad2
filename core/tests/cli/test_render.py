"""render: the exact request without a key and without a network; model_info and supports."""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

import httpx
import pytest

import polyport
from polyport.auth import AnyOf, ApiKey, Bearer, Query, Signer
from polyport.dialects.openai import OpenAICompatible
from polyport.flow import Call, Flow, HttpRequest
from polyport.hookspecs import hookimpl
from polyport.models import model_info, supports
from polyport.operations import OPERATIONS
from polyport.rendering import render

KEY = "sk-never-to-be-seen-0123456789"
ASK = [{"role": "user", "content": "Hello"}]


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key is set, and every socket would fail: api.openai.com is not asked."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "ANTHROPIC_API_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_a_request_is_rendered_without_a_key():
    """The variable's name stands where the key would."""
    request = render("completion", model="gpt-4o", messages=ASK, temperature=0)
    assert (request.method, request.url) == ("POST", "https://api.openai.com/v1/chat/completions")
    assert request.headers["authorization"] == "Bearer <OPENAI_API_KEY>"
    assert json.loads(request.content) == {"model": "gpt-4o", "messages": ASK, "temperature": 0}


def test_what_is_rendered_is_what_is_sent(monkeypatch):
    """Byte for byte: method, address, headers (the key aside) and body."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    sent: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={"choices": []})

    with polyport.Client(http=httpx.MockTransport(answer), headers={"X-Team": "core"}) as client:
        asked: dict[str, Any] = {"messages": ASK, "extra_query": {"a": "b c"}, "extra_body": {"x": 1}}
        client.completion("openai/gpt-4o", **asked)
        rendered = render("completion", client=client, model="openai/gpt-4o", **asked)
    assert str(sent[0].url) == rendered.url
    assert sent[0].content == rendered.content
    headers = {name: value.replace(KEY, "<OPENAI_API_KEY>") for name, value in sent[0].headers.items()}
    assert rendered.headers.items() <= headers.items()


@pytest.mark.parametrize("given", ["environment", "argument", "client", "header"])
def test_no_key_is_in_what_is_rendered(monkeypatch, given):
    """Wherever it came from."""
    client, fields = polyport.Client(), {}
    if given == "environment":
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
    elif given == "argument":
        fields = {"api_key": KEY}
    elif given == "client":
        client = polyport.Client(api_key={"openai": KEY})
    else:
        fields = {"extra_headers": {"Authorization": f"Bearer {KEY}", "X-Api-Key": KEY, "Cookie": KEY}}
    request = render("completion", client=client, model="openai/m", messages=ASK, **fields)
    assert KEY not in repr(request) + str(request.headers) + request.url + str(request.content)
    assert request.secrets == ()


class Keyed(OpenAICompatible):
    """A key in the query."""

    base_url = "https://q.invalid/v1"
    auth = Query("key", env="Q_KEY")


class Either(OpenAICompatible):
    """Two ways."""

    base_url = "https://e.invalid/v1"
    auth = AnyOf(ApiKey("x-api-key", env="E_KEY"), Bearer(env="E_TOKEN"))


class Cloud(Signer):
    """Signs over the whole request, with a token it would have to fetch."""

    header = "authorization"

    def sign(self, request: HttpRequest, lookup: Any) -> Flow[None]:
        """Fail: rendering must not come here."""
        raise AssertionError("rendering signs nothing")
        yield


class Signed(OpenAICompatible):
    """A cloud."""

    base_url = "https://s.invalid/v1"
    auth = Cloud()


class InProcess(polyport.Provider):
    """No HTTP at all."""

    @hookimpl
    def chat(self, request: Any) -> Flow[Any]:
        """Compute."""
        return (yield Call(lambda: None))


CLIENT = polyport.Client(providers={"q": Keyed, "e": Either, "s": Signed, "p": InProcess})


def test_each_way_to_sign_is_shown_by_name(monkeypatch):
    """Query keys, the way of two that would be taken, a cloud's signature."""

    def ask(model: str) -> HttpRequest:
        return render("completion", client=CLIENT, model=model, messages=ASK)

    assert ask("q/m").url == "https://q.invalid/v1/chat/completions?key=<Q_KEY>"
    monkeypatch.setenv("Q_KEY", "a/key that needs quoting")
    assert ask("q/m").url == "https://q.invalid/v1/chat/completions?key=<Q_KEY>"
    assert ask("e/m").headers["x-api-key"] == "<E_KEY>"
    monkeypatch.setenv("E_TOKEN", "a-token-1234")
    assert ask("e/m").headers["authorization"] == "Bearer <E_TOKEN>"
    assert ask("s/m").headers["authorization"] == "<signed by Cloud when it is sent>"


def test_what_needs_no_request_says_so():
    """A model in this process; a function that is none."""
    with pytest.raises(polyport.BadRequestError, match="answered in this process"):
        render("completion", client=CLIENT, model="p/m", messages=ASK)
    with pytest.raises(polyport.BadRequestError, match="Did you mean completion"):
        render("completions", model="gpt-4o", messages=ASK)


def test_errors_before_sending_are_the_calls_own():
    """A wrong type, an unsupported parameter."""
    with pytest.raises(polyport.BadRequestError, match="temperature"):
        render("completion", model="gpt-4o", messages=ASK, temperature="hot")
    with pytest.raises(polyport.UnsupportedParamsError, match="top_k"):
        render("completion", model="gpt-4o", messages=ASK, top_k=3)


# --- the command ---


def test_the_command_prints_a_request_as_it_reads(cli):
    """First line, headers, indented body."""
    out = cli("render", "chat", "openai/gpt-4o", "Hello", "-o", "temperature=0").stdout
    assert out.startswith("POST https://api.openai.com/v1/chat/completions\n")
    assert "authorization: Bearer <OPENAI_API_KEY>\n" in out
    assert json.loads(out.partition("\n\n")[2])["temperature"] == 0


def test_the_command_prints_a_form_summarised(cli, tmp_path):
    """Files by name, type and size."""
    (tmp_path / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    out = cli("render", "transcription", "whisper-1", str(tmp_path / "a.wav"), "-o", "language=en").stdout
    assert "file = a.wav (audio/wav, 12 bytes)\n" in out
    assert "language = en\n" in out
    fields = json.loads(cli("render", "transcription", "whisper-1", str(tmp_path / "a.wav"), "--json").stdout)["form"]
    assert {"name": "file", "filename": "a.wav", "content_type": "audio/wav", "bytes": 12} in fields


def test_the_curl_command_sends_what_the_call_would(cli, serve, monkeypatch, tmp_path):
    """Run by a shell with the key in its variable, the server sees the same request."""
    seen: list[Any] = []

    def answer(exchange: Any) -> None:
        seen.append(exchange)
        exchange.reply({"choices": []})

    server = serve(answer)
    arguments = ["openai/gpt-4o", 'It\'s "quoted" $HOME', "--api-base", server.url]
    command = cli("render", "completion", *arguments, "--curl").stdout
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    if subprocess.run(["bash", "-c", "command -v curl"], capture_output=True, check=False).returncode != 0:
        words = shlex.split(command.replace("\\\n", " "))
        assert words[:4] == ["curl", "-X", "POST", f"{server.url}/chat/completions"]
        pytest.skip("there is no curl to run it with")
    subprocess.run(["bash", "-c", command], capture_output=True, check=True, timeout=300)
    cli("chat", *arguments, "--no-stream")
    by_curl, by_us = seen
    assert by_curl.json == by_us.json
    assert by_curl.path == by_us.path
    assert by_curl.headers["authorization"] == by_us.headers["authorization"] == f"Bearer {KEY}"


SAMPLES = {"file": ("a.wav", b"RIFF\0\0\0\0WAVE"), "image": b"\x89PNG\r\n\x1a\n", "messages": ASK, "documents": ["a"]}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.function)
def test_every_operation_the_provider_has_can_be_rendered(operation):
    """The table drives it: nothing is rendered by a list of its own."""
    from polyport.cli.asked import needed

    fields = {name: SAMPLES.get(name, "x") for name, _ in needed(operation)}
    answers = polyport.Client().providers.get("openai").answers
    if operation.hook not in answers and operation.bridge is None:
        with pytest.raises(polyport.UnsupportedParamsError):
            render(operation.function, provider="openai", model="m", **fields)
        return
    request = render(operation.function, provider="openai", model="m", **fields)
    assert request.url.startswith("https://api.openai.com/v1/")


# --- models ---


def test_supports_goes_by_the_entry_and_by_the_providers_translation():
    """An ability counts when the entry lists it, a parameter when the provider can send it."""
    assert supports("openai/no-such-model", "temperature")
    assert not supports("openai/no-such-model", "top_k")
    assert not supports("openai/no-such-model", "telepathy")
    with pytest.raises(polyport.NotFoundError):
        supports("grok/grok-4", "temperature")


def test_model_info_comes_from_the_plugins_own_file():
    """Each entry names its model and provider; an unknown model is an error."""
    from polyport import catalog

    known = [info for name in ("openai", "anthropic") for info in catalog.of_provider(name).values()]
    for info in known[:5]:
        assert model_info(f"{info.provider}/{info.name}") == info
    with pytest.raises(polyport.NotFoundError):
        model_info("openai/no-such-model")


def test_models_lists_what_the_plugins_know(cli):
    """By provider and mode, as a table or JSON."""
    from polyport import catalog

    if not catalog.of_provider("openai"):
        pytest.skip("the openai plugin describes no models yet")
    found = json.loads(cli("models", "-p", "openai", "-m", "chat", "--json").stdout)
    assert found
    assert all((row["provider"], row["mode"]) == ("openai", "chat") for row in found)
    assert f"openai/{found[0]['name']}" in cli("models", "-p", "openai").stdout
    assert "No installed plugin" in cli("models", "-m", "telepathy", code=4).stderr
