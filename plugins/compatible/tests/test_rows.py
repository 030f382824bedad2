"""Rows on the wire: literal requests, literal replies."""

from __future__ import annotations

import asyncio
import json
from itertools import islice

import httpx
import pytest
from matrix import PDF_URL, Recipe, products, say
from sdk_types import check

import polyport_compatible
from polyport import Client, errors
from polyport_compatible.conformance import ANSWER, ANSWER_STREAM, VECTORS
from polyport_compatible.details import merge
from polyport_compatible.rows import rows

HELLO = [say("Hello")]
DETAIL = {"type": "reasoning.text", "text": "2 + 2 = 4", "index": 0}


def client_of(row, wire, **more) -> Client:
    """Return a client that knows one row, without a key."""
    providers = {prefix: getattr(polyport_compatible, row.class_name) for prefix in row.prefixes}
    return Client(http=httpx.MockTransport(wire), num_retries=0, providers=providers, **more)


def body(wire):
    """Return the JSON that was sent last."""
    return json.loads(wire.last.content)


@pytest.fixture(autouse=True)
def answering(wire):
    """The look-alike answers with a chat."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.prefix)
def test_a_chat_goes_where_the_row_says(wire, monkeypatch, row):
    """To its address, signed with the key of each of its variables; without one it says which, or needs none."""
    for name in row.keys:
        monkeypatch.delenv(name, raising=False)
    for setting in row.settings:
        monkeypatch.setenv(setting.env[0], "id-1")
    expected = row.base.format(**{setting.name: "id-1" for setting in row.settings})
    if not row.base:
        expected = "https://server.example/v1"
        monkeypatch.setenv(f"{row.prefix.upper()}_API_BASE", expected)
    path = row.quirks.get("paths", {}).get("/chat/completions", "/chat/completions")
    header = row.header or "authorization"
    with client_of(row, wire) as client:
        if not row.open:
            with pytest.raises(errors.AuthenticationError, match=row.keys[0]):
                client.completion(f"{row.prefix}/m", HELLO)
        for name in row.keys:
            monkeypatch.setenv(name, "k-1")
            assert client.completion(f"{row.prefix}/m", HELLO).text == "It is 4."
            assert str(wire.last.url) == expected + path
            assert wire.last.headers[header] == ("k-1" if row.header else "Bearer k-1")
            monkeypatch.delenv(name)
        if row.open:
            client.completion(f"{row.prefix}/m", HELLO)
            assert "authorization" not in wire.last.headers
    assert body(wire)["messages"] == HELLO


def test_reasoning_by_either_name(wire, client):
    """It is `reasoning_content`; its details are opaque state, and go back where they are taken."""
    got = client.completion("openrouter/m", HELLO)
    message = got.choices[0].message
    assert message.reasoning_content == "2 + 2 = 4"
    assert message.provider_specific_fields == {"reasoning_details": [DETAIL]}
    assert (got.usage.cost, got.extra["provider"]) == (0.0005, "Somewhere")
    assert got.choices[0]["native_finish_reason"] == "end_turn"
    client.completion("openrouter/m", [*HELLO, message, say("Sure?")], strict=True)
    assert body(wire)["messages"][1] == {
        "role": "assistant",
        "content": "It is 4.",
        "reasoning": "2 + 2 = 4",
        "reasoning_details": [DETAIL],
    }
    got = client.completion("novita/m", [*HELLO, message, say("Sure?")])
    assert body(wire)["messages"][1] == {"role": "assistant", "content": "It is 4."}
    assert {a.parameter for a in got.meta.adaptations} == {
        "messages.reasoning_content",
        "messages.provider_specific_fields",
    }


def test_details_are_whole_at_the_end_of_a_stream(wire, client):
    """Pieces of one index are joined; the readable reasoning comes as it streams."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
    with client.completion("openrouter/m", HELLO, stream=True) as stream:
        chunks = list(stream)
    deltas = [chunk.choices[0].delta for chunk in chunks if chunk.choices]
    assert [delta.reasoning_content for delta in deltas if delta.reasoning_content] == ["2 + 2", " = 4"]
    assert [delta.provider_specific_fields for delta in deltas] == [None] * 4 + [{"reasoning_details": [DETAIL]}]


