"""Recorded traffic with look-alikes parses into what its bodies say, read here with plain JSON."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from recorded import events, is_stream, needs_recordings, records, status
from replay import counts, cut_at_random, reply_of, story, whole

from polyport import errors

pytestmark = needs_recordings

#: Provider of the recordings -> how many chats of it were answered whole, and streamed.
CHATS = {
    "xai": (5, 1),
    "openrouter": (82, 20),
    "together_ai": (4, 1),
    "perplexity": (5, 0),
    "cerebras": (4, 0),
    "moonshot": (2, 1),
    "zai": (8, 0),
    "dashscope": (2, 2),
    "databricks": (3, 10),
    "gpustack": (9, 1),
    "crusoe": (1, 0),
    "snowflake": (3, 0),
    "cloudflare": (3, 2),
    "writer": (3, 3),
}
WHERE = {
    "databricks": {"api_base": "https://w.example/serving-endpoints"},
    "gpustack": {"api_base": "https://g.example/v1"},
    "snowflake": {"snowflake_account": "org-account"},
    "cloudflare": {"cloudflare_account_id": "acc"},
}
FINISHES = {"eos": "stop"}
#: Endpoints of a wire that is not OpenAI's: xAI's batches, transcripts and edits of images, Writer's text
#: completion, Portkey's stored prompts; and what OpenAI has not either.
OUTSIDE = Counter({"batch": 5, "transcription": 2, "image_edit": 1, "completion": 3})


def ask(provider: str) -> dict[str, Any]:
    """Return the arguments of a chat with a provider."""
    return {"model": f"{provider}/m", "messages": [{"role": "user", "content": "x"}], **WHERE.get(provider, {})}


def kind(record: dict[str, Any]) -> str:
    """Return a record's endpoint; some replies of chats are among those of responses."""
    body = record["response"]["body"] or {}
    return "chat" if "choices" in (body.get("json") or {}) and record["request"] is None else record["endpoint"]


def chats(provider: str, *, stream: bool) -> list[dict[str, Any]]:
    """Return the chats that were answered."""
    kept = [r for r in records(provider) if kind(r) == "chat" and is_stream(r) is stream]
    return [r for r in kept if stream or status(r) < 400]


def as_text(said: dict[str, Any]) -> dict[str, Any]:
    """Return what was said with a structure as its JSON text."""
    text = said["text"]
    return {**said, "text": text if isinstance(text, str) else json.dumps(text, separators=(",", ":"))}


def expected_usage(usage: dict[str, Any] | None) -> dict[str, int]:
    """Return the counts of a usage, from wherever its provider puts them."""
    given = dict(usage or {})
    given["prompt_tokens_details"] = given.get("prompt_tokens_details") or given.get("prompt_token_details")
    given["completion_tokens_details"] = given.get("completion_tokens_details") or given.get("completion_token_details")
    if not given["prompt_tokens_details"]:
        given["prompt_tokens_details"] = {"cached_tokens": given.get("cached_tokens")}
    prompt, completion, total = (given.get(f"{part}_tokens") or 0 for part in ("prompt", "completion", "total"))
    reasoning = (given["completion_tokens_details"] or {}).get("reasoning_tokens") or 0
    if reasoning and total == prompt + completion + reasoning:
        given["completion_tokens"] = completion + reasoning
    given["total_tokens"] = total or prompt + completion
    return counts(given)


def test_no_record_is_left_out():
    """Every record is a chat, one of the few other endpoints tested below, or of a wire that is not OpenAI's."""
    left = Counter()
    for provider, numbers in CHATS.items():
        assert (len(chats(provider, stream=False)), len(chats(provider, stream=True))) == numbers, provider
        left += Counter(kind(r) for r in records(provider) if kind(r) != "chat")
    left += Counter(r["endpoint"] for r in records("portkey"))
    tested = {"responses": 28, "embedding": 7, "models": 1, "files": 1, "other:/api/v1/images": 1}
    assert left == OUTSIDE + Counter(tested)
    assert [r["endpoint"] for r in records("aleph_alpha")] == ["other:/complete"]


