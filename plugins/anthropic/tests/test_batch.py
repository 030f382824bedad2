"""Message batches behind OpenAI's, and files. https://platform.claude.com/docs/en/build-with-claude/batch-processing"""

from __future__ import annotations

import json
import os
import stat
import time

import pytest

from polyport import errors
from polyport_anthropic import spool

LINES = [
    {
        "custom_id": "one",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {
            "model": "anthropic/claude-sonnet-4-5",
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
            "max_tokens": 10,
            "stream": True,
        },
    },
    {
        "custom_id": "two",
        "url": "/v1/messages",
        "body": {"model": "claude-opus-5-5", "messages": [{"role": "user", "content": "Hi"}]},
    },
]
BATCH = {
    "id": "msgbatch_1",
    "type": "message_batch",
    "processing_status": "in_progress",
    "request_counts": {"processing": 2, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0},
    "created_at": "2026-11-22T10:00:00Z",
    "expires_at": "2026-11-23T10:00:00Z",
    "ended_at": None,
    "cancel_initiated_at": None,
    "results_url": None,
}


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A cache of this test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def jsonl(*lines):
    """Write JSON lines."""
    return "".join(json.dumps(line) + "\n" for line in lines).encode()


def test_lines_wait_here_and_go_out_as_requests(wire):
    """create_file sends nothing; create_batch sends each line as a request to the Messages API."""
    server = wire(BATCH)
    client = server.client()
    file = client.create_file(("lines.jsonl", jsonl(*LINES)), purpose="batch", provider="anthropic")
    assert server.requests == []
    assert (file.filename, file.purpose, file.bytes) == ("lines.jsonl", "batch", len(jsonl(*LINES)))
    batch = client.create_batch(file.id, provider="anthropic")
    assert str(server.last.url) == "https://api.anthropic.com/v1/messages/batches"
    assert server.sent == {
        "requests": [
            {
                "custom_id": "one",
                "params": {
                    "model": "claude-sonnet-4-5",
                    "max_tokens": 10,
                    "system": "Be brief.",
                    "messages": [{"role": "user", "content": "Hello"}],
                },
            },
            {
                "custom_id": "two",
                "params": {
                    "model": "claude-opus-5-5",
                    "messages": [{"role": "user", "content": "Hi"}],
                    "max_tokens": 128000,
                },
            },
        ]
    }
    assert (batch.id, batch.status, batch.input_file_id) == ("msgbatch_1", "in_progress", file.id)
    assert batch.endpoint == "/v1/chat/completions"
    assert batch.request_counts == {"total": 2, "completed": 0, "failed": 0}
    assert (batch.created_at, batch.expires_at) == (1795341600, 1795428000)


def test_a_json_array_is_lines_too(wire):
    """What core made of it arrives as lines."""
    server = wire(BATCH)
    client = server.client()
    file = client.create_file(json.dumps(LINES[:1]).encode(), purpose="batch", provider="anthropic")
    client.create_batch(file.id, provider="anthropic")
    assert [entry["custom_id"] for entry in server.sent["requests"]] == ["one"]


def test_sampling_in_a_line_decides_the_version(wire):
    """One line with a temperature needs the older API version for the whole batch."""
    line = {**LINES[0], "body": {**LINES[0]["body"], "temperature": 0.5}}
    server = wire(BATCH)
    client = server.client()
    file = client.create_file(jsonl(line), provider="anthropic")
    client.create_batch(file.id, provider="anthropic")
    assert server.last.headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{oops\n", "Line 1"),
        (jsonl({**LINES[0], "custom_id": "not/allowed"}), "custom_id of 1 to 64"),
        (jsonl({**LINES[0], "url": "/v1/embeddings"}), "not '/v1/embeddings'"),
        (jsonl(LINES[1], {**LINES[0], "body": {"model": "m", "messages": []}}), r"Line 2 \(one\): A chat needs"),
        (b"\n", "has no lines"),
    ],
)
def test_a_bad_line_is_named_before_anything_is_sent(wire, line, said):
    """By its number, and what is wrong with it."""
    server = wire(BATCH)
    client = server.client()
    file = client.create_file(line, provider="anthropic")
    with pytest.raises(errors.BadRequestError, match=said):
        client.create_batch(file.id, provider="anthropic")
    assert server.requests == []


def test_what_lines_could_not_pass_on_is_recorded(wire):
    """Adaptations of every line are the batch's."""
    line = {**LINES[0], "body": {**LINES[0]["body"], "temperature": 2.0}}
    client = wire(BATCH).client()
    file = client.create_file(jsonl(line), provider="anthropic")
    batch = client.create_batch(file.id, provider="anthropic")
    assert [(a.parameter, a.action) for a in batch.meta.adaptations] == [("temperature", "clamped")]


@pytest.mark.parametrize(
    ("name", "value"), [("metadata", {"a": "b"}), ("completion_window", "1h"), ("output_expires_after", {"seconds": 1})]
)
def test_what_batches_lack_is_refused(wire, name, value):
    """Anthropic's batches have no metadata and one window."""
    client = wire(BATCH).client()
    file = client.create_file(jsonl(*LINES), provider="anthropic")
    with pytest.raises(errors.UnsupportedParamsError, match=name):
        client.create_batch(file.id, provider="anthropic", **{name: value})


