"""Gemini's batches with Google's own SDK: as they came over Gemini, and over a provider with OpenAI's batches."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest

from .google import FIRST, SECOND, Google
from .services import listening
from .test_message_batches import Vendors
from .waiting import until

genai = pytest.importorskip("google.genai")
pytest.importorskip("polyport_gemini")

MASTER = "sk-master-1234"


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    """Google."""
    with listening(Google()) as server:
        yield server


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    """Another vendor."""
    with listening(Vendors()) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(google: Google, vendors: Vendors, start: Callable[..., Any]) -> Any:
    """A gateway in front of both."""
    models = [
        ("gem-1", "gemini/gemini-2.5-flash", FIRST, google.address),
        ("gem-2", "gemini/gemini-2.5-flash", SECOND, google.address),
        ("gpt", "openai/gpt-4o", "sk-one", f"{vendors.address}/v1"),
        ("rank", "cohere/rerank-v3.5", "co", vendors.address),
    ]
    listed = [
        {"model_name": name, "litellm_params": {"model": model, "api_key": key, "api_base": base}}
        for name, model, key, base in models
    ]
    general = {"master_key": MASTER, "batch_check_interval": 0.5}
    return start({"model_list": listed, "general_settings": general, "router_settings": {"num_retries": 0}})


@pytest.fixture
def client(gateway: Any) -> Iterator[Callable[..., Any]]:
    """Make SDKs, each with a key of its own."""
    with ExitStack() as stack:

        def made(**about: Any) -> Any:
            master = {"authorization": f"Bearer {MASTER}"}
            key = httpx.post(f"{gateway.url}/key/generate", json=about, headers=master, timeout=60).json()["key"]
            http = stack.enter_context(httpx.Client(timeout=60))
            return genai.Client(api_key=key, http_options={"base_url": gateway.url, "httpx_client": http})

        yield made


def asks(*texts: str) -> list[dict[str, Any]]:
    """Return requests."""
    return [
        {
            "contents": [{"role": "user", "parts": [{"text": text}]}],
            "metadata": {"key": text},
            "config": {"temperature": 0.5},
        }
        for text in texts
    ]


def refused(call: Callable[[], Any]) -> int:
    """Return the status that a call is refused with."""
    with pytest.raises(genai.errors.APIError) as error:
        call()
    code: int = error.value.code
    return code


def spent(gateway: Any, made: Any) -> list[dict[str, Any]]:
    """Return what the batches of a client's key cost, as the ledger has it."""
    headers = {"authorization": f"Bearer {made._api_client.api_key}"}
    reply = httpx.get(f"{gateway.url}/spend/logs", params={"operation": "batch"}, headers=headers, timeout=60)
    found: list[dict[str, Any]] = reply.json()["results"]
    return found


def test_a_batch_for_gemini_goes_as_it_came(google: Google, gateway: Any, client: Callable[..., Any]) -> None:
    """To its model's account, with the answers as Google gives them; and it is paid by its key."""
    mine, other = client(), client()
    made = mine.batches.create(model="gem-2", src=asks("one", "bad"), config={"display_name": "d"})
    assert made.name in google.kept[SECOND]
    assert google.asked[-1][1].endswith("/models/gemini-2.5-flash:batchGenerateContent")
    assert (made.display_name, made.state.name) == ("d", "JOB_STATE_PENDING")
    assert made.name in [one.name for one in mine.batches.list()]
    assert [one.name for one in other.batches.list()] == []
    calls = (
        lambda: other.batches.get(name=made.name),
        lambda: other.batches.cancel(name=made.name),
        lambda: other.batches.delete(name=made.name),
    )
    assert [refused(call) for call in calls] == [404] * 3
    mine.batches.cancel(name=made.name)
    google.run()
    over = mine.batches.get(name=made.name)
    assert over.state.name == "JOB_STATE_SUCCEEDED"
    first, second = over.dest.inlined_responses
    assert (first.response.text, first.metadata) == ("Well: one", {"key": "one"})
    assert first.response.candidates[0].grounding_metadata is not None
    assert second.error.message == "No such thing"
    (entry,) = until(lambda: spent(gateway, mine), "the batch is in the ledger")
    assert (entry["model"], entry["prompt"], entry["completion"]) == ("gem-2", 7, 3)
    mine.batches.delete(name=made.name)
    assert made.name not in google.kept[SECOND]