@pytest.mark.parametrize("provider", CHATS)
def test_chat_replies(wire, client, provider):
    """Text, reasoning, tool calls, finish reasons and usage are the body's."""
    for record in chats(provider, stream=False):
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.completion(**ask(provider))
        told = whole(raw)
        told["choices"] = [(index, as_text(said), FINISHES.get(end, end)) for index, said, end in told["choices"]]
        assert whole(got.to_dict()) == told
        usage = expected_usage(raw.get("usage"))
        assert counts(got.usage and got.usage.to_dict()) == usage
        assert sum(got.usage_buckets.values()) == usage.get("total_tokens", 0)
        assert got.created == int(raw.get("created", 0))


@pytest.mark.parametrize("provider", [name for name, (_, streams) in CHATS.items() if streams])
def test_streams_cut_at_random(wire, client, provider):
    """The same of streams, wherever they are cut."""
    for number, record in enumerate(chats(provider, stream=True)):
        wire.answer = lambda _, record=record, number=number: reply_of(record, cut_at_random(number))
        with client.completion(**ask(provider), stream=True) as stream:
            told = story([chunk.to_dict() for chunk in stream])
        usage: dict[str, int] = {}
        for event in events(record):
            usage |= expected_usage(event.get("usage")) if event.get("usage") else {}
        assert told == {**story(events(record)), "usage": usage}


def test_prices_are_the_providers(wire, client):
    """What a provider says a call cost is the usage's cost, in USD."""
    found = Counter()
    for provider in ("openrouter", "perplexity"):
        for record in chats(provider, stream=False):
            cost = record["response"]["body"]["json"]["usage"].get("cost")
            wire.answer = lambda _, record=record: reply_of(record)
            got = client.completion(**ask(provider))
            assert got.usage.cost == (cost["total_cost"] if isinstance(cost, dict) else cost)
            found[provider] += cost is not None
    assert min(found.values()) > 2


def test_details_go_back_as_they_were_recorded(wire, client):
    """An answer of OpenRouter's, whole or streamed, has the details that its bodies hold, and sends them again."""
    tried = 0
    for record in chats("openrouter", stream=False):
        message = record["response"]["body"]["json"]["choices"][0]["message"]
        if not message.get("reasoning_details"):
            continue
        tried += 1
        wire.answer = lambda _, record=record: reply_of(record)
        got = client.completion(**ask("openrouter")).choices[0].message
        again = ask("openrouter")
        client.completion(**{**again, "messages": [*again["messages"], got, *again["messages"]]}, strict=True)
        sent = json.loads(wire.last.content)["messages"][1]
        assert sent["reasoning_details"] == message["reasoning_details"]
        assert sent.get("reasoning") == (message.get("reasoning") or None)
    assert tried > 10


def test_streamed_details_hold_all_that_came(wire, client):
    """The text, the signatures and the data of the pieces are in the details at the end."""
    tried = 0
    for record in chats("openrouter", stream=True):
        pieces = [
            piece
            for event in events(record)
            for choice in event["choices"]
            for piece in choice["delta"].get("reasoning_details") or []
        ]
        if not pieces or not any(c.get("finish_reason") for e in events(record) for c in e["choices"]):
            continue
        tried += 1
        wire.answer = lambda _, record=record: reply_of(record)
        with client.completion(**ask("openrouter"), stream=True) as stream:
            own = [c.choices[0].delta.provider_specific_fields for c in stream if c.choices]
        (details,) = [fields["reasoning_details"] for fields in own if fields]
        for name in ("text", "summary", "data", "signature"):
            assert "".join(d.get(name) or "" for d in details) == "".join(p.get(name) or "" for p in pieces)
    assert tried > 3