@pytest.mark.parametrize(
    ("fields", "status", "files"),
    [
        (
            {"processing_status": "canceling", "cancel_initiated_at": "2026-11-22T10:01:00Z"},
            "cancelling",
            (False, False),
        ),
        ({"succeeded": 2}, "completed", (True, False)),
        ({"succeeded": 1, "errored": 1}, "completed", (True, True)),
        ({"errored": 2}, "completed", (False, True)),
        ({"succeeded": 1, "expired": 1}, "expired", (True, True)),
        ({"succeeded": 1, "canceled": 1}, "cancelled", (True, True)),
    ],
)
def test_a_batch_has_openais_status(wire, fields, status, files):
    """How it ended is told by its counts; files are named once there is something in them."""
    counts = {name: fields.pop(name) for name in list(fields) if name in BATCH["request_counts"]}
    ended = {"processing_status": "ended", "ended_at": "2026-11-22T10:05:00Z"} if counts else {}
    reply = {**BATCH, **ended, **fields}
    reply["request_counts"] = {**dict.fromkeys(BATCH["request_counts"], 0), **(counts or {"processing": 2})}
    batch = wire(reply).client().retrieve_batch("msgbatch_1", provider="anthropic")
    assert batch.status == status
    assert (batch.output_file_id, batch.error_file_id) == (
        "msgbatch_1_output" if files[0] else None,
        "msgbatch_1_errors" if files[1] else None,
    )
    assert batch.request_counts["total"] == 2


def test_cancelling_deleting_and_listing(wire):
    """Each at its place on the wire."""
    server = wire(BATCH)
    server.client().cancel_batch("msgbatch_1", provider="anthropic")
    assert (server.last.method, server.last.url.path) == ("POST", "/v1/messages/batches/msgbatch_1/cancel")
    server = wire({"id": "msgbatch_1", "type": "message_batch_deleted"})
    assert server.client().delete_batch("msgbatch_1", provider="anthropic").deleted
    assert (server.last.method, server.last.url.path) == ("DELETE", "/v1/messages/batches/msgbatch_1")
    server = wire({"data": [BATCH], "has_more": True, "first_id": "msgbatch_1", "last_id": "msgbatch_1"})
    listed = server.client().list_batches(provider="anthropic", after="msgbatch_0", limit=1)
    assert server.last.url.query == b"after_id=msgbatch_0&limit=1"
    assert ([batch.id for batch in listed.data], listed.has_more, listed.last_id) == (
        ["msgbatch_1"],
        True,
        "msgbatch_1",
    )


def results(message):
    """A batch's results, one of each kind."""
    error = {"type": "error", "error": {"type": "invalid_request_error", "message": "No"}, "request_id": "req_1"}
    return jsonl(
        {"custom_id": "a", "result": {"type": "succeeded", "message": message}},
        {"custom_id": "b", "result": {"type": "errored", "error": error}},
        {"custom_id": "c", "result": {"type": "canceled"}},
        {"custom_id": "d", "result": {"type": "expired"}},
    )


def test_results_can_be_had_as_messages(wire, message):
    """All of them in one file, which a batch that is over names, and how many came to what; untouched."""
    counts = {"processing": 0, "succeeded": 1, "errored": 1, "canceled": 1, "expired": 1}
    ended = {**BATCH, "processing_status": "ended", "ended_at": "2026-11-22T10:05:00Z", "request_counts": counts}
    batch = wire(ended).client().retrieve_batch("msgbatch_1", provider="anthropic")
    assert (batch.extra["messages_file_id"], batch.extra["message_counts"]) == ("msgbatch_1_messages", counts)
    assert "messages_file_id" not in wire(BATCH).client().retrieve_batch("msgbatch_1", provider="anthropic").extra
    own = {**message, "own_field": {"x": 1}}
    content = wire(results(own)).client().file_content("msgbatch_1_messages", provider="anthropic").content
    lines = [json.loads(line) for line in content.splitlines()]
    assert [line["custom_id"] for line in lines] == ["a", "b", "c", "d"]
    assert lines[0]["response"]["body"] == own
    assert lines[1]["response"]["body"]["error"]["type"] == "invalid_request_error"


def test_an_id_is_one_segment_of_an_address(wire):
    """Nothing in it leads anywhere else."""
    server = wire(BATCH)
    server.client().retrieve_batch("../models", provider="anthropic")
    assert server.last.url.raw_path == b"/v1/messages/batches/..%2Fmodels"