def test_a_batch_of_a_file_is_its_owners(google: Google, client: Callable[..., Any]) -> None:
    """And so is the file that it is made of."""
    mine, other = client(), client()
    line = {"key": "k", "request": {"contents": [{"parts": [{"text": "one"}]}]}}
    file = mine.files.upload(file=io.BytesIO(json.dumps(line).encode()), config={"mime_type": "application/jsonl"})
    assert refused(lambda: other.batches.create(model="gem-1", src=file.name)) == 404
    made = mine.batches.create(model="gem-1", src=file.name)
    google.run()
    over = mine.batches.get(name=made.name)
    content = mine.files.download(file=over.dest.file_name)
    assert json.loads(content)["key"] == "k"
    assert refused(lambda: other.files.download(file=over.dest.file_name)) == 404


@pytest.mark.filterwarnings("ignore:.*is experimental")
def test_texts_become_vectors_in_batches(google: Google, vendors: Vendors, client: Callable[..., Any]) -> None:
    """Over Gemini as they came; over others as lines."""
    mine = client()
    texts = {"inlined_requests": {"contents": ["a", "b"], "config": {"output_dimensionality": 2}}}
    made = mine.batches.create_embeddings(model="gem-1", src=texts)
    google.run()
    found = mine.batches.get(name=made.name).dest.inlined_embed_content_responses
    assert [one.response.embedding.values for one in found] == [[0.5, -1.0]] * 2
    mine.batches.create_embeddings(model="gpt", src=texts)
    (batch,) = [one for one in vendors.batches.values() if one["endpoint"] == "/v1/embeddings"]
    lines = [json.loads(line) for line in vendors.files[batch["input_file_id"]].splitlines()]
    assert [line["body"] for line in lines] == [
        {"model": "gpt-4o", "input": text, "dimensions": 2} for text in ("a", "b")
    ]
    del vendors.batches[batch["id"]]


def test_a_batch_for_others_becomes_lines(vendors: Vendors, gateway: Any, client: Callable[..., Any]) -> None:
    """And its answers are told with it, in their order, each with what its caller said of it."""
    mine, other = client(), client()
    made = mine.batches.create(model="gpt", src=asks("one", "two"))
    assert made.state.name == "JOB_STATE_PENDING"
    (batch,) = vendors.batches.values()
    lines = [json.loads(line) for line in vendors.files[batch["input_file_id"]].splitlines()]
    assert [line["url"] for line in lines] == ["/v1/chat/completions"] * 2
    assert lines[0]["body"]["messages"] == [{"role": "user", "content": "one"}]
    assert (lines[0]["body"]["model"], lines[0]["body"]["temperature"]) == ("gpt-4o", 0.5)
    assert made.name in [one.name for one in mine.batches.list()]
    assert refused(lambda: other.batches.get(name=made.name)) == 404
    assert mine.batches.get(name=made.name).dest is None
    vendors.run()
    over = mine.batches.get(name=made.name)
    assert over.state.name == "JOB_STATE_SUCCEEDED"
    assert [one.metadata for one in over.dest.inlined_responses] == [{"key": "one"}, {"key": "two"}]
    told = over.dest.inlined_responses[0].response
    assert (told.text, told.usage_metadata.total_token_count) == ("Well, hello", 1100)
    (entry,) = until(lambda: spent(gateway, mine), "the batch is in the ledger")
    assert (entry["model"], entry["prompt"], entry["completion"]) == ("gpt", 2000, 200)


def test_what_cannot_be_a_batch_is_refused(client: Callable[..., Any]) -> None:
    """With what to do instead."""
    mine = client(models=["gpt", "rank"])
    assert refused(lambda: mine.batches.create(model="gem-1", src=asks("one"))) == 403
    with pytest.raises(genai.errors.ClientError, match="has batches"):
        mine.batches.create(model="rank", src=asks("one"))
    with pytest.raises(genai.errors.ClientError, match="Files are Gemini's"):
        mine.batches.create(model="gpt", src="files/x")
    safety = [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]
    foreign = [{**asks("one")[0], "config": {"safety_settings": safety}}]
    with pytest.raises(genai.errors.ClientError, match="safetySettings"):
        mine.batches.create(model="gpt", src=foreign)