def test_pieces_of_details():
    """Text and summaries grow, signatures come once, other indexes and types are others."""
    pieces = [
        {"type": "reasoning.text", "text": "a", "signature": "", "format": None, "index": 0},
        {"type": "reasoning.text", "text": "b", "index": 0},
        {"type": "reasoning.text", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "eA==", "index": 1},
    ]
    assert merge(pieces) == [
        {"type": "reasoning.text", "text": "ab", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.encrypted", "data": "eA==", "index": 1},
    ]


def test_what_openai_has_not_is_passed_on(wire, client):
    """A look-alike may take it; what it does not know it refuses itself."""
    client.completion("vllm/m", HELLO, top_k=5, thinking={"type": "disabled"}, repetition_penalty=1.1, strict=True)
    assert body(wire) == {
        "model": "m",
        "messages": HELLO,
        "top_k": 5,
        "thinking": {"type": "disabled"},
        "repetition_penalty": 1.1,
    }


def test_instructions_by_the_role_that_is_known(wire, client):
    """Gateways to OpenAI know developers, others know the system only."""
    messages = [{"role": "developer", "content": "Be brief."}, *HELLO]
    client.completion("openrouter/m", messages)
    assert body(wire)["messages"][0]["role"] == "developer"
    client.completion("cerebras/m", messages)
    assert body(wire)["messages"][0]["role"] == "system"


def test_settings_stand_in_the_address_alone(wire, client):
    """An account given with the call is no parameter of the model."""
    client.completion("cloudflare/m", HELLO, cloudflare_account_id="acc")
    assert str(wire.last.url) == "https://api.cloudflare.com/client/v4/accounts/acc/ai/v1/chat/completions"
    assert body(wire) == {"model": "m", "messages": HELLO}


def test_values_by_their_names_there(wire, client):
    """NVIDIA's purposes of a vector have names of their own."""
    wire.answer = lambda _: httpx.Response(200, content=VECTORS)
    got = client.embedding("nvidia_nim/m", "x", input_type="search_document")
    assert body(wire) == {"model": "m", "input": "x", "input_type": "passage"}
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("input_type", "renamed")]
    client.embedding("nvidia_nim/m", "x", input_type="query", strict=True)
    assert body(wire)["input_type"] == "query"


def test_paths_that_differ(wire, client):
    """Writer's chat, Perplexity's models, OpenRouter's images."""
    client.completion("writer/m", HELLO)
    assert str(wire.last.url) == "https://api.writer.com/v1/chat"
    wire.answer = lambda _: httpx.Response(200, json={"data": []})
    client.list_models(provider="perplexity")
    assert str(wire.last.url) == "https://api.perplexity.ai/v1/models"
    client.image_generation("a cat", "openrouter/m", seed=7)
    assert str(wire.last.url) == "https://openrouter.ai/api/v1/images"
    assert body(wire) == {"model": "m", "prompt": "a cat", "seed": 7}


def test_a_structure_is_asked_for_natively(wire, client):
    """A class becomes a strict schema, the answer its instance."""
    said = {"role": "assistant", "content": '{"title": "Soup", "minutes": 5, "steps": []}'}
    wire.answer = lambda _: httpx.Response(200, json={"choices": [{"message": said, "finish_reason": "stop"}]})
    got = client.completion("fireworks_ai/m", HELLO, response_format=Recipe)
    assert body(wire)["response_format"]["type"] == "json_schema"
    assert got.parsed == Recipe(title="Soup", minutes=5, steps=[])


USAGES = [
    ({"prompt_tokens": 10, "completion_tokens": None, "total_tokens": None}, {"input": 10}, None),
    ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cached_tokens": 4},
     {"input": 6, "cached_input": 4, "output": 5}, None),
    ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "prompt_token_details": {"cached_tokens": 4},
      "completion_token_details": {"reasoning_tokens": 2}},
     {"input": 6, "cached_input": 4, "output": 3, "reasoning": 2}, None),
    ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 35, "cost_in_usd_ticks": 700000000,
      "completion_tokens_details": {"reasoning_tokens": 20}}, {"input": 10, "output": 5, "reasoning": 20}, 0.07),
    ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": {"total_cost": 0.006}},
     {"input": 10, "output": 5}, 0.006),
    ({"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "cost": "free"},
     {"input": 10, "output": 5}, None),
]  # fmt: skip


