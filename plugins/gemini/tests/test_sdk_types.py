"""Every body that goes to Gemini is one that the official SDK allows: google-genai, whose models forbid extras."""

from __future__ import annotations

from typing import Any

import pytest
from matrix import PDF_URL, products

from polyport.building import build
from polyport.types.chat import ChatRequest
from polyport.types.record import Options
from polyport_gemini.body import render
from polyport_gemini.contents import Contents
from polyport_gemini.door import GEMINI_API

types = pytest.importorskip("google.genai.types")
pydantic = pytest.importorskip("pydantic")

DROP = Options(drop_params=True)
#: A request's fields, as the SDK's converter `_GenerateContentConfig_to_mldev` sets them.
FIELDS: dict[str, Any] = {
    "contents": list[types.Content],
    "systemInstruction": types.Content,
    "tools": list[types.Tool],
    "toolConfig": types.ToolConfig,
    "safetySettings": list[types.SafetySetting],
    "cachedContent": str,
    "serviceTier": types.ServiceTier,
    "store": bool,
    "labels": dict[str, str],
    "generationConfig": types.GenerateContentConfig,
}


READERS = {name: pydantic.TypeAdapter(kind) for name, kind in FIELDS.items()}


def wrong(body: dict[str, Any]) -> list[str]:
    """Return what the SDK's types have against a body."""
    errors = [f"{name} is unknown" for name in body.keys() - FIELDS.keys()]
    for name in body.keys() & FIELDS.keys():
        try:
            READERS[name].validate_python(body[name], by_alias=True, by_name=False)
        except pydantic.ValidationError as error:
            errors.append(f"{name}: {error}")
    return errors


@pytest.mark.parametrize(
    "model", ["gemini-3.5-flash", "gemini-3.1-pro-preview", "gemini-2.5-flash", "gemini-2.0-flash"]
)
def test_chat_bodies(model):
    """Every history with every set of tools and parameters, for models of three generations."""
    number = 0
    for name, fields in products():
        request = build(ChatRequest, dict(fields), DROP)
        request.model = model
        assert wrong(render(request, Contents(request, GEMINI_API), GEMINI_API)) == [], name
        number += 1
    assert number > 4000


OWN: dict[str, Any] = {
    "safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "cached_content": "cachedContents/1",
    "thinking_config": {"thinking_budget": 100, "include_thoughts": True},
    "image_config": {"aspect_ratio": "16:9", "image_size": "2K"},
    "media_resolution": "MEDIA_RESOLUTION_LOW",
    "response_schema": {"type": "OBJECT", "properties": {"a_b": {"type": "STRING"}}},
    "generation_config": {"speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}}},
    "tool_config": {"retrieval_config": {"lat_lng": {"latitude": 1, "longitude": 2}}},
    "labels": {"my_team": "a"},
    "tools": [
        {"googleSearch": {}},
        {"type": "code_execution"},
        {"type": "url_context"},
        {"type": "google_maps", "enable_widget": True},
        {"type": "file_search", "vector_store_ids": ["fileSearchStores/1"]},
        {"type": "mcp", "server_label": "docs", "server_url": "https://mcp.example", "authorization": "t"},
        {"type": "computer_use", "environment": "ENVIRONMENT_BROWSER"},
    ],
}


def test_parameters_of_gemini_itself():
    """Gemini's own parameters, in either spelling, go where the SDK has them; names of the user's own stay."""
    request = build(ChatRequest, {"messages": [{"role": "user", "content": "x"}], **OWN}, DROP)
    request.model = "gemini-2.5-pro"
    body = render(request, Contents(request, GEMINI_API), GEMINI_API)
    assert wrong(body) == []
    assert body["generationConfig"]["responseSchema"]["properties"] == {"a_b": {"type": "STRING"}}
    assert body["labels"] == {"my_team": "a"}
    assert PDF_URL not in str(body)
