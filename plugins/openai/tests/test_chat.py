"""Chat and text completion with OpenAI: literal requests, literal replies."""

from __future__ import annotations

import asyncio
import json

import httpx
import msgspec
import pytest
from matrix import PDF_URL, PNG, WEATHER, call as call_, called, image, result, say, show, text

from polyport import Client, errors

HELLO = [say("Hello")]
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-2024-08-06",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 4},
        "completion_tokens_details": {"reasoning_tokens": 2},
    },
    "citations": ["https://example.com"],
}
EVENTS = (
    b'data: {"id":"c","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":null}]}\n\n'
    b'data: {"id":"c","choices":[{"index":0,"delta":{"content":"."},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
    b"data: [DONE]\n\n"
)


def test_a_chat_on_the_wire(wire, client):
    """The request is the user's words, signed; the reply is typed, what is not modelled stays readable."""
    wire.answer = lambda _: httpx.Response(200, json=ANSWER, headers={"x-request-id": "req_1"})
    got = client.completion("openai/gpt-4o", HELLO, temperature=0.5, top_k=None)
    assert (wire.last.method, str(wire.last.url)) == ("POST", "https://api.openai.com/v1/chat/completions")
    assert wire.last.headers["authorization"] == "Bearer sk-test"
    assert json.loads(wire.last.content) == {
        "model": "gpt-4o",
        "messages": [{"role": "user", "content": "Hello"}],
        "temperature": 0.5,
    }
    assert got.choices[0].message.content == got["choices"][0]["message"]["content"] == "Hi."
    assert got.usage_buckets == {"input": 6, "cached_input": 4, "output": 3, "reasoning": 2}
    assert got.extra["citations"] == ["https://example.com"]
    assert (got.meta.provider, got.meta.request_id, got.meta.adaptations) == ("openai", "req_1", [])


def test_bare_names_are_openais(wire, client):
    """`gpt-*`, `o1*` ... need no prefix."""
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    for model in ("gpt-4o", "o3-mini", "o4-mini", "chatgpt-4o-latest", "gpt-5"):
        client.completion(model, HELLO)
        assert json.loads(wire.last.content)["model"] == model


def test_a_streamed_chat(wire, client):
    """Chunks come in OpenAI's shape, usage last."""
    wire.answer = lambda _: httpx.Response(200, content=EVENTS)
    with client.completion("gpt-4o", HELLO, stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    assert json.loads(wire.last.content)["stream_options"] == {"include_usage": True}
    assert [c.choices[0].delta.content for c in chunks if c.choices] == ["", "Hi", "."]
    assert chunks[-1].usage.total_tokens == 3


def test_chat_asynchronously(wire):
    """The same flow under the asynchronous driver: whole, streamed, and with a file to fetch first."""

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "files.example":
            return httpx.Response(200, content=b"%PDF-1.4\n")
        streams = json.loads(request.content).get("stream")
        return httpx.Response(200, content=EVENTS) if streams else httpx.Response(200, json=ANSWER)

    async def main() -> None:
        wire.answer = answer
        async with Client(http=httpx.MockTransport(wire), api_key="sk-test") as client:
            assert (await client.acompletion("gpt-4o", HELLO)).text == "Hi."
            stream = await client.acompletion("gpt-4o", HELLO, stream=True)
            texts = [c.choices[0].delta.content async for c in stream if c.choices]
            assert texts == ["", "Hi", "."]
            await client.acompletion("gpt-4o", show({"type": "file", "file": {"file_url": PDF_URL}}))
            assert json.loads(wire.last.content)["messages"][0]["content"][0]["file"] == {
                "filename": "report one.pdf",
                "file_data": "data:application/pdf;base64,JVBERi0xLjQK",
            }

    asyncio.run(main())


def test_a_file_by_url_is_fetched_without_the_key(wire):
    """OpenAI takes no URL of a file: it is fetched, and neither key nor the user's headers and query go along."""
    wire.answer = lambda r: httpx.Response(200, **({"json": ANSWER} if r.method == "POST" else {"content": b"%PDF-"}))
    with Client(http=httpx.MockTransport(wire), api_key="sk-test", headers={"x-team": "secret"}) as client:
        client.completion(
            "gpt-4o",
            show({"type": "file", "file": {"file_url": PDF_URL}}),
            extra_query={"key": "q"},
            extra_headers={"cookie": "c"},
        )
    fetched, asked = wire.seen
    assert str(fetched.url) == PDF_URL
    assert set(fetched.headers) <= {"host", "user-agent", "accept", "accept-encoding", "connection"}
    assert (asked.headers["x-team"], asked.headers["cookie"], asked.url.query) == ("secret", "c", b"key=q")


def test_a_file_that_cannot_be_fetched(wire, client):
    """The error names the URL, not OpenAI."""
    wire.answer = lambda _: httpx.Response(404, text="gone")
    with pytest.raises(errors.BadRequestError, match=r"Cannot fetch https://files\.example/.*HTTP 404"):
        client.completion("gpt-4o", show({"type": "file", "file": {"file_url": PDF_URL}}))
    with pytest.raises(errors.BadRequestError, match="http"):
        client.completion("gpt-4o", show({"type": "file", "file": {"file_url": "file:///etc/passwd"}}))


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini", "gpt-5", "gpt-5.2-chat-latest", "ft:o4-mini:x", "gpt-6-sol"]
)
def test_reasoning_models_get_the_limit_they_take(wire, client, model):
    """They refuse max_tokens, so it goes as max_completion_tokens, and the result says so."""
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    got = client.completion(f"openai/{model}", HELLO, max_tokens=50)
    assert json.loads(wire.last.content)["max_completion_tokens"] == 50
    assert "max_tokens" not in json.loads(wire.last.content)
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("max_tokens", "renamed")]
    with pytest.raises(errors.BadRequestError, match="strict"):
        client.completion(f"openai/{model}", HELLO, max_tokens=50, strict=True)