@pytest.mark.parametrize(("usage", "buckets", "cost"), USAGES)
def test_usage_in_its_many_forms(wire, client, usage, buckets, cost):
    """Buckets are disjoint and sum up, a price is in USD, whatever the provider's habit."""
    message = {"role": "assistant", "content": "4"}
    answer = {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    wire.answer = lambda _: httpx.Response(200, json=answer)
    got = client.completion("xai/m", HELLO)
    assert (got.usage_buckets, got.usage.cost) == (buckets, cost)


def test_answers_are_read_with_patience(wire, client):
    """Numbers as text are numbers, a call of nothing is none, "eos" is a stop; what is no answer stays an error."""
    message = {"role": "assistant", "content": "4", "function_call": {"name": "", "arguments": ""},
               "audio": {"id": "", "data": "", "expires_at": 0, "transcript": ""}}  # fmt: skip
    answer = {"id": "1", "created": "1715361795", "choices": [{"message": message, "finish_reason": "eos"}]}
    wire.answer = lambda _: httpx.Response(200, json=answer)
    got = client.completion("together_ai/m", HELLO)
    assert (got.created, got.raw["created"], got.choices[0].finish_reason) == (1715361795, "1715361795", "stop")
    assert got.choices[0].message.to_dict() == {"role": "assistant", "content": "4"}
    wire.answer = lambda _: httpx.Response(200, json={"choices": [{"message": "4"}]})
    with pytest.raises(errors.InvalidResponseError, match=r"choices\[0\]"):
        client.completion("together_ai/m", HELLO)


ERRORS = [
    (400, {"error": {"message": "The total length of all messages is too long.", "type": "too_many_prompt_tokens"}},
     errors.ContextWindowExceededError),
    (402, {"error": {"message": "Insufficient credits", "code": 402}}, errors.RateLimitError),
    (429, {"error": {"message": "Slow down", "code": 429}}, errors.RateLimitError),
    (404, {"detail": "no such model"}, errors.NotFoundError),
]  # fmt: skip


@pytest.mark.parametrize(("status", "said", "kind"), ERRORS)
def test_errors(wire, client, status, said, kind):
    """Each is what its status and words say."""
    wire.answer = lambda _: httpx.Response(status, json=said)
    with pytest.raises(errors.APIError) as caught:
        client.completion("openrouter/m", HELLO)
    assert (type(caught.value), caught.value.status_code) == (kind, status)


def test_an_error_in_a_stream(wire, client):
    """A gateway whose provider fails in the middle says so in a chunk."""
    chunk = {"choices": [], "error": {"code": 502, "message": "Provider disconnected"}}
    wire.answer = lambda _: httpx.Response(200, content=f"data: {json.dumps(chunk)}\n\n".encode())
    with (
        pytest.raises(errors.BadGatewayError, match="Provider disconnected"),
        client.completion("openrouter/m", HELLO, stream=True) as stream,
    ):
        list(stream)


def test_asynchronously(wire):
    """The same flows under the asynchronous driver."""

    async def main() -> None:
        async with Client(http=httpx.MockTransport(wire), api_key="k") as client:
            assert (await client.acompletion("moonshot/m", HELLO)).text == "It is 4."
            wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
            stream = await client.acompletion("moonshot/m", HELLO, stream=True)
            assert [chunk.usage.total_tokens async for chunk in stream if chunk.usage] == [52]

    asyncio.run(main())


def test_bodies_fit_openais_types(wire, client):
    """What goes to an unknown look-alike is OpenAI's: every ninth of all histories with all tools and parameters."""
    params = pytest.importorskip("openai.types.chat.completion_create_params")
    wire.answer = lambda request: httpx.Response(200 if str(request.url) == PDF_URL else 418, content=b"%PDF-")
    for name, fields in islice(products(), 0, None, 9):
        with pytest.raises(errors.APIError):
            client.completion("openai_like/m", **fields, api_base="https://server.example/v1")
        kind = params.CompletionCreateParamsStreaming if fields.get("stream") else None
        assert check(kind or params.CompletionCreateParamsNonStreaming, body(wire)) == [], name