@pytest.mark.parametrize(("provider", "number"), [("xai", 25), ("openrouter", 3)])
def test_responses(wire, client, provider, number):
    """Items, text, usage and events are the body's."""
    found = [r for r in records(provider) if kind(r) == "responses"]
    assert len(found) == number
    for seed, record in enumerate(found):
        wire.answer = lambda _, record=record, seed=seed: reply_of(record, cut_at_random(seed))
        if is_stream(record):
            with client.responses("x", f"{provider}/m", stream=True) as stream:
                assert [event.to_dict() for event in stream] == events(record)
            continue
        raw, got = record["response"]["body"]["json"], client.responses("x", f"{provider}/m")
        assert (got.output, got.id, got.status) == (raw["output"], raw["id"], raw["status"])
        assert got.usage.total_tokens == raw["usage"]["total_tokens"]


def test_other_endpoints(wire, client):
    """Vectors, an image, a file, the models: what their bodies hold."""
    for record in [r for r in records("openrouter") if r["endpoint"] == "embedding"]:
        wire.answer = lambda _, record=record: reply_of(record)
        raw, got = record["response"]["body"]["json"], client.embedding("openrouter/m", "x")
        assert [d.embedding for d in got.data] == [d["embedding"] for d in raw["data"]]
        assert got.usage.total_tokens == raw["usage"]["total_tokens"]
    (image,) = [r for r in records("openrouter") if r["endpoint"] == "other:/api/v1/images"]
    wire.answer = lambda _: reply_of(image)
    got = client.image_generation("a cat", "openrouter/m")
    assert wire.last.url.path == urlsplit(image["request"]["url"]).path
    assert [d.b64_json for d in got.data] == [d["b64_json"] for d in image["response"]["body"]["json"]["data"]]
    (file,) = [r for r in records("xai") if r["endpoint"] == "files"]
    wire.answer = lambda _: reply_of(file)
    assert client.create_file(("a.pdf", b"%PDF"), purpose="assistants", provider="xai").filename == "sample.pdf"
    (models,) = [r for r in records("perplexity") if r["endpoint"] == "models"]
    wire.answer = lambda _: reply_of(models)
    raw = models["response"]["body"]["json"]["data"]
    assert [model.id for model in client.list_models(provider="perplexity").data] == [model["id"] for model in raw]
    assert wire.last.url.path == urlsplit(models["request"]["url"]).path


def test_errors(wire, client):
    """An unsigned call, and histories that are too long."""
    kinds = {401: errors.AuthenticationError, 400: errors.ContextWindowExceededError}
    refused = [(p, r) for p in CHATS for r in records(p) if status(r) >= 400 and not is_stream(r)]
    assert len(refused) == 3
    for provider, record in refused:
        wire.answer = lambda _, record=record: reply_of(record)
        with pytest.raises(errors.APIError) as caught:
            client.completion(**ask(provider))
        assert type(caught.value) is kinds[status(record)]
        assert caught.value.message == record["response"]["body"]["json"]["error"]["message"]


def without_nulls(value: Any) -> Any:
    """Return the value without null fields of dicts: leaving a field out says the same."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


@pytest.mark.parametrize("provider", CHATS)
def test_recorded_requests_go_out_as_they_were(wire, client, provider):
    """What a provider accepted from others is sent in the same words, to the same path.

    Calls without an id are no part of OpenAI's chat; Writer was sent some. Reasoning that was sent by two names at
    once goes out by one.
    """
    wire.answer = lambda _: httpx.Response(418)
    for record in [r for r in records(provider) if r["request"] and r["endpoint"] == "chat" and status(r) == 200]:
        sent = without_nulls(record["request"]["body"]["json"])
        if any("id" not in call for message in sent["messages"] for call in message.get("tool_calls", [])):
            continue
        for message in sent["messages"]:
            if "reasoning_content" in message:
                message.pop("reasoning", None)
        if not sent.get("stream"):
            sent.pop("stream_options", None)
        with pytest.raises(errors.APIError):
            choice = {"extra_body": {"provider": sent["provider"]}, "provider": None} if "provider" in sent else {}
            client.completion(**{**ask(provider), **sent, **choice, "model": f"{provider}/{sent['model']}"})
        assert without_nulls(json.loads(wire.last.content)) == sent
        path = urlsplit(record["request"]["url"]).path.replace("<GPUSTACK_API_BASE>", "")
        assert wire.last.url.path.endswith(path.rpartition("/v1")[2])
