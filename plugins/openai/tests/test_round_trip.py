"""Bodies that other clients sent to OpenAI, given to polyport as arguments, go out as the same bodies."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from recorded import needs_recordings, records

from polyport import errors

pytestmark = needs_recordings

FUNCTIONS = {
    "/v1/chat/completions": "completion",
    "/v1/responses": "responses",
    "/v1/embeddings": "embedding",
    "/v1/completions": "text_completion",
    "/v1/moderations": "moderation",
    "/v1/images/generations": "image_generation",
    "/v1/audio/speech": "speech",
}


def bodies(path: str) -> list[dict[str, Any]]:
    """Return the JSON bodies that were sent to a path and answered with a success."""
    found = [r for r in records("openai") if r["request"] and r["response"]["status"] == 200]
    return [
        r["request"]["body"]["json"]
        for r in found
        if r["request"]["method"] == "POST" and urlsplit(r["request"]["url"]).path == path
    ]


def without_nulls(value: Any) -> Any:
    """Return the value without null fields of dicts: leaving a field out says the same."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def expected(sent: dict[str, Any]) -> dict[str, Any]:
    """Return what must go out for what was sent: the same, but that `stream_options` need a stream."""
    same: dict[str, Any] = without_nulls(sent)
    if not same.get("stream"):
        same.pop("stream_options", None)
    return same


@pytest.mark.parametrize("path", FUNCTIONS)
def test_recorded_bodies_go_out_as_they_were(wire, client, path):
    """What OpenAI accepted from others is sent in the same words, no parameter renamed or lost."""
    wire.answer = lambda _: httpx.Response(418)
    sent = bodies(path)
    assert sent
    for body in sent:
        fields = {**body, "model": f"openai/{body.get('model', '')}"}
        if fields["model"] == "openai/":
            fields |= {"model": None, "provider": "openai"}
        if path == "/v1/responses":
            fields.setdefault("input", None)
        with pytest.raises(errors.APIError):
            getattr(client, FUNCTIONS[path])(**fields)
        got = json.loads(wire.last.content)
        want = expected(body)
        if "model" not in want:
            got.pop("model", None)  # the default of moderation
        assert without_nulls(got) == want