@pytest.mark.parametrize("stream", [False, True])
def test_results_are_openais_output_lines(wire, message, stream):
    """Answers in the output file, everything else in the errors'; streamed they come line by line."""

    def lines(file_id):
        if stream:
            server = wire(pieces=[results(message)[i : i + 7] for i in range(0, len(results(message)), 7)])
            content = server.client().file_content(file_id, provider="anthropic", stream=True).read()
        else:
            server = wire(results(message))
            content = server.client().file_content(file_id, provider="anthropic").content
        assert server.last.url.path == "/v1/messages/batches/msgbatch_1/results"
        return [json.loads(line) for line in content.splitlines()]

    (answer,) = lines("msgbatch_1_output")
    assert (answer["custom_id"], answer["error"]) == ("a", None)
    assert (answer["response"]["status_code"], answer["response"]["request_id"]) == (200, "msg_1")
    assert answer["response"]["body"]["choices"][0]["message"] == {"role": "assistant", "content": "Hi"}
    assert answer["response"]["body"]["usage"]["total_tokens"] == 5
    errored, canceled, expired = lines("msgbatch_1_errors")
    assert errored["response"] == {
        "status_code": 400,
        "request_id": "req_1",
        "body": {"error": {"type": "invalid_request_error", "message": "No"}},
    }
    assert (canceled["response"], canceled["error"]["code"]) == (None, "batch_cancelled")
    assert (expired["response"], expired["error"]["code"]) == (None, "batch_expired")


def test_a_kept_file_is_looked_up_read_and_forgotten(wire):
    """Without a request; a file that is not here is NotFoundError and says where files are."""
    client = wire().client()
    file = client.create_file(("my lines.jsonl", jsonl(*LINES)), provider="anthropic")
    assert client.retrieve_file(file.id, provider="anthropic").filename == "my_lines.jsonl"
    assert client.file_content(file.id, provider="anthropic").content == jsonl(*LINES)
    assert client.create_file(jsonl(*LINES), provider="anthropic").id == file.id
    assert client.delete_file(file.id, provider="anthropic").deleted
    for call in (client.retrieve_file, client.file_content, client.delete_file, client.create_batch):
        with pytest.raises(errors.NotFoundError, match="only where create_file ran"):
            call(file.id, provider="anthropic")


def test_kept_files_are_private_and_go_after_30_days(wire, home):
    """Prompts are nobody else's to read, nor here for ever."""
    client = wire().client()
    file = client.create_file(jsonl(*LINES), provider="anthropic")
    path = spool.find(file.id)
    assert path.is_relative_to(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    old = time.time() - spool.KEEP_SECONDS - 1
    os.utime(path, (old, old))
    client.create_file(jsonl(LINES[0]), provider="anthropic")
    assert not path.exists()


@pytest.mark.parametrize("id", ["file-polyport-../../etc/passwd", "file-polyport-" + "g" * 32, "file_1"])
def test_no_id_leads_out_of_the_cache(id):
    """Only ids made here name files here."""
    assert not spool.is_ours(id)
    assert spool.find(id) is None


FILE = {
    "id": "file_1",
    "type": "file",
    "filename": "a.pdf",
    "mime_type": "application/pdf",
    "size_bytes": 9,
    "created_at": "2026-11-22T10:00:00Z",
    "downloadable": False,
}


def test_files_for_prompts_are_uploaded(wire):
    """With the beta where the older API version wants it."""
    server = wire(FILE)
    client = server.client()
    file = client.create_file(("a.pdf", b"%PDF-1.4\n"), purpose="user_data", provider="anthropic")
    assert str(server.last.url) == "https://api.anthropic.com/v1/files"
    assert b'name="file"; filename="a.pdf"\r\nContent-Type: application/pdf' in server.last.content
    assert "anthropic-beta" not in server.last.headers
    assert (file.id, file.purpose, file.bytes, file.created_at) == ("file_1", "user_data", 9, 1795341600)
    client.retrieve_file("file_1", provider="anthropic", api_version="2023-06-01")
    assert server.last.headers["anthropic-beta"] == "files-api-2025-04-14"
    assert server.last.url.path == "/v1/files/file_1"


def test_a_file_may_expire(wire):
    """OpenAI's `expires_after` is a number of seconds here."""
    server = wire(FILE)
    after = {"anchor": "created_at", "seconds": 3600}
    server.client().create_file(("a.pdf", b"x"), purpose="vision", expires_after=after, provider="anthropic")
    assert b'name="expires_in_seconds"\r\n\r\n3600' in server.last.content
    with pytest.raises(errors.UnsupportedParamsError, match="fine-tune"):
        server.client().create_file(("a.pdf", b"x"), purpose="fine-tune", provider="anthropic")


@pytest.mark.parametrize(
    ("after", "query"), [("page_2", b"limit=5&page=page_2"), ("file_9", b"limit=5&after_id=file_9")]
)
def test_files_are_listed_page_by_page(wire, after, query):
    """The newer API gives a cursor, the older one ids; `last_id` is what `after` wants."""
    server = wire({"data": [FILE], "next_page": "page_3"})
    listed = server.client().list_files(provider="anthropic", after=after, limit=5)
    assert server.last.url.query == query
    assert (listed.has_more, listed.last_id) == (True, "page_3")
    assert listed.data[0].extra == {"mime_type": "application/pdf", "downloadable": False}
