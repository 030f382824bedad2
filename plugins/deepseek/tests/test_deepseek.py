"""DeepSeek: literal requests, literal replies."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from matrix import IMAGE_URL, WEATHER, Recipe, call, called, image, result, say, show

from polyport import Client, errors
from polyport_deepseek import DeepSeek
from polyport_deepseek.conformance import ANSWER, ANSWER_STREAM, COMPLETION

HELLO = [say("Hello")]
MODEL = "deepseek/deepseek-flash"


def body(wire):
    """Return the JSON that was sent last."""
    return json.loads(wire.last.content)


@pytest.fixture(autouse=True)
def answering(wire):
    """DeepSeek answers with a chat."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)


def test_a_chat_on_the_wire(wire, client):
    """Thinking is asked for in DeepSeek's words, and read apart; the cache counts."""
    got = client.completion(MODEL, HELLO, thinking={"type": "enabled"}, reasoning_effort="high", max_tokens=50)
    assert str(wire.last.url) == "https://api.deepseek.com/chat/completions"
    assert wire.last.headers["authorization"] == "Bearer sk-test"
    assert body(wire) == {
        "model": "deepseek-flash",
        "messages": [{"role": "user", "content": "Hello"}],
        "thinking": {"type": "enabled"},
        "reasoning_effort": "high",
        "max_tokens": 50,
    }
    assert (got.text, got.choices[0].message.reasoning_content) == ("It is 4.", "2+2=4.")
    assert got.usage_buckets == {"input": 33, "cached_input": 64, "output": 2, "reasoning": 15}
    assert got.usage.prompt_cache_hit_tokens == 64
    assert got.meta.adaptations == []


