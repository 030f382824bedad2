"""Videos, files, batches and models with OpenAI: literal requests, literal replies."""

from __future__ import annotations

import json

import httpx
import pytest
from forms import fields, files

from polyport import errors

PNG = b"\x89PNG\r\n\x1a\n"
VIDEO = {"id": "video_1", "object": "video", "model": "sora-2", "status": "queued", "progress": 0, "seconds": "8"}
FILE = {"id": "file-1", "object": "file", "bytes": 2, "filename": "a.jsonl", "purpose": "batch", "created_at": 1}
BATCH = {"id": "batch_1", "object": "batch", "status": "validating", "endpoint": "/v1/chat/completions"}


@pytest.mark.parametrize("model", ["sora-2", "openai/sora-2", "sora/sora-2"])
def test_a_video_is_made_and_followed_by_its_id_alone(wire, client, model):
    """The reference image goes along; the id says whose it is, also under the alias."""
    wire.answer = lambda _: httpx.Response(200, json=VIDEO)
    job = client.video_generation("waves", model, seconds=8, size="1280x720", input_reference=("a.png", PNG))
    assert str(wire.last.url) == "https://api.openai.com/v1/videos"
    assert fields(wire.last) == {"model": "sora-2", "prompt": "waves", "seconds": "8", "size": "1280x720"}
    assert files(wire.last) == [("input_reference", "a.png", "image/png", PNG)]
    wire.answer = lambda _: httpx.Response(200, json={**VIDEO, "status": "completed", "progress": 100})
    done = client.video_status(job.id)
    assert (wire.last.method, wire.last.url.path) == ("GET", "/v1/videos/video_1")
    assert (done.status, done.progress, done.id) == ("completed", 100, job.id)


def test_a_video_is_fetched_changed_listed_and_deleted(wire, client):
    """Content whole and streamed, a remix, the list, the end."""
    wire.answer = lambda _: httpx.Response(200, json=VIDEO)
    video_id = client.video_generation("waves", "sora-2").id
    assert fields(wire.last) == {"model": "sora-2", "prompt": "waves"}
    wire.answer = lambda _: httpx.Response(200, content=b"mp4", headers={"content-type": "video/mp4"})
    assert client.video_content(video_id).content == b"mp4"
    assert (wire.last.url.path, wire.last.url.query) == ("/v1/videos/video_1/content", b"")
    with client.video_content(video_id, "thumbnail", stream=True) as stream:
        assert b"".join(stream) == b"mp4"
    assert wire.last.url.query == b"variant=thumbnail"
    wire.answer = lambda _: httpx.Response(200, json={**VIDEO, "id": "video_2", "remixed_from_video_id": "video_1"})
    assert client.video_remix(video_id, "at night").id != id
    assert (wire.last.url.path, wire.last.content) == ("/v1/videos/video_1/remix", b'{"prompt":"at night"}')
    wire.answer = lambda _: httpx.Response(200, json={"object": "list", "data": [VIDEO], "has_more": False})
    assert [video.id for video in client.list_videos(provider="openai", limit=5, order="asc").data] == [video_id]
    assert dict(wire.last.url.params) == {"limit": "5", "order": "asc"}
    wire.answer = lambda _: httpx.Response(200, json={"id": "video_1", "object": "video.deleted", "deleted": True})
    assert client.delete_video(video_id).deleted
    assert (wire.last.method, wire.last.url.path) == ("DELETE", "/v1/videos/video_1")


def test_what_videos_do_not_have(client):
    """There is no seed."""
    with pytest.raises(errors.UnsupportedParamsError, match="seed"):
        client.video_generation("waves", "sora-2", seed=1)


def test_a_file_is_kept(wire, client):
    """A JSON array for a batch becomes JSON lines; how long to keep it goes as `expires_after[...]`."""
    wire.answer = lambda _: httpx.Response(200, json=FILE)
    kept = client.create_file(
        ("a.json", b'[{"custom_id": "1"}, {"custom_id": "2"}]'),
        provider="openai",
        expires_after={"anchor": "created_at", "seconds": 3600},
    )
    assert kept.id == "file-1"
    assert str(wire.last.url) == "https://api.openai.com/v1/files"
    assert fields(wire.last) == {
        "purpose": "batch",
        "expires_after[anchor]": "created_at",
        "expires_after[seconds]": "3600",
    }
    assert files(wire.last) == [("file", "a.jsonl", "application/jsonl", b'{"custom_id":"1"}\n{"custom_id":"2"}\n')]


def test_files_are_looked_up_listed_fetched_and_deleted(wire, client):
    """Each by its own path."""
    wire.answer = lambda _: httpx.Response(200, json=FILE)
    assert client.retrieve_file("file-1", provider="openai").filename == "a.jsonl"
    assert wire.last.url.path == "/v1/files/file-1"
    wire.answer = lambda _: httpx.Response(200, json={"object": "list", "data": [FILE], "has_more": True})
    listed = client.list_files(custom_llm_provider="openai", purpose="batch", limit=1)
    assert (listed.data[0].id, listed.has_more) == ("file-1", True)
    assert dict(wire.last.url.params) == {"purpose": "batch", "limit": "1"}
    wire.answer = lambda _: httpx.Response(200, content=b"{}\n")
    assert client.file_content("file-1", provider="openai").text == "{}\n"
    with client.file_content("file-1", provider="openai", stream=True) as stream:
        assert stream.read() == b"{}\n"
    assert wire.last.url.path == "/v1/files/file-1/content"
    wire.answer = lambda _: httpx.Response(200, json={"id": "file-1", "object": "file", "deleted": True})
    assert client.delete_file("file-1", provider="openai").deleted
    assert wire.last.method == "DELETE"


def test_a_batch_is_started_followed_and_cancelled(wire, client):
    """The endpoint and the window have the only values that make sense as defaults."""
    wire.answer = lambda _: httpx.Response(200, json=BATCH)
    assert client.create_batch("file-1", provider="openai", metadata={"job": "1"}).status == "validating"
    assert str(wire.last.url) == "https://api.openai.com/v1/batches"
    assert json.loads(wire.last.content) == {
        "input_file_id": "file-1",
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": {"job": "1"},
    }
    assert client.retrieve_batch("batch_1", provider="openai").id == "batch_1"
    assert (wire.last.method, wire.last.url.path) == ("GET", "/v1/batches/batch_1")
    wire.answer = lambda _: httpx.Response(200, json={**BATCH, "status": "cancelling"})
    assert client.cancel_batch("batch_1", provider="openai").status == "cancelling"
    assert (wire.last.method, wire.last.url.path) == ("POST", "/v1/batches/batch_1/cancel")
    wire.answer = lambda _: httpx.Response(200, json={"object": "list", "data": [BATCH]})
    assert [batch.id for batch in client.list_batches(provider="openai", after="b", limit=2).data] == ["batch_1"]
    assert dict(wire.last.url.params) == {"after": "b", "limit": "2"}


def test_models_are_listed(wire, client):
    """All at once; each keeps what OpenAI says beyond the shape."""
    model = {"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "system"}
    wire.answer = lambda _: httpx.Response(200, json={"object": "list", "data": [model]})
    assert [model.id for model in client.list_models(provider="openai").data] == ["gpt-4o"]
    assert str(wire.last.url) == "https://api.openai.com/v1/models"
    with pytest.raises(errors.UnsupportedParamsError, match="limit"):
        client.list_models(provider="openai", limit=5)
