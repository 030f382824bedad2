"""polyport and the official SDKs get the same from the same real server, which none of us wrote."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

import polyport

sys.path.insert(0, str(Path(__file__).parent))
from llama_server import serving

MODEL = "smollm2"
#: The same prompt twice must be computed the same way twice.
EXACT = {"cache_prompt": False}
CITY_SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 20}, "large": {"type": "boolean"}},
    "required": ["city", "large"],
    "additionalProperties": False,
}
ASK = [{"role": "user", "content": "Name the capital of France."}]

CHATS: dict[str, dict[str, Any]] = {
    "a question": {"messages": ASK, "max_tokens": 32},
    "a system prompt and a history": {
        "messages": [
            {"role": "system", "content": "You answer in one word."},
            {"role": "user", "content": "Name a colour."},
            {"role": "assistant", "content": "Blue."},
            {"role": "user", "content": "Name another."},
        ],
        "max_tokens": 12,
    },
    "cut off": {"messages": ASK, "max_tokens": 3},
    "a stop sequence": {"messages": ASK, "max_tokens": 32, "stop": ["Paris"]},
    "a JSON schema": {
        "messages": ASK,
        "max_tokens": 60,
        "response_format": {"type": "json_schema", "json_schema": {"name": "city", "schema": CITY_SCHEMA}},
    },
    "parts": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Say hi."}]}], "max_tokens": 8},
    "sampled with a seed": {"messages": ASK, "max_tokens": 16, "temperature": 0.8, "top_p": 0.9, "seed": 7},
    "logprobs": {"messages": ASK, "max_tokens": 4, "logprobs": True, "top_logprobs": 2},
}


@pytest.fixture(scope="module")
def url():
    """The server's address."""
    with serving() as address:
        yield address


@pytest.fixture
def ours(url):
    """A client of ours that asks the server."""
    with polyport.Client(api_key="none", timeout=120) as client:
        yield client


@pytest.fixture
def openai_sdk(url):
    """The official OpenAI client, asking the same server."""
    with openai.OpenAI(base_url=f"{url}/v1", api_key="none", timeout=120) as client:
        yield client


@pytest.fixture
def anthropic_sdk(url):
    """The official Anthropic client, asking the same server."""
    with anthropic.Anthropic(base_url=url, api_key="none", timeout=120) as client:
        yield client


def chat_facts(result: Any) -> dict[str, Any]:
    """What must agree of two chat results, whichever SDK's objects they are."""
    choice = result.choices[0]
    return {
        "content": choice.message.content,
        "finish": choice.finish_reason,
        "prompt": result.usage.prompt_tokens,
        "completion": result.usage.completion_tokens,
        "total": result.usage.total_tokens,
    }


@pytest.mark.parametrize("name", CHATS)
def test_chat_agrees_with_the_openai_sdk(name, url, ours, openai_sdk):
    """Text, finish reason and usage are equal for the same parameters."""
    parameters = {"temperature": 0, **CHATS[name]}
    theirs = openai_sdk.chat.completions.create(model=MODEL, extra_body=EXACT, **parameters)
    mine = ours.completion(f"openai/{MODEL}", api_base=f"{url}/v1", **parameters, **EXACT)
    assert chat_facts(mine) == chat_facts(theirs)
    assert mine.choices[0].message.content
    if "logprobs" in parameters:
        assert mine.choices[0].logprobs is not None
        assert theirs.choices[0].logprobs is not None
        assert [one["token"] for one in mine.choices[0].logprobs["content"]] == [
            one.token for one in theirs.choices[0].logprobs.content
        ]


def test_streamed_chat_agrees_with_the_openai_sdk(url, ours, openai_sdk):
    """The same pieces in the same order, and the usage at the end."""
    parameters = {"messages": ASK, "temperature": 0, "max_tokens": 24, "stream_options": {"include_usage": True}}
    theirs = list(openai_sdk.chat.completions.create(model=MODEL, stream=True, extra_body=EXACT, **parameters))
    mine = list(ours.completion(f"openai/{MODEL}", api_base=f"{url}/v1", stream=True, **parameters, **EXACT))

    def pieces(chunks: list[Any]) -> list[str]:
        return [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]

    assert pieces(mine) == pieces(theirs)
    assert len(pieces(mine)) > 1
    assert mine[-1].usage is not None
    assert mine[-1].usage.completion_tokens == theirs[-1].usage.completion_tokens


def test_asynchronous_chat_agrees_with_the_openai_sdk(url):
    """The asynchronous twins, whole and streamed."""

    async def both() -> tuple[Any, Any, str, str]:
        parameters = {"messages": ASK, "temperature": 0, "max_tokens": 16}
        async with (
            openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as sdk,
            polyport.Client(api_key="none", api_base=f"{url}/v1") as client,
        ):
            theirs = await sdk.chat.completions.create(model=MODEL, extra_body=EXACT, **parameters)
            mine = await client.acompletion(f"openai/{MODEL}", **parameters, **EXACT)
            stream = await client.acompletion(f"openai/{MODEL}", stream=True, **parameters, **EXACT)
            text = "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])
            return mine, theirs, text, theirs.choices[0].message.content

    mine, theirs, streamed, whole = asyncio.run(both())
    assert chat_facts(mine) == chat_facts(theirs)
    assert streamed == whole