def test_a_streamed_chat(wire, client):
    """Keep-alive comments are nothing; a cache told in the older way alone counts too."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
    with client.completion(MODEL, HELLO, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.reasoning_content or "" for chunk in chunks) == "2+2=4."
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "It is 4."
    assert chunks[-1].usage.buckets() == {"input": 33, "cached_input": 64, "output": 17}


def test_names_that_differ(wire, client):
    """Each is recorded as renamed."""
    got = client.completion(MODEL, HELLO, max_completion_tokens=9, user="ada", reasoning_effort="none")
    assert {name: body(wire)[name] for name in body(wire) if name not in ("model", "messages")} == {
        "max_tokens": 9,
        "user_id": "ada",
        "thinking": {"type": "disabled"},
    }
    assert {(a.parameter, a.action) for a in got.meta.adaptations} == {
        ("max_completion_tokens", "renamed"),
        ("user", "renamed"),
        ("reasoning_effort", "renamed"),
    }


def test_reasoning_goes_back_in_turns_that_called_tools(wire, client):
    """There DeepSeek asks for all of it; in other turns it is left out."""
    thought = {"reasoning_content": "I look it up."}
    messages = [
        say("Hello"),
        {"role": "assistant", "content": "Hi.", "reasoning_content": "Greet."},
        say("Rain in Bath?"),
        {**called(call("call_1", "get_weather", town="Bath")), **thought},
        result("call_1", "Rain"),
        {"role": "assistant", "content": "Yes.", "reasoning_content": "It said so."},
        say("Thanks"),
    ]
    got = client.completion(MODEL, messages)
    sent = body(wire)["messages"]
    assert sent[1] == {"role": "assistant", "content": "Hi."}
    assert sent[2:] == messages[2:]
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("messages.reasoning_content", "dropped")]


def test_an_answer_goes_back_in_its_loop(wire, client):
    """What came out of a call with tools goes back in, unchanged."""
    message = {**called(call("call_1", "now")), "reasoning_content": "I look."}
    wire.answer = lambda _: httpx.Response(200, json={"choices": [{"message": message, "finish_reason": "tool_calls"}]})
    first = client.completion(MODEL, HELLO).choices[0].message
    client.completion(MODEL, [*HELLO, first, result("call_1", "12:00")], strict=True)
    assert body(wire)["messages"][1] == message


BETA = [
    (None, "https://api.deepseek.com/beta"),
    ("https://api.deepseek.com/v1", "https://api.deepseek.com/beta"),
    ("https://api.deepseek.com/beta/", "https://api.deepseek.com/beta"),
    ("https://proxy.example/deepseek", "https://proxy.example/deepseek/beta"),
]


@pytest.mark.parametrize(("base", "beta"), BETA)
def test_what_is_in_beta_goes_there(wire, client, base, beta):
    """A message to be continued, strict tools and gaps, whatever the base address says of a version."""
    messages = [say("Code"), {"role": "assistant", "content": "```python\n", "prefix": True}]
    client.completion(MODEL, messages, stop=["```"], api_base=base)
    assert str(wire.last.url) == f"{beta}/chat/completions"
    assert body(wire)["messages"] == messages
    strict = {"type": "function", "function": {**WEATHER["function"], "strict": True}}
    client.completion(MODEL, HELLO, tools=[strict], api_base=base)
    assert str(wire.last.url) == f"{beta}/chat/completions"
    wire.answer = lambda _: httpx.Response(200, content=COMPLETION)
    got = client.text_completion("def fib(a):", MODEL, suffix="    return 1", max_tokens=128, api_base=base)
    assert str(wire.last.url) == f"{beta}/completions"
    assert body(wire) == {
        "model": "deepseek-flash",
        "prompt": "def fib(a):",
        "suffix": "    return 1",
        "max_tokens": 128,
    }
    assert got.choices[0].text == "    if a < 2: return a\n"


def test_one_text_is_continued_at_a_time(wire, client):
    """One in a list is one; several, and token ids, are refused."""
    wire.answer = lambda _: httpx.Response(200, content=COMPLETION)
    client.text_completion(["def fib(a):"], MODEL)
    assert body(wire)["prompt"] == "def fib(a):"
    for prompt in (["a", "b"], [1, 2]):
        with pytest.raises(errors.BadRequestError, match=r"\$\.prompt"):
            client.text_completion(prompt, MODEL)


def test_a_schema_is_told_in_words(wire, client):
    """DeepSeek takes any JSON object or none; the class is still what is read."""
    said = {"role": "assistant", "content": '{"title": "Soup", "minutes": 5, "steps": []}'}
    wire.answer = lambda _: httpx.Response(200, json={"choices": [{"message": said, "finish_reason": "stop"}]})
    got = client.completion(MODEL, HELLO, response_format=Recipe)
    assert body(wire)["response_format"] == {"type": "json_object"}
    assert got.parsed == Recipe(title="Soup", minutes=5, steps=[])
    client.completion(MODEL, HELLO, response_format={"type": "json_object"}, strict=True)
    assert len(body(wire)["messages"]) == 1


def test_images_go_as_they_are(wire, client):
    """By URL or as data."""
    messages = show({"type": "text", "text": "What is it?"}, image(IMAGE_URL))
    client.completion(MODEL, messages)
    assert body(wire)["messages"] == messages


@pytest.mark.parametrize("given", [{"n": 2}, {"seed": 1}, {"logit_bias": {"1": 1}}, {"store": True}, {"top_k": 1}])
def test_what_deepseek_cannot_do(wire, client, given):
    """It is refused with the reason."""
    with pytest.raises(errors.UnsupportedParamsError, match=next(iter(given))):
        client.completion(MODEL, HELLO, **given)


ERRORS = [
    (400, "Content Exists Risk", errors.ContentPolicyViolationError),
    (400, "Model Not Exist", errors.NotFoundError),
    (400, "This model's maximum context length is 131072 tokens", errors.ContextWindowExceededError),
    (400, "The `reasoning_content` in the thinking mode must be passed back to the API.", errors.BadRequestError),
    (401, "Authentication Fails (no such user)", errors.AuthenticationError),
    (402, "Insufficient Balance", errors.RateLimitError),
    (422, "Invalid parameter", errors.UnprocessableEntityError),
]


@pytest.mark.parametrize(("status", "message", "kind"), ERRORS)
def test_errors(wire, client, status, message, kind):
    """Each is what its status and words say, and none of them is worth asking again."""
    said = {"message": message, "type": "invalid_request_error", "param": None, "code": "invalid_request_error"}
    wire.answer = lambda _: httpx.Response(status, json={"error": said})
    with pytest.raises(errors.APIError) as caught:
        client.completion(MODEL, HELLO)
    assert (type(caught.value), caught.value.message, caught.value.retryable) == (kind, message, False)


def test_asynchronously(wire):
    """The same flows under the asynchronous driver."""

    async def main() -> None:
        providers = {"deepseek": DeepSeek}
        async with Client(http=httpx.MockTransport(wire), api_key="sk-test", providers=providers) as client:
            assert (await client.acompletion(MODEL, HELLO)).text == "It is 4."
            wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
            stream = await client.acompletion(MODEL, HELLO, stream=True)
            assert [chunk.usage.total_tokens async for chunk in stream if chunk.usage] == [114]

    asyncio.run(main())
