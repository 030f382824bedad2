"""Recorded exchanges besides chat: vectors, counts, files, videos, batches, pictures."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
import recorded
from recorded import needs_recordings, payload

from polyport import Client
from polyport.testing import Reply, Wire

pytestmark = needs_recordings
HOST = "https://generativelanguage.googleapis.com"


def records(*endpoints: str) -> list[dict[str, Any]]:
    """Return the records of endpoints, none where the recordings are not here."""
    if not recorded.FOLDER.is_dir():
        return []
    return [record for record in recorded.records("gemini") if record["endpoint"] in endpoints]


def params(found: list[dict[str, Any]], name: str) -> list[Any]:
    """Return records as parameters."""
    return [pytest.param(record, id=f"{name}-{number}") for number, record in enumerate(found)]


def client(wire: Wire) -> Client:
    """Return a client over a wire."""
    return Client(http=wire, api_key="AIza-test", num_retries=0)


def method(record: dict[str, Any]) -> str:
    """Return the method and path that were asked for."""
    request = record["request"]
    return f"{request['method'].upper()} {request['url'].removeprefix(HOST).partition('?')[0]}"


#: embedContent, which answers with one `embedding`, is not called here: batchEmbedContents takes one input as well.
VECTORS = [r for r in records("embedding") if "embeddings" in r["response"]["body"]["json"]]


@pytest.mark.parametrize("record", params(VECTORS, "embedding"))
def test_recorded_vectors_read(record):
    """As many vectors as were recorded, each as it was; the recorded body is what is sent."""
    truth = [entry["values"] for entry in record["response"]["body"]["json"]["embeddings"]]
    wire = Wire(payload(record))
    asked = record["request"]["body"]["json"]["requests"] if record["request"] else [{}] * len(truth)
    texts = [(one.get("content") or {"parts": [{"text": "x"}]})["parts"][0]["text"] for one in asked]
    model = (asked[0].get("model") or "models/gemini-embedding-001").removeprefix("models/")
    extra = {"task_type": asked[0]["taskType"]} if "taskType" in asked[0] and "001" in model else {}
    if "outputDimensionality" in asked[0]:
        extra["dimensions"] = asked[0]["outputDimensionality"]
    with client(wire) as asking:
        result = asking.embedding(f"gemini/{model}", texts, **extra)
    assert [item.embedding for item in result.data] == truth
    if record["request"] and len(asked[0]["content"]["parts"]) == 1 and ("taskType" not in asked[0] or extra):
        assert wire.requests[0].json == record["request"]["body"]["json"]
        assert f"POST {wire.requests[0].path}" == method(record)


@pytest.mark.parametrize("record", params(records("count_tokens"), "count_tokens"))
def test_a_recorded_count_reads(record):
    """The count is the recorded one, and what is counted is the whole request."""
    wire = Wire(payload(record))
    with client(wire) as asking:
        result = asking.count_tokens("gemini/gemini-2.5-flash", [{"role": "user", "content": "x"}], system="Be terse.")
    assert result.input_tokens == record["response"]["body"]["json"]["totalTokens"]
    assert wire.requests[0].json["generateContentRequest"]["systemInstruction"] == {"parts": [{"text": "Be terse."}]}


def test_a_recorded_video_is_made_followed_and_fetched():
    """Veo's recorded job: begun, under way, done, and its bytes behind a redirect."""
    begun, under_way, done = records("video")
    moved, video = [record for record in records("files") if ":download" in record["request"]["url"]]
    with client(Wire(payload(begun))) as asking:
        job = asking.video_generation("a calm ocean wave at sunset", "gemini/veo-3.1-lite-generate-preview", seconds=4)
        assert job.status == "in_progress"
    with client(Wire(payload(under_way))) as asking:
        assert asking.video_status(job.id).status == "in_progress"
    with client(wire := Wire(payload(done))) as asking:
        status = asking.video_status(job.id)
        assert (status.status, status.model) == ("completed", "veo-3.1-lite-generate-preview")
        assert f"GET {wire.requests[0].path}" == method(done)
    redirect = Reply.of(payload(moved), status=302, headers={"location": video["request"]["url"]})
    answers = [payload(done), redirect, Reply.of(payload(video), headers={"content-type": "video/mp4"})]
    with client(wire := Wire(answers)) as asking:
        content = asking.video_content(job.id).content
    assert content == base64.b64decode(video["response"]["body"]["b64"])
    assert [f"{sent.method} {sent.path}" for sent in wire.requests] == [method(r) for r in (done, moved, video)]


