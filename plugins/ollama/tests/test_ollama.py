"""Ollama's own wire: literal calls beside the literal JSON that they become, and what comes back."""

from __future__ import annotations

import asyncio
import base64
import json
import struct

import httpx
import pytest
from matrix import HISTORIES, IMAGE_URL, NOW, PNG, WEATHER, call, called, image, result, say, show

from polyport import Client, errors
from polyport_ollama import Ollama
from polyport_ollama.address import place
from polyport_ollama.conformance import ANSWER, ANSWER_STREAM, CALLS, CALLS_STREAM, TAGS, TEXT, TEXT_STREAM, VECTORS

HELLO = [say("Hello")]
PIXEL = PNG.partition(",")[2]


def body(wire):
    """The JSON that was sent last."""
    return json.loads(wire.last.content)


def adapted(got):
    """What was not passed on as it was given."""
    return [(a.parameter, a.action) for a in got.meta.adaptations]


@pytest.fixture
def chat(wire, client):
    """Chat and return (body, result): `chat(messages, model=..., **params)`."""

    def chat(messages=HELLO, model="ollama/qwen3", **params):
        wire.answer = lambda _: httpx.Response(200, content=ANSWER)
        got = client.completion(model, messages, **params)
        return body(wire), got

    return chat


def test_a_chat(wire, chat):
    """Parameters stand below `options`, fields of Ollama's own beside the messages."""
    sent, got = chat(
        [{"role": "system", "content": "Be brief."}, say("Hello")],
        temperature=0.2, top_p=0.9, top_k=20, seed=7, max_tokens=50, stop="END", presence_penalty=0.5,
        frequency_penalty=-0.5, num_ctx=8192, keep_alive="10m", logprobs=True, top_logprobs=3, options={"min_p": 0.1},
    )  # fmt: skip
    assert str(wire.last.url) == "http://127.0.0.1:11434/api/chat"
    assert sent == {
        "model": "qwen3",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "stream": False,
        "keep_alive": "10m",
        "logprobs": True,
        "top_logprobs": 3,
        "options": {
            "temperature": 0.2, "top_p": 0.9, "top_k": 20, "seed": 7, "num_predict": 50, "stop": ["END"],
            "presence_penalty": 0.5, "frequency_penalty": -0.5, "num_ctx": 8192, "min_p": 0.1,
        },
    }  # fmt: skip
    message = got.choices[0].message
    assert (message.content, message.reasoning_content) == ("It is 4.", "2 + 2 = 4")
    assert got.choices[0].finish_reason == "stop"
    assert got.usage_buckets == {"input": 29, "output": 14}
    assert (got.created, got.model) == (1786082894, "qwen3")
    assert got.extra["total_duration"] == 1735248334
    token = got.choices[0].logprobs["content"][0]
    assert (token["token"], token["bytes"], token["top_logprobs"][0]["logprob"]) == ("It", [73, 116], -0.1)
    assert adapted(got) == [("max_tokens", "renamed")]


def test_what_the_user_says_in_options_counts(chat):
    """`options={...}` is Ollama's own parameter, and wins."""
    sent, _ = chat(temperature=0.2, options={"temperature": 0.7, "mirostat": 1})
    assert sent["options"] == {"temperature": 0.7, "mirostat": 1}


