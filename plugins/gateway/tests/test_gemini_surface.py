"""The official `google-genai` SDK with only base URL and key changed, over a provider of OpenAI's dialect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from .services import Answering, Local, listening

genai = pytest.importorskip("google.genai")
pytest.importorskip("polyport_openai")
KEY = "sk-master-1234"


@pytest.fixture(params=["v1", "v1beta"])
def client(gateway: Any, well: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """The SDK, on the gateway, with either version."""
    with httpx.Client(timeout=60) as http:
        options = {"base_url": gateway.url, "api_version": request.param, "httpx_client": http}
        yield genai.Client(api_key=KEY, http_options=options)


CONFIG = {
    "system_instruction": "Be brief.",
    "temperature": 0.5,
    "max_output_tokens": 20,
    "response_mime_type": "application/json",
    "response_schema": {"type": "OBJECT", "properties": {"type": {"type": "STRING", "nullable": True}}},
    "tools": [{"function_declarations": [{"name": "look", "description": "Look.", "parameters": {"type": "OBJECT"}}]}],
    "tool_config": {"function_calling_config": {"mode": "ANY"}},
}


def test_contents_are_generated(client: Any, well: Any) -> None:
    """A request with all that chats have becomes that chat."""
    answer = client.models.generate_content(model="gpt", contents="Hello?", config=CONFIG)
    assert answer.text == "Well, hello"
    assert (answer.usage_metadata.total_token_count, answer.candidates[0].finish_reason.name) == (10, "STOP")
    schema = {"type": "object", "properties": {"type": {"type": ["string", "null"]}}}
    sent = well.last
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello?"}]
    assert sent["response_format"] == {"type": "json_schema", "json_schema": {"name": "response", "schema": schema}}
    assert sent["tools"][0]["function"] == {"name": "look", "description": "Look.", "parameters": {"type": "object"}}
    assert (sent["tool_choice"], sent["temperature"]) == ("required", 0.5)


def test_a_conversation_with_calls_and_pictures(client: Any, well: Any) -> None:
    """Calls and their answers find each other without ids, as in Gemini's interface."""
    contents = [
        {"role": "user", "parts": [{"text": "Look"}, {"inline_data": {"mime_type": "image/png", "data": b"\x89P"}}]},
        {"role": "model", "parts": [{"function_call": {"name": "look", "args": {"at": 1}}}]},
        {"role": "user", "parts": [{"function_response": {"name": "look", "response": {"seen": True}}}]},
    ]
    client.models.generate_content(model="gpt", contents=contents)
    asked, called, answered = well.last["messages"]
    assert asked["content"][1]["image_url"]["url"] == "data:image/png;base64,iVA="
    assert called["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"at":1}'}
    assert answered["tool_call_id"] == called["tool_calls"][0]["id"]
    assert answered["content"] == '{"seen":true}'


def test_a_stream_is_responses(client: Any) -> None:
    """Text as it comes, the usage at the end."""
    chunks = list(client.models.generate_content_stream(model="gpt", contents="Hello?"))
    assert "".join(chunk.text or "" for chunk in chunks) == "Well, hello"
    assert chunks[-1].usage_metadata.total_token_count == 10


def test_tokens_are_counted(client: Any) -> None:
    """About, as this provider does not count."""
    counted = client.models.count_tokens(model="gpt", contents=["Hello?", "How are you today, and tomorrow?"])
    assert counted.total_tokens > 8


def test_texts_become_vectors(client: Any, well: Any) -> None:
    """One or several, of as many numbers as are asked for."""
    asked = {"output_dimensionality": 2}
    found = client.models.embed_content(model="embed", contents="Hello?", config=asked).embeddings
    assert [one.values for one in found] == [[0.5, -1.0]]
    assert (well.last["input"], well.last["dimensions"]) == (["Hello?"], 2)


def test_vectors_of_one_content(gateway: Any, well: Any) -> None:
    """By the address for one alone; what has no place with other vendors is refused by its path."""
    url, headers = f"{gateway.url}/v1beta/models/embed:embedContent", {"x-goog-api-key": KEY}
    asked = {"content": {"parts": [{"text": "Hello?"}]}}
    assert httpx.post(url, json=asked, headers=headers, timeout=60).json() == {"embedding": {"values": [0.5, -1.0]}}
    refused = httpx.post(url, json={**asked, "taskType": "FACT_VERIFICATION"}, headers=headers, timeout=60)
    assert (refused.status_code, "taskType" in refused.json()["error"]["message"]) == (400, True)
    many = {"requests": [asked, {**asked, "outputDimensionality": 2}]}
    mixed = httpx.post(url.replace("embedContent", "batchEmbedContents"), json=many, headers=headers, timeout=60)
    assert (mixed.status_code, "one kind" in mixed.json()["error"]["message"]) == (400, True)


def test_errors_are_googles(client: Any) -> None:
    """With Google's word for the status."""
    with pytest.raises(genai.errors.ClientError) as unknown:
        client.models.generate_content(model="nope", contents="x")
    assert (unknown.value.code, unknown.value.status) == (404, "NOT_FOUND")
    with pytest.raises(genai.errors.ClientError, match="safetySettings"):
        client.models.generate_content(
            model="gpt",
            contents="x",
            config={"safety_settings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}]},
        )


def test_models_are_listed(gateway: Any) -> None:
    """Under v1beta, in Google's shape."""
    told = httpx.get(f"{gateway.url}/v1beta/models", headers={"x-goog-api-key": KEY}, timeout=60).json()
    assert "models/gpt" in [model["name"] for model in told["models"]]


# --- over Gemini itself ---

#: What Gemini says in one turn: a thought, a text and a call, each with what has to come back.
SAID = [
    {"text": "Hm.", "thought": True}, {"text": "Looking", "thoughtSignature": "c2lnbmVk"},
    {"functionCall": {"name": "look", "args": {}}, "thoughtSignature": "Y2FsbGVk"},
]  # fmt: skip


class Google(Local):
    """A provider that speaks Gemini's dialect. `asked` has (path, body) of every request."""

    def __init__(self) -> None:
        super().__init__(Answers)
        self.asked: list[tuple[str, Any]] = []


class Answers(Answering):
    """Answers as Gemini does."""

    server: Google

    def serve(self) -> None:
        body = json.loads(self.body())
        self.server.asked.append((self.path, body))
        candidate = {"index": 0, "content": {"role": "model", "parts": SAID}, "finishReason": "STOP",
                     "groundingMetadata": {"webSearchQueries": ["q"]}}  # fmt: skip
        told = {"candidates": [candidate], "modelVersion": "gemini-2.5-flash", "responseId": "r",
                "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}}  # fmt: skip
        sent, kind = json.dumps(told).encode(), "application/json"
        if "alt=sse" in self.path:
            sent, kind = b"data: %s\r\n\r\n" % sent, "text/event-stream"
        self.send(sent, **{"content-type": kind})


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    """Gemini, simulated."""
    with listening(Google()) as server:
        yield server


@pytest.fixture(scope="module")
def both(google: Google, upstream: Any, start: Callable[..., Any]) -> Iterator[Any]:
    """The SDK, on a gateway in front of Gemini and of another vendor."""
    pytest.importorskip("polyport_gemini")
    params = {"api_base": f"http://127.0.0.1:{google.server_port}", "api_key": "sk-u"}
    other = {"api_base": upstream.url, "api_key": "sk-u"}
    models = {
        "flash": {"model": "gemini/gemini-2.5-flash", **params},
        "gpt": {"model": "openai/gpt-4o", **other},
    }
    mixed = [{"model_name": "mixed", "params": one} for one in models.values()]
    gateway = start({
        "model_list": [*({"model_name": name, "params": one} for name, one in models.items()), *mixed],
        "general_settings": {"master_key": KEY},
    })  # fmt: skip
    with httpx.Client(timeout=60) as http:
        yield genai.Client(api_key=KEY, http_options={"base_url": gateway.url, "httpx_client": http})


@pytest.mark.parametrize("streamed", [True, False])
def test_what_only_gemini_tells_goes_both_ways(google: Google, upstream: Any, both: Any, streamed: bool) -> None:
    """Grounding is told; thoughts, texts and calls go back with their signatures; to another vendor without."""
    chat = both.chats.create(model="flash")
    answer = list(chat.send_message_stream("Hello?"))[-1] if streamed else chat.send_message("Hello?")
    assert answer.candidates[0].grounding_metadata.web_search_queries == ["q"]
    result = genai.types.Part.from_function_response(name="look", response={"seen": True})
    chat.send_message(result)
    contents = google.asked[-1][1]["contents"]
    (said,) = (one["parts"] for one in contents if one["role"] == "model")
    assert [one.get("thoughtSignature") for one in said] == [None, "c2lnbmVk", "Y2FsbGVk"]
    assert [one.get("text") for one in said] == ["Hm.", "Looking", None]
    both.chats.create(model="gpt", history=chat.get_history()).send_message("And?")
    assert upstream.last["messages"][1]["content"] == "Looking"
    assert "provider_specific_fields" not in json.dumps(upstream.last)


IMAGES: dict[str, Any] = {"image_search": {}}
SAFE = {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}
RAN = [
    {"role": "user", "parts": [{"text": "2 + 2?"}]},
    {"role": "model", "parts": [{"executable_code": {"code": "print(2 + 2)", "language": "PYTHON"}},
                                {"code_execution_result": {"outcome": "OUTCOME_OK", "output": "4"}}, {"text": "4"}]},
    {"role": "user", "parts": [{"text": "Sure?"}]},
]  # fmt: skip


def test_what_only_gemini_takes_goes_to_gemini(google: Google, both: Any) -> None:
    """Its settings, its tools, and what they did."""
    config = {
        "safety_settings": [SAFE], "media_resolution": "MEDIA_RESOLUTION_LOW", "max_output_tokens": 9,
        "tools": [{"code_execution": {}}, {"url_context": {}}, {"google_search": {"search_types": IMAGES}}],
        "speech_config": {"voice_config": {"prebuilt_voice_config": {"voice_name": "Kore"}}},
        "tool_config": {"retrieval_config": {"language_code": "de"}},
    }  # fmt: skip
    both.models.generate_content(model="flash", contents=RAN, config=config)
    sent = google.asked[-1][1]
    assert sent["safetySettings"] == [SAFE]
    assert sent["generationConfig"]["mediaResolution"] == "MEDIA_RESOLUTION_LOW"
    assert sent["generationConfig"]["maxOutputTokens"] == 9
    assert sent["generationConfig"]["speechConfig"]["voiceConfig"]["prebuiltVoiceConfig"]["voiceName"] == "Kore"
    assert sent["tools"] == [
        {"codeExecution": {}},
        {"urlContext": {}},
        {"googleSearch": {"searchTypes": IMAGES}},
    ]
    assert sent["toolConfig"]["retrievalConfig"] == {"languageCode": "de"}
    assert [[*part] for part in sent["contents"][1]["parts"]] == [["executableCode"], ["codeExecutionResult"], ["text"]]


@pytest.mark.parametrize("model", ["gpt", "mixed"])
@pytest.mark.parametrize(
    ("contents", "config", "path"),
    [
        ("x", {"safety_settings": [SAFE]}, "$.safetySettings"),
        ("x", {"media_resolution": "MEDIA_RESOLUTION_LOW"}, "$.generationConfig.mediaResolution"),
        ("x", {"tools": [{"code_execution": {}}]}, "$.tools[0].codeExecution"),
        ("x", {"tool_config": {"retrieval_config": {"language_code": "de"}}}, "$.toolConfig.retrievalConfig"),
        (RAN, {}, "$.contents[1].parts[0]"),
    ],
)
def test_what_only_gemini_takes_is_refused_of_others(
    both: Any, model: str, contents: Any, config: Any, path: str
) -> None:
    """By its path; also of a model that another vendor may answer for."""
    with pytest.raises(genai.errors.ClientError) as refused:
        both.models.generate_content(model=model, contents=contents, config=config)
    assert refused.value.code == 400
    assert f"{path} has no place in a chat of every vendor" in refused.value.message


@pytest.mark.parametrize("config", [{"cached_content": "cachedContents/1"}, {"tools": [{"file_search": {}}]}])
def test_what_gemini_keeps_is_of_no_use_to_others(both: Any, config: Any) -> None:
    """Caches and stores of files; whose they are is looked at in test_gemini_kept.py."""
    with pytest.raises(genai.errors.ClientError, match="has no place in a chat of every vendor"):
        both.models.generate_content(model="gpt", contents="x", config=config)


def test_the_sdks_other_calls(both: Any) -> None:
    """Models are listed and looked up; several texts, counted and embedded; its asynchronous side."""
    assert {"models/flash", "models/gpt"} <= {one.name for one in both.models.list()}
    assert both.models.get(model="gpt").name == "models/gpt"
    with pytest.raises(genai.errors.ClientError) as unknown:
        both.models.get(model="nope")
    assert unknown.value.status == "NOT_FOUND"

    async def later() -> Any:
        async with httpx.AsyncClient(timeout=60) as http:
            base = both._api_client._http_options.base_url
            asked = genai.Client(api_key=KEY, http_options={"base_url": base, "httpx_async_client": http}).aio
            pieces = [one async for one in await asked.models.generate_content_stream(model="gpt", contents="x")]
            whole = await asked.models.generate_content(model="gpt", contents="x")
            return "".join(one.text or "" for one in pieces), whole.text

    assert asyncio.run(later()) == ("Well, hello", "Well, hello")