def test_text_completion_agrees_with_the_openai_sdk(url, ours, openai_sdk):
    """The older completions, whole and streamed."""
    parameters = {"prompt": "The sea is", "temperature": 0, "max_tokens": 10}
    theirs = openai_sdk.completions.create(model=MODEL, extra_body=EXACT, **parameters)
    mine = ours.text_completion(model=f"openai/{MODEL}", api_base=f"{url}/v1", **parameters, **EXACT)
    streamed = ours.text_completion(model=f"openai/{MODEL}", api_base=f"{url}/v1", stream=True, **parameters, **EXACT)
    assert mine.choices[0].text == theirs.choices[0].text
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices) == mine.choices[0].text


def test_responses_agree_with_the_openai_sdk(url, ours, openai_sdk):
    """The Responses API, whole and as typed events."""
    parameters = {"input": "Name the capital of France.", "temperature": 0, "max_output_tokens": 24}
    theirs = openai_sdk.responses.create(model=MODEL, extra_body=EXACT, **parameters)
    mine = ours.responses(model=f"openai/{MODEL}", api_base=f"{url}/v1", **parameters, **EXACT)
    assert mine.output_text == theirs.output_text
    assert mine.status == theirs.status
    assert mine.usage is not None
    assert mine.usage.total_tokens == theirs.usage.total_tokens

    their_events = [
        e.type for e in openai_sdk.responses.create(model=MODEL, stream=True, extra_body=EXACT, **parameters)
    ]
    stream = ours.responses(model=f"openai/{MODEL}", api_base=f"{url}/v1", stream=True, **parameters, **EXACT)
    events = list(stream)
    assert [event.type for event in events] == their_events
    assert "".join(e.delta for e in events if e.type == "response.output_text.delta") == theirs.output_text


MESSAGES: dict[str, dict[str, Any]] = {
    "a question": {"messages": ASK, "max_tokens": 24},
    "a system prompt": {"messages": ASK, "max_tokens": 12, "system": "You answer in one word."},
    "cut off": {"messages": ASK, "max_tokens": 3},
    "blocks": {"messages": [{"role": "user", "content": [{"type": "text", "text": "Say hi."}]}], "max_tokens": 8},
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages_agree_with_the_anthropic_sdk(name, url, ours, anthropic_sdk):
    """Anthropic's own shape: blocks, stop reason and usage."""
    parameters = {"temperature": 0, **MESSAGES[name]}
    theirs = anthropic_sdk.messages.create(model=MODEL, extra_body={**EXACT, "temperature": 0}, **MESSAGES[name])
    mine = ours.messages(f"anthropic/{MODEL}", api_base=url, **parameters, **EXACT)
    assert mine.text == theirs.content[0].text
    assert mine.stop_reason == theirs.stop_reason
    assert mine.usage.output_tokens == theirs.usage.output_tokens
    assert sum(mine.usage_buckets.values()) == sum(
        count or 0
        for count in (theirs.usage.input_tokens, theirs.usage.cache_read_input_tokens, theirs.usage.output_tokens)
    )


def test_chat_through_anthropic_agrees_with_the_anthropic_sdk(url, ours, anthropic_sdk):
    """OpenAI's shape over Anthropic's dialect: the same text, the stop reason in OpenAI's word."""
    theirs = anthropic_sdk.messages.create(
        model=MODEL, messages=ASK, max_tokens=3, extra_body={**EXACT, "temperature": 0}
    )
    mine = ours.completion(f"anthropic/{MODEL}", ASK, api_base=url, max_tokens=3, temperature=0, **EXACT)
    assert mine.text == theirs.content[0].text
    assert (theirs.stop_reason, mine.choices[0].finish_reason) == ("max_tokens", "length")
    assert mine.usage is not None
    assert mine.usage.completion_tokens == theirs.usage.output_tokens


def test_streamed_messages_agree_with_the_anthropic_sdk(url, ours, anthropic_sdk):
    """The same events with the same text; through chat, the same text in OpenAI's chunks."""
    body = {"messages": ASK, "max_tokens": 24}
    exact = {**EXACT, "temperature": 0}
    theirs = list(anthropic_sdk.messages.create(model=MODEL, stream=True, extra_body=exact, **body))
    mine = list(ours.messages(f"anthropic/{MODEL}", api_base=url, stream=True, **body, **exact))
    assert [event.type for event in mine if event.type != "ping"] == [e.type for e in theirs if e.type != "ping"]
    text = "".join(e.delta.text for e in theirs if e.type == "content_block_delta")
    assert "".join(e.delta.text for e in mine if e.type == "content_block_delta") == text
    chunks = ours.completion(f"anthropic/{MODEL}", api_base=url, stream=True, **body, **exact)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == text


def test_token_counts_agree_with_the_anthropic_sdk(url, ours, anthropic_sdk):
    """count_tokens asks the server, and says what it says."""
    theirs = anthropic_sdk.messages.count_tokens(model=MODEL, messages=ASK)
    assert ours.count_tokens(f"anthropic/{MODEL}", ASK, api_base=url).input_tokens == theirs.input_tokens