def test_a_streamed_chat(wire, client):
    """Role first, thoughts, text, one finish with the usage."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
    with client.completion("ollama/qwen3", HELLO, stream=True) as stream:
        chunks = list(stream)
    assert body(wire)["stream"] is True
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert [delta.role for delta in deltas] == ["assistant", None, None, None, None]
    assert "".join(delta.reasoning_content or "" for delta in deltas) == "2 + 2 = 4"
    assert "".join(delta.content or "" for delta in deltas) == "It is 4."
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, None, None, "stop"]
    assert [chunk.usage and chunk.usage.total_tokens for chunk in chunks] == [None, None, None, None, 43]
    assert len({chunk.id for chunk in chunks}) == 1


def test_an_error_in_the_middle_of_a_stream(wire, client):
    """What came before reaches the reader, then the error is raised; its words say which."""
    line = b'{"model":"m","message":{"role":"assistant","content":"Hi"},"done":false}\n'
    for told, kind in (
        ("an error was encountered while running the model", errors.InternalServerError),
        ("the input length exceeds the context length", errors.ContextWindowExceededError),
    ):
        content = line + json.dumps({"error": told}).encode() + b"\n"
        wire.answer = lambda _, content=content: httpx.Response(200, content=content)
        seen = []
        with pytest.raises(kind, match=told), client.completion("ollama/m", HELLO, stream=True) as stream:
            seen.extend(chunk.choices[0].delta.content for chunk in stream)
        assert seen == ["Hi"]


# --- tools ---


def test_tools_and_calls(wire, client):
    """Arguments are objects there and text here; a call without an id gets one, the same each time it is read."""
    wire.answer = lambda _: httpx.Response(200, content=CALLS)
    got = client.completion("ollama/qwen3", HELLO, tools=[WEATHER, NOW], tool_choice="auto")
    assert body(wire)["tools"] == [
        WEATHER,
        {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}},
    ]
    first, second = got.choices[0].message.tool_calls
    assert (first.id, first.function.name, first.function.arguments) == (
        "call_gsiiy8py",
        "get_weather",
        '{"town":"Bath"}',
    )
    assert second.function.arguments == '{"town":"York"}'
    assert second.id.startswith("call_")
    assert got.choices[0].finish_reason == "tool_calls"
    assert got.choices[0].message.content is None
    again = client.completion("ollama/qwen3", HELLO, tools=[WEATHER])
    assert again.choices[0].message.tool_calls[1].id == second.id


def test_streamed_calls_are_numbered(wire, client):
    """Each comes whole, by its own index, with an id of its own."""
    wire.answer = lambda _: httpx.Response(200, content=CALLS_STREAM)
    with client.completion("ollama/qwen3", HELLO, tools=[WEATHER], stream=True) as stream:
        chunks = list(stream)
    calls = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
    assert [(call.index, call.function.arguments) for call in calls] == [(0, '{"town":"Bath"}'), (1, '{"town":"York"}')]
    assert len({call.id for call in calls}) == 2
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_calls_and_results_go_back(chat):
    """A result says its tool's name, which it is told by in Ollama's templates, and the call's id."""
    sent, _ = chat([
        say("Weather?"),
        {**called(call("call_1", "get_weather", town="Bath")), "reasoning_content": "I look."},
        result("call_1", "Rain"),
    ])  # fmt: skip
    assert sent["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "thinking": "I look.",
            "tool_calls": [
                {"id": "call_1", "function": {"index": 0, "name": "get_weather", "arguments": {"town": "Bath"}}}
            ],
        },
        {"role": "tool", "content": "Rain", "tool_name": "get_weather", "tool_call_id": "call_1"},
    ]


def test_functions_of_the_older_shape(chat):
    """Are tools too."""
    sent, _ = chat(
        [say("x"), {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": "{}"}},
         {"role": "function", "name": "now", "content": "12:00"}],
        functions=[NOW["function"]],
    )  # fmt: skip
    assert [tool["function"]["name"] for tool in sent["tools"]] == ["now"]
    assert sent["messages"][1]["tool_calls"] == [{"function": {"index": 0, "name": "now", "arguments": {}}}]
    assert sent["messages"][2] == {"role": "tool", "content": "12:00", "tool_name": "now"}


def test_a_choice_of_tools(chat):
    """None means that none is offered; to force one is not possible."""
    sent, got = chat(tools=[WEATHER], tool_choice="none")
    assert "tools" not in sent
    assert adapted(got) == [("tool_choice", "emulated")]
    for given in ({"tool_choice": "required"}, {"parallel_tool_calls": False}):
        with pytest.raises(errors.UnsupportedParamsError):
            chat(tools=[WEATHER], **given)
    sent, got = chat(tools=[WEATHER], tool_choice="required", drop_params=True)
    assert sent["tools"] == [WEATHER]
    assert adapted(got) == [("tool_choice", "dropped")]


def test_arguments_that_are_no_object(chat):
    """Are named before anything is sent."""
    broken = called({"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{"}})
    with pytest.raises(errors.BadRequestError, match="not JSON"):
        chat([say("x"), broken, result("call_1", "y")])


# --- thinking, structure, images ---


