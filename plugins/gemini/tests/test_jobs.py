"""Files, batches, models: from OpenAI's lines to Google's and back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from polyport import Client
from polyport.errors import BadRequestError, ConflictError, InvalidResponseError, UnsupportedParamsError
from polyport.testing import Reply, Wire

ASK = [{"role": "user", "content": "Hello"}]
HI = {"candidates": [{"content": {"parts": [{"text": "Hi"}]}, "finishReason": "STOP"}], "modelVersion": "m"}
ADDRESS = "https://generativelanguage.googleapis.com/upload/v1beta/files?upload_id=1"
LINES = [
    {"custom_id": "a", "url": "/v1/chat/completions", "body": {"model": "gemini/gemini-2.5-flash", "messages": ASK}},
    {"custom_id": "b", "body": {"model": "gemini-2.5-flash", "messages": ASK, "stream": True}},
]


def client(wire: Wire) -> Client:
    """Return a client over a wire."""
    return Client(http=wire, api_key="AIza-test", num_retries=0)


def lines(values: Any) -> bytes:
    """Write JSON lines."""
    return "\n".join(map(json.dumps, values)).encode()


class Google:
    """What Google does with files and batches, in short."""

    def __init__(self) -> None:
        self.name, self.content = "", b""

    def __call__(self, sent: Any) -> Any:
        """Answer a request."""
        if sent.headers.get("x-goog-upload-command") == "start":
            self.name = sent.json["file"]["displayName"]
            return Reply(headers={"x-goog-upload-url": ADDRESS})
        if sent.path.startswith("/upload/"):
            self.content = sent.content
            return {"file": self._file()}
        if sent.path.endswith(":download"):
            return Reply(content=lines(self._results()))
        if "/files/" in sent.path:
            return self._file()
        state = "BATCH_STATE_PENDING" if sent.method == "POST" else "BATCH_STATE_SUCCEEDED"
        stats = {"requestCount": "2", "successfulRequestCount": "1", "failedRequestCount": "1"}
        told = {"model": "models/gemini-2.5-flash", "state": state, "batchStats": stats,
                "endTime": "2026-08-19T14:34:12Z", "output": {"responsesFile": "files/batch-1"}}  # fmt: skip
        return {"name": "batches/1", "metadata": told}

    def _file(self) -> dict[str, Any]:
        return {"name": "files/abc", "displayName": self.name, "sizeBytes": str(len(self.content)), "state": "ACTIVE"}

    def _results(self) -> list[dict[str, Any]]:
        first, second = (json.loads(line)["key"] for line in self.content.splitlines())
        return [{"key": first, "response": HI}, {"key": second, "error": {"code": 8, "message": "Quota"}}]


def test_a_batch_from_lines_to_answers():
    """Lines become Google's when they are uploaded; the file's name tells create_batch the model; results come back."""
    google = Google()
    wire = Wire(google)
    with client(wire) as asking:
        file = asking.create_file(("in.jsonl", lines(LINES)), purpose="batch", provider="gemini")
        assert (file.filename, file.purpose) == ("in.jsonl", "batch")
        assert asking.retrieve_file(file.id, provider="gemini").filename == "in.jsonl"
        batch = asking.create_batch(file.id, provider="gemini")
        assert (batch.id, batch.status, batch.input_file_id) == ("1", "validating", "abc")
        batch = asking.retrieve_batch(batch.id, provider="gemini")
        out = asking.file_content(batch.output_file_id, provider="gemini")
        err = asking.file_content(batch.error_file_id, provider="gemini")
        streamed = b"".join(asking.file_content(batch.output_file_id, provider="gemini", stream=True))
    sent = {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}
    assert [json.loads(line) for line in google.content.splitlines()] == [
        {"key": "a", "request": sent},
        {"key": "b", "request": sent},
    ]
    begun = next(one for one in wire.requests if one.path.endswith("gemini-2.5-flash:batchGenerateContent"))
    assert begun.json == {"batch": {"displayName": "abc", "inputConfig": {"fileName": "files/abc"}}}
    assert (batch.status, batch.request_counts["failed"]) == ("completed", 1)
    answered, failed = json.loads(out.text), json.loads(err.text)
    assert answered["custom_id"] == "a"
    assert answered["response"]["body"]["choices"][0]["message"]["content"] == "Hi"
    assert (failed["custom_id"], failed["response"]["status_code"]) == ("b", 429)
    assert streamed == out.content


def test_a_batch_of_vectors():
    """Lines for embeddings go by another method, and a file of one kind is not run as the other."""
    google = Google()
    line = {"custom_id": "a", "url": "/v1/embeddings", "body": {"model": "gemini-embedding-001", "input": "x"}}
    wire = Wire(google)
    with client(wire) as asking:
        file = asking.create_file(("in.jsonl", lines([line])), purpose="batch", provider="gemini")
        asking.create_batch(file.id, provider="gemini", endpoint="/v1/embeddings")
        with pytest.raises(BadRequestError, match="holds lines for embeddings"):
            asking.create_batch(file.id, provider="gemini")
    assert json.loads(google.content)["request"]["content"] == {"parts": [{"text": "x"}]}
    assert any(one.path.endswith("gemini-embedding-001:asyncBatchEmbedContent") for one in wire.requests)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "no lines"),
        ([{"body": {}}], "custom_id"),
        ([{"custom_id": "a", "url": "/v1/audio", "body": {}}], "not '/v1/audio'"),
        ([LINES[0], {**LINES[0], "body": {**LINES[0]["body"], "model": "other"}}], "one endpoint and one model"),
        ([{"custom_id": "a", "body": {"model": "m", "messages": []}}], r"Line 1 \(a\)"),
        ([{"custom_id": "a", "url": "/v1/embeddings", "body": {"model": "m", "input": ["x", "y"]}}], "one input"),
    ],
)
def test_lines_that_no_batch_can_answer(given, why):
    """An error names the line."""
    with client(Wire(Google())) as asking, pytest.raises(BadRequestError, match=why):
        asking.create_file(("a.jsonl", lines(given)), purpose="batch", provider="gemini")


def test_a_file_that_tells_no_model():
    """Lines that were uploaded elsewhere need a model; so does nothing else."""
    google = Google()
    google.name = "theirs.jsonl"
    wire = Wire(google)
    with client(wire) as asking:
        with pytest.raises(BadRequestError, match="model="):
            asking.create_batch("abc", provider="gemini")
        asking.create_batch("files/abc", model="gemini/gemini-2.5-pro")
    assert wire.requests[-1].path.endswith("/models/gemini-2.5-pro:batchGenerateContent")


def test_files_and_their_limits():
    """Ids with and without files/, an upload without an address, and what Google does not do."""
    wire = Wire({"name": "files/abc"})
    with client(wire) as asking:
        asking.retrieve_file("files/abc", provider="gemini")
        asking.retrieve_file("https://generativelanguage.googleapis.com/v1beta/files/abc", provider="gemini")
        with pytest.raises(BadRequestError, match="no id of a file"):
            asking.retrieve_file("../models", provider="gemini")
        with pytest.raises(UnsupportedParamsError, match="48 hours"):
            asking.create_file(b"x", purpose="user_data", expires_after={"seconds": 9}, provider="gemini")
        with pytest.raises(InvalidResponseError, match="x-goog-upload-url"):
            asking.create_file(b"x", purpose="user_data", provider="gemini")
        with pytest.raises(UnsupportedParamsError, match="order"):
            asking.list_files(order="asc", provider="gemini")
    assert {sent.path for sent in wire.requests[:2]} == {"/v1beta/files/abc"}


def test_results_that_are_not_there_yet():
    """A batch that runs has no results, and its id must be one."""
    with client(Wire({"name": "batches/1", "metadata": {"state": "BATCH_STATE_RUNNING"}})) as asking:
        with pytest.raises(ConflictError, match="no results yet"):
            asking.file_content("1_output", provider="gemini")
        with pytest.raises(BadRequestError, match="no id of a batch"):
            asking.retrieve_batch("a/b", provider="gemini")


def test_pages_of_files_batches_and_models():
    """`after` is the token of the page before."""
    wire = Wire(lambda sent: {"nextPageToken": "t2", "models": [{"name": "models/gemini-x", "inputTokenLimit": 9}]})
    with client(wire) as asking:
        assert (asking.list_files(after="t1", provider="gemini").last_id) == "t2"
        assert (asking.list_batches(after="t1", limit=5, provider="gemini").last_id) == "t2"
        models = asking.list_models(after="t1", provider="gemini")
    assert [sent.query["pageToken"] for sent in wire.requests] == ["t1"] * 3
    assert (models.data[0].id, models.data[0].extra, models.extra) == (
        "gemini-x",
        {"inputTokenLimit": 9},
        {"next_page_token": "t2"},
    )