def test_other_models_get_the_limit_as_given(wire, client):
    """What the user wrote is what is sent; where both limits are given to a reasoning model, the newer counts."""
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    client.completion("gpt-4o", HELLO, max_tokens=50)
    assert json.loads(wire.last.content)["max_tokens"] == 50
    got = client.completion("gpt-5", HELLO, max_tokens=50, max_completion_tokens=60)
    assert json.loads(wire.last.content)["max_completion_tokens"] == 60
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("max_tokens", "dropped")]


@pytest.mark.parametrize("parameter", [{"top_k": 5}, {"thinking": {"type": "enabled", "budget_tokens": 1024}}])
def test_what_openai_does_not_have(wire, client, parameter):
    """An error by default; dropped, and recorded, where the user allows it."""
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    (name,) = parameter
    with pytest.raises(errors.UnsupportedParamsError, match=name):
        client.completion("gpt-4o", HELLO, **parameter)
    assert wire.seen == []
    got = client.completion("gpt-4o", HELLO, **parameter, drop_params=True)
    assert name not in json.loads(wire.last.content)
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [(name, "dropped")]


def test_a_video_is_not_sent(wire, client):
    """A part that no model of OpenAI's takes is named with its place."""
    watch = show(text("Watch"), {"type": "video_url", "video_url": {"url": "https://x.example/a.mp4"}})
    with pytest.raises(errors.UnsupportedParamsError, match=r"\$\.messages\[0\]\.content\[1\]"):
        client.completion("gpt-4o", watch)
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    client.completion("gpt-4o", watch, drop_params=True)
    assert json.loads(wire.last.content)["messages"] == show(text("Watch"))


def test_answers_go_back_as_they_came(wire, client):
    """A reply's message, appended to the history as it is, loses its trifles and keeps what matters."""
    spoken = {
        "role": "assistant",
        "content": None,
        "audio": {"id": "audio_1", "data": "UklG", "transcript": "Hi", "expires_at": 1},
        "tool_calls": [{**call_("call_1", "get_weather", town="Bath"), "index": 0}],
        "annotations": [],
    }
    said = {**ANSWER, "choices": [{"index": 0, "message": spoken, "finish_reason": "tool_calls"}]}
    wire.answer = lambda _: httpx.Response(200, json=said)
    got = client.completion("gpt-4o", HELLO, tools=[WEATHER])
    again = client.completion("gpt-4o", [*HELLO, got.choices[0].message, result("call_1", "Rain")])
    assert json.loads(wire.last.content)["messages"][1] == {
        **called(call_("call_1", "get_weather", town="Bath")),
        "audio": {"id": "audio_1"},
        "annotations": [],
    }
    assert again.meta.adaptations == []


def test_images_of_tools_follow_all_results(wire, client):
    """Results must stand together after their calls, so what they show comes after the last of them."""
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    got = client.completion(
        "gpt-4o",
        [
            say("Look"),
            called(call_("a", "look"), call_("b", "look")),
            result("a", [image(PNG)]),
            result("b", [text("dark"), image(PNG)]),
        ],
    )
    assert json.loads(wire.last.content)["messages"][2:] == [
        result("a", "The result is in the next user message."),
        result("b", [text("dark")]),
        {"role": "user", "content": [image(PNG), image(PNG)]},
    ]
    assert [a.action for a in got.meta.adaptations] == ["emulated"]


class Town(msgspec.Struct):
    """A town."""

    name: str


def test_structured_output(wire, client):
    """A class becomes a strict schema, and the answer an instance."""
    message = {"role": "assistant", "content": '{"name":"Bath"}'}
    wire.answer = lambda _: httpx.Response(200, json={**ANSWER, "choices": [{"index": 0, "message": message}]})
    got = client.completion("gpt-4o", HELLO, response_format=Town)
    assert got.parsed == Town("Bath")
    assert json.loads(wire.last.content)["response_format"]["json_schema"]["strict"] is True


def test_unknown_arguments_are_sent(wire, client):
    """What polyport has no parameter for goes to OpenAI as it is; extra_body wins over everything."""
    wire.answer = lambda _: httpx.Response(200, json=ANSWER)
    client.completion("gpt-4o", HELLO, moderation={"model": "m"}, extra_body={"seed": 1}, seed=2)
    body = json.loads(wire.last.content)
    assert (body["moderation"], body["seed"]) == ({"model": "m"}, 1)


def test_text_completion(wire, client):
    """A prompt and its continuation, whole and streamed."""
    choice = {"text": " world", "index": 0, "logprobs": None, "finish_reason": "length"}
    reply = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}
    wire.answer = lambda _: httpx.Response(200, json=reply)
    got = client.text_completion("Hello", "openai/gpt-3.5-turbo-instruct", max_tokens=1, suffix="!")
    assert str(wire.last.url) == "https://api.openai.com/v1/completions"
    assert json.loads(wire.last.content) == {
        "model": "gpt-3.5-turbo-instruct",
        "prompt": "Hello",
        "suffix": "!",
        "max_tokens": 1,
    }
    assert got.choices[0].text == " world"
    events = b"data: " + json.dumps(reply).encode() + b"\n\ndata: [DONE]\n\n"
    wire.answer = lambda _: httpx.Response(200, content=events)
    with client.text_completion("Hello", "openai/gpt-3.5-turbo-instruct", stream=True) as stream:
        assert [chunk.choices[0].text for chunk in stream] == [" world"]