def test_how_much_is_thought(chat):
    """Levels for gpt-oss, on or off for others; Ollama's own parameter passes as it is."""
    assert chat(model="ollama/gpt-oss:20b", reasoning_effort="low")[0]["think"] == "low"
    sent, got = chat(model="ollama/gpt-oss:20b", reasoning_effort="minimal")
    assert (sent["think"], adapted(got)) == ("low", [("reasoning_effort", "clamped")])
    sent, got = chat(reasoning_effort="high")
    assert (sent["think"], adapted(got)) == (True, [("reasoning_effort", "clamped")])
    assert chat(reasoning_effort="none")[0]["think"] is False
    assert chat(thinking={"type": "disabled"})[0]["think"] is False
    sent, got = chat(thinking={"type": "enabled", "budget_tokens": 1024})
    assert (sent["think"], adapted(got)) == (True, [("thinking.budget_tokens", "dropped")])
    sent, got = chat(think="max", reasoning_effort="low")
    assert sent["think"] == "max"
    assert "think" not in chat()[0]


def test_structured_answers(chat):
    """A JSON schema is the format itself."""
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "town", "schema": schema}}
    assert chat(response_format=wanted)[0]["format"] == schema
    assert chat(response_format={"type": "json_object"})[0]["format"] == "json"


def test_images(wire, client):
    """Go as base64 beside the text; those given by URL are fetched, without the key."""

    def answer(request):
        if request.url.host == "images.example":
            return httpx.Response(200, content=base64.b64decode(PIXEL), headers={"content-type": "image/png"})
        return httpx.Response(200, content=ANSWER)

    wire.answer = answer
    got = client.completion(
        "ollama/gemma3", show({"type": "text", "text": "Compare"}, image(IMAGE_URL), image(PNG, detail="low"))
    )
    assert "authorization" not in wire.seen[0].headers
    assert body(wire)["messages"] == [{"role": "user", "content": "Compare", "images": [PIXEL, PIXEL]}]
    assert adapted(got) == [("messages.image_url.detail", "dropped")]


@pytest.mark.parametrize("history", ["audio", "pdf_data"])
def test_what_no_model_of_ollamas_reads(chat, history):
    """Is refused, not left out."""
    with pytest.raises(errors.UnsupportedParamsError):
        chat(HISTORIES[history])


@pytest.mark.parametrize(
    "given", [{"n": 2}, {"logit_bias": {"1": 1}}, {"user": "u"}, {"store": True}, {"modalities": ["audio"]}]
)
def test_what_ollama_cannot_do(chat, given):
    """Is refused with the reason, and with drop_params left out and recorded."""
    (name,) = given
    with pytest.raises(errors.UnsupportedParamsError, match=name):
        chat(**given)
    sent, got = chat(**given, drop_params=True)
    assert name not in sent
    assert adapted(got) == [(name, "dropped")]


# --- other capabilities ---


def test_text_completion(wire, client):
    """A gap is filled before a suffix; a prompt may be sent as it is; several prompts are several calls."""
    wire.answer = lambda _: httpx.Response(200, content=TEXT)
    got = client.text_completion("def f(", "ollama/codellama:code", suffix="return", max_tokens=3, raw=True, echo=True)
    assert str(wire.last.url) == "http://127.0.0.1:11434/api/generate"
    assert body(wire) == {
        "model": "codellama:code",
        "prompt": "def f(",
        "suffix": "return",
        "raw": True,
        "stream": False,
        "options": {"num_predict": 3},
    }
    assert (got.choices[0].text, got.choices[0].finish_reason) == ("def f( upon a time", "length")
    assert got.extra["context"] == [1, 2, 3]
    got = client.text_completion(["a", "b"], "ollama/llama3.2")
    assert [json.loads(request.content)["prompt"] for request in wire.seen[-2:]] == ["a", "b"]
    assert [(choice.index, choice.text) for choice in got.choices] == [(0, " upon a time"), (1, " upon a time")]
    assert got.usage.total_tokens == 16
    with pytest.raises(errors.UnsupportedParamsError, match="token ids"):
        client.text_completion([1, 2], "ollama/llama3.2")
    with pytest.raises(errors.UnsupportedParamsError, match="n is not supported"):
        client.text_completion("a", "ollama/llama3.2", n=2)