def test_recorded_files_read():
    """An upload in two steps, a look, a listing, a deletion."""
    found = [r for r in records("files") if "fileSearchStores" not in r["request"]["url"]]
    begun, sent, looked, listed, deleted = [r for r in found if ":download" not in r["request"]["url"]]
    truth = sent["response"]["body"]["json"]["file"]
    address = {"x-goog-upload-url": sent["request"]["url"]}
    with client(wire := Wire([Reply.of(b"", headers=address), payload(sent)])) as asking:
        content = base64.b64decode(sent["request"]["body"]["b64"] + "==")
        file = asking.create_file(("a.pdf", content), purpose="user_data", provider="gemini")
    assert (file.id, file.bytes, file.status) == ("ofyvwkznt2rs", int(truth["sizeBytes"]), "processed")
    assert f"POST {wire.requests[0].path}" == method(begun)
    assert wire.requests[1].content == content
    with client(Wire(payload(looked))) as asking:
        assert asking.retrieve_file(file.id, provider="gemini").extra["uri"] == truth["uri"]
    with client(Wire(payload(listed))) as asking:
        assert [one.filename for one in asking.list_files(provider="gemini").data] == ["", "test3.pdf"]
    with client(wire := Wire(payload(deleted))) as asking:
        assert asking.delete_file(file.id, provider="gemini").deleted
        assert f"DELETE {wire.requests[0].path}" == method(deleted)


BATCHES = {
    "BATCH_STATE_PENDING": "validating",
    "BATCH_STATE_RUNNING": "in_progress",
    "BATCH_STATE_SUCCEEDED": "completed",
}


@pytest.mark.parametrize("record", params(records("batch"), "batch"))
def test_a_recorded_batch_reads(record):
    """A batch's state, counts and model; a finished one's answers as OpenAI's lines."""
    body = record["response"]["body"]["json"]
    told = body["metadata"]
    with client(Wire(payload(record))) as asking:
        batch = asking.retrieve_batch(body["name"], provider="gemini")
    assert (batch.id, batch.status) == (body["name"].removeprefix("batches/"), BATCHES[told["state"]])
    assert batch.request_counts["total"] == int(told["batchStats"]["requestCount"])
    assert f"models/{batch.model}" == told["model"]
    if batch.output_file_id is None:
        return
    with client(Wire(payload(record))) as asking:
        lines = asking.file_content(batch.output_file_id, provider="gemini").text.splitlines()
    answers = {line["custom_id"]: line["response"]["body"] for line in map(json.loads, lines)}
    for entry in told["output"]["inlinedResponses"]["inlinedResponses"]:
        answer = answers[entry["metadata"]["custom_id"]]
        parts = entry["response"]["candidates"][0]["content"]["parts"]
        assert answer["choices"][0]["message"]["content"] == parts[0]["text"]
        assert answer["usage"]["total_tokens"] == entry["response"]["usageMetadata"]["totalTokenCount"]


def test_a_recorded_picture_reads():
    """A model that draws: its picture, and what it said beside it."""
    (record,) = records("image")
    with client(Wire(payload(record))) as asking:
        result = asking.image_generation("A can in space", "gemini/gemini-2.5-flash-image")
    parts = record["response"]["body"]["json"]["candidates"][0]["content"]["parts"]
    pictures = [part["inlineData"]["data"] for part in parts if "inlineData" in part]
    assert [image.b64_json for image in result.data] == pictures
    assert result.data[0].revised_prompt == "".join(part.get("text", "") for part in parts)