def test_streamed_text_completion(wire, client):
    """The same in pieces; several prompts cannot share a stream."""
    wire.answer = lambda _: httpx.Response(200, content=TEXT_STREAM)
    with client.text_completion("Once", "ollama/llama3.2", stream=True, logprobs=2) as stream:
        chunks = list(stream)
    assert (body(wire)["logprobs"], body(wire)["top_logprobs"]) == (True, 2)
    assert "".join(chunk.choices[0].text for chunk in chunks) == " upon a time"
    assert chunks[-1].usage.total_tokens == 8
    with pytest.raises(errors.UnsupportedParamsError, match="share a stream"):
        client.text_completion(["a", "b"], "ollama/llama3.2", stream=True)


def test_vectors(wire, client):
    """All texts in one call; numbers, or base64 written here."""
    wire.answer = lambda _: httpx.Response(200, content=VECTORS)
    got = client.embedding("ollama/all-minilm", ["a", "b"], dimensions=3, truncate=False, num_ctx=512)
    assert str(wire.last.url) == "http://127.0.0.1:11434/api/embed"
    assert body(wire) == {
        "model": "all-minilm",
        "input": ["a", "b"],
        "dimensions": 3,
        "truncate": False,
        "options": {"num_ctx": 512},
    }
    assert got.data[1].embedding == [0.04, 0.05, -0.06]
    assert got.usage_buckets == {"input": 8}
    got = client.embedding("ollama/all-minilm", ["a", "b"], encoding_format="base64")
    assert struct.unpack("<3f", base64.b64decode(got.data[0].embedding)) == pytest.approx([0.01, -0.02, 0.03])
    assert adapted(got) == [("encoding_format", "emulated")]
    with pytest.raises(errors.InvalidResponseError, match="1 inputs gave 2"):
        client.embedding("ollama/all-minilm", "a")
    for refused in ([[1, 2]], [PNG]):
        with pytest.raises(errors.UnsupportedParamsError, match="embed texts"):
            client.embedding("ollama/all-minilm", refused)


def test_models(wire, client):
    """What was pulled, with what Ollama says of it."""
    wire.answer = lambda _: httpx.Response(200, content=TAGS)
    (model,) = client.list_models(provider="ollama").data
    assert (model.id, model.owned_by, model.created) == ("qwen3:latest", "library", 1759559643)
    assert model["details"]["parameter_size"] == "8B"
    with pytest.raises(errors.UnsupportedParamsError, match="whole list"):
        client.list_models(provider="ollama", limit=3)


# --- errors and addresses ---

OVERFLOW = {"error": {"code": 400, "message": "request (9 tokens) exceeds the available context size (8 tokens)",
                      "type": "exceed_context_size_error", "n_prompt_tokens": 9, "n_ctx": 8}}  # fmt: skip
ERRORS = [
    (404, "model 'qwen3' not found", errors.NotFoundError, "Get it with: ollama pull qwen3"),
    (404, 'model "a/b:7b" not found, try pulling it first', errors.NotFoundError, "ollama pull a/b:7b"),
    (400, "the input length exceeds the context length", errors.ContextWindowExceededError, "context length"),
    (500, "the input length exceeds the context length", errors.ContextWindowExceededError, "context length"),
    (400, json.dumps(OVERFLOW), errors.ContextWindowExceededError, "exceeds the available context size"),
    (400, "registry.ollama.ai/library/x:latest does not support tools", errors.UnsupportedParamsError, "tools"),
    (400, "illegal base64 data at input byte 0", errors.BadRequestError, "illegal base64"),
    (401, "unauthorized", errors.AuthenticationError, "unauthorized"),
    (500, "llama runner process has terminated", errors.InternalServerError, "terminated"),
]


@pytest.mark.parametrize(("status", "said", "kind", "words"), ERRORS)
def test_errors(wire, client, status, said, kind, words):
    """Each is what its status and words say, and says what to do."""
    wire.answer = lambda _: httpx.Response(status, json={"error": said})
    with pytest.raises(errors.APIError) as caught:
        client.completion("ollama/qwen3", HELLO)
    assert type(caught.value) is kind
    assert words in caught.value.message
    assert caught.value.status_code == status


def test_nobody_answers(wire, client):
    """The error says how to start Ollama."""

    def refuse(request):
        raise httpx.ConnectError("Connection refused", request=request)

    wire.answer = refuse
    with pytest.raises(errors.APIConnectionError, match="ollama serve") as caught:
        client.completion("ollama/qwen3", HELLO)
    assert caught.value.retryable


PLACES = [
    ("http://127.0.0.1:11434", "http://127.0.0.1:11434/api/chat"),
    ("box", "http://box:11434/api/chat"),
    ("box:80/", "http://box:80/api/chat"),
    (":8080", "http://127.0.0.1:8080/api/chat"),
    ("0.0.0.0", "http://127.0.0.1:11434/api/chat"),
    ("[::1]", "http://[::1]:11434/api/chat"),
    ("https://ollama.com/api", "https://ollama.com/api/chat"),
    ("https://ollama.com/v1/", "https://ollama.com/api/chat"),
    ("http://proxy.example/ollama", "http://proxy.example/ollama/api/chat"),
]


@pytest.mark.parametrize(("base", "url"), PLACES)
def test_addresses(base, url):
    """A host may be written as Ollama itself takes it."""
    assert place(base, "/api/chat") == url


def test_the_environment_says_where(wire, monkeypatch):
    """OLLAMA_HOST as for Ollama itself; the key of ollama.com goes along where there is one, and none is needed."""
    monkeypatch.setenv("OLLAMA_HOST", "0.0.0.0:9999")
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    with Client(http=httpx.MockTransport(wire), providers={"ollama": Ollama}) as client:
        client.completion("ollama/qwen3", HELLO)
        assert str(wire.last.url) == "http://127.0.0.1:9999/api/chat"
        assert "authorization" not in wire.last.headers
        monkeypatch.setenv("OLLAMA_API_KEY", "sk-cloud")
        client.completion("ollama/qwen3", HELLO, api_base="https://ollama.com")
        assert str(wire.last.url) == "https://ollama.com/api/chat"
        assert wire.last.headers["authorization"] == "Bearer sk-cloud"


V1 = {"api_base": "http://localhost:11434/v1"}


def test_the_door_that_is_openais(wire, client):
    """An `api_base` that ends in /v1 is spoken to as OpenAI's API, for whatever is asked."""
    message = {"role": "assistant", "content": "It is 4.", "reasoning": "2 + 2"}
    wire.answer = lambda _: httpx.Response(200, json={"choices": [{"message": message, "finish_reason": "stop"}]})
    got = client.completion("ollama/qwen3", HELLO, max_tokens=5, **V1)
    assert str(wire.last.url) == "http://localhost:11434/v1/chat/completions"
    assert body(wire) == {"model": "qwen3", "messages": HELLO, "max_tokens": 5}
    assert got.choices[0].message.reasoning_content == "2 + 2"
    wire.answer = lambda _: httpx.Response(200, json={"choices": [{"text": "x"}]})
    assert client.text_completion("a", "ollama/qwen3", **V1).choices[0].text == "x"
    wire.answer = lambda _: httpx.Response(200, json={"data": [{"index": 0, "embedding": [0.5]}]})
    assert client.embedding("ollama/all-minilm", "a", **V1).data[0].embedding == [0.5]
    wire.answer = lambda _: httpx.Response(200, json={"data": [{"id": "qwen3"}]})
    assert [model.id for model in client.list_models(provider="ollama", **V1).data] == ["qwen3"]
    assert str(wire.last.url) == "http://localhost:11434/v1/models"


def test_the_alias(wire):
    """`ollama_chat/` is the same provider."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    with Client(http=httpx.MockTransport(wire)) as client:
        assert client.completion("ollama_chat/qwen3", HELLO).text == "It is 4."
    assert str(wire.last.url).endswith("/api/chat")


def test_asynchronously(wire):
    """The same flows under the asynchronous driver."""

    async def main() -> None:
        async with Client(http=httpx.MockTransport(wire), num_retries=0, providers={"ollama": Ollama}) as client:
            wire.answer = lambda _: httpx.Response(200, content=ANSWER)
            assert (await client.acompletion("ollama/m", HELLO)).text == "It is 4."
            wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
            stream = await client.acompletion("ollama/m", HELLO, stream=True)
            assert [chunk.usage.total_tokens async for chunk in stream if chunk.usage] == [43]
            wire.answer = lambda _: httpx.Response(200, content=TEXT)
            assert len((await client.atext_completion(["a", "b"], "ollama/m")).choices) == 2

    asyncio.run(main())
