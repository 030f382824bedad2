"""Every capability that official clients have and the gateway answers, with only base URL and key changed.

The provider is simulated on real sockets, in OpenAI's, Anthropic's and Cohere's dialects; `test_local_models.py` has
real models.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest

from .services import Answering, Local, listening

anthropic = pytest.importorskip("anthropic")
openai = pytest.importorskip("openai")
pydantic = pytest.importorskip("pydantic")
cohere = pytest.importorskip("cohere")
langchain_openai = pytest.importorskip("langchain_openai")
pytest.importorskip("polyport_openai")
pytest.importorskip("polyport_anthropic")
pytest.importorskip("polyport_cohere")

KEY = "sk-master-1234"
HELLO = [{"role": "user", "content": "Hello?"}]
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
LOOK = {
    "name": "look",
    "description": "Look.",
    "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
}
TOOL = {"type": "function", "function": LOOK}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sea"}'}}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)
WAV = b"RIFF\0\0\0\0WAVE" + bytes(64)
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{base64.b64encode(PNG).decode()}"}}
SOUND = {"type": "input_audio", "input_audio": {"data": base64.b64encode(WAV).decode(), "format": "wav"}}
FILE = {"id": "file-1", "object": "file", "bytes": 3, "created_at": 1, "filename": "f.jsonl", "purpose": "batch",
        "status": "processed"}  # fmt: skip
BATCH = {"id": "batch_1", "object": "batch", "endpoint": "/v1/chat/completions", "status": "in_progress",
         "input_file_id": "file-1", "completion_window": "24h", "created_at": 1}  # fmt: skip
VIDEO = {"id": "video_1", "object": "video", "model": "sora-2", "status": "completed", "progress": 100, "created_at": 1,
         "seconds": "4", "size": "720x1280"}  # fmt: skip
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
COUNTED = {"input_tokens": 7, "output_tokens": 3}


class Vendors(Local):
    """Simulated vendors. `asked` has (method, path, body) of every request, JSON decoded."""

    def __init__(self, handler: type[Handler] | None = None) -> None:
        super().__init__(handler or Handler)
        self.asked: list[tuple[str, str, Any]] = []

    @property
    def last(self) -> Any:
        return self.asked[-1][2]


class Handler(Answering):
    """Answers by the first of `answers` that fits, which are ANSWERS unless a subclass has others."""

    server: Vendors
    answers: Sequence[tuple[str, Callable[[Any], Any]]] = ()

    def serve(self) -> None:
        data = self.body()
        body = json.loads(data) if data[:1] == b"{" else data
        path = self.path.partition("?")[0].removeprefix("/v1")
        self.server.asked.append((self.command, path, body))
        asked = f"{self.command} {path}"
        answer = next((answer for pattern, answer in self.answers or ANSWERS if re.fullmatch(pattern, asked)), None)
        assert answer is not None, asked
        told = answer(body)
        kind = "application/json"
        if isinstance(told, tuple):
            kind, told = told
        elif not isinstance(told, bytes):
            told = json.dumps(told).encode()
        self.send(told, **{"content-type": kind})


def events(found: list[dict[str, Any]], *, named: bool = True, done: bool = False) -> tuple[str, bytes]:
    """Return server-sent events."""
    lines = [
        *(
            f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" if named else f"data: {json.dumps(one)}\n\n"
            for one in found
        ),
        *(["data: [DONE]\n\n"] if done else []),
    ]
    return "text/event-stream", "".join(lines).encode()


def chat(body: Any) -> Any:
    """Call the tool that there is, answer in JSON if that is asked for, else say hello."""
    frame = {"id": "c1", "created": 1, "model": body["model"]}
    called = bool(body.get("tools")) and body["messages"][-1]["role"] != "tool"
    text = '{"city": "Paris", "people": 2}' if body.get("response_format") else "Well, hello"
    message = {"content": None, "tool_calls": [CALL]} if called else {"content": text}
    finish = "tool_calls" if called else "stop"
    if not body.get("stream"):
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
        return {**frame, "object": "chat.completion", "choices": [choice], "usage": USAGE}
    half = len(text) // 2
    start = {**CALL, "function": {"name": "look", "arguments": '{"at": '}}
    deltas: list[dict[str, Any]] = (
        [{"tool_calls": [{"index": 0, **start}]}, {"tool_calls": [{"index": 0, "function": {"arguments": '"sea"}'}}]}]
        if called
        else [{"content": text[:half]}, {"content": text[half:]}]
    )
    frame["object"] = "chat.completion.chunk"
    chunks = [{**frame, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
              for delta in [{"role": "assistant", "content": None if called else ""}, *deltas]]  # fmt: skip
    chunks.append({**frame, "object": "chat.completion.chunk",
                   "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})  # fmt: skip
    chunks.append({**frame, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
    return events(chunks, named=False, done=True)


def text(body: Any) -> Any:
    """Continue a text."""
    told = {"id": "t1", "object": "text_completion", "created": 1, "model": body["model"], "usage": USAGE,
            "choices": [{"index": 0, "text": " world", "finish_reason": "stop", "logprobs": None}]}  # fmt: skip
    return events([told], named=False, done=True) if body.get("stream") else told


def respond(body: Any) -> Any:
    """Answer in the shape of the Responses API."""
    part = {"type": "output_text", "text": "hello", "annotations": []}
    called = {"type": "function_call", "id": "f", "call_id": "call_1", "name": "look", "arguments": '{"at": "sea"}',
              "status": "completed"}  # fmt: skip
    message = {"type": "message", "id": "o", "role": "assistant", "status": "completed", "content": [part]}
    item = called if body.get("tools") else message
    name = (body.get("metadata") or {}).get("id", "r1")
    told = {"id": name, "object": "response", "created_at": 1, "model": "gpt-4o", "status": "completed",
            "output": [item], "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
            "usage": {**COUNTED, "total_tokens": 10, "input_tokens_details": {"cached_tokens": 0},
                      "output_tokens_details": {"reasoning_tokens": 0}}}  # fmt: skip
    if not body.get("stream"):
        return told
    place = {"item_id": "o", "output_index": 0, "content_index": 0}
    begun, empty = {**told, "status": "in_progress", "output": [], "usage": None}, {**message, "content": []}
    return events([
        {"type": "response.created", "sequence_number": 0, "response": begun},
        {"type": "response.output_item.added", "sequence_number": 1, "output_index": 0, "item": empty},
        {"type": "response.content_part.added", "sequence_number": 2, **place, "part": {**part, "text": ""}},
        {"type": "response.output_text.delta", "sequence_number": 3, **place, "delta": "hello", "logprobs": []},
        {"type": "response.output_text.done", "sequence_number": 4, **place, "text": "hello", "logprobs": []},
        {"type": "response.content_part.done", "sequence_number": 5, **place, "part": part},
        {"type": "response.output_item.done", "sequence_number": 6, "output_index": 0, "item": message},
        {"type": "response.completed", "sequence_number": 7, "response": told},
    ])  # fmt: skip


def embed(body: Any) -> Any:
    """Return two numbers for each text, in the encoding that is asked for."""
    vector: Any = [0.5, -1.0]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
    inputs = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [{"object": "embedding", "index": place, "embedding": vector} for place in range(len(inputs))]
    return {"object": "list", "model": "e", "data": data, "usage": {"prompt_tokens": 2, "total_tokens": 2}}


def transcribe(body: bytes) -> Any:
    """Write down, in the format that is asked for."""
    if b"\r\n\r\nsrt\r\n" in body:
        return "text/plain", b"1\n00:00:00,000 --> 00:00:01,000\nhi\n"
    if b"\r\n\r\nverbose_json\r\n" in body:
        segment = {"id": 0, "start": 0.0, "end": 1.0, "text": "hi", "seek": 0, "tokens": [1], "temperature": 0.0,
                   "avg_logprob": -0.1, "compression_ratio": 1.0, "no_speech_prob": 0.0}  # fmt: skip
        return {"task": "transcribe", "language": "english", "duration": 1.0, "text": "hi", "segments": [segment]}
    return {"text": "hi"}


def message(body: Any) -> Any:
    """Answer in the shape of the Messages API: with a thought, where thinking is asked for, and a call of a tool."""
    content: list[dict[str, Any]] = [THOUGHT] if body.get("thinking") else []
    calling = bool(body.get("tools")) and not isinstance(body["messages"][-1]["content"], list)
    last: dict[str, Any] = (
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"at": "sea"}} if calling
        else {"type": "text", "text": "Well, hello"}
    )  # fmt: skip
    content.append(last)
    stop = "tool_use" if calling else "end_turn"
    told = {"id": "m1", "type": "message", "role": "assistant", "model": body["model"], "content": content,
            "stop_reason": stop, "stop_sequence": None, "usage": COUNTED}  # fmt: skip
    if not body.get("stream"):
        return told
    found: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**told, "content": [], "stop_reason": None,
                                              "usage": {"input_tokens": 7, "output_tokens": 1}}},
        {"type": "ping"},
    ]  # fmt: skip
    for index, block in enumerate(content):
        kind = block["type"]
        bare, deltas = {
            "thinking": ({"type": kind, "thinking": "", "signature": ""},
                         [{"type": "thinking_delta", "thinking": "Hm."},
                          {"type": "signature_delta", "signature": "c2ln"}]),
            "tool_use": ({**block, "input": {}}, [{"type": "input_json_delta", "partial_json": '{"at": "sea"}'}]),
            "text": ({"type": kind, "text": ""}, [{"type": "text_delta", "text": "Well, "},
                                                  {"type": "text_delta", "text": "hello"}]),
        }[kind]  # fmt: skip
        found.append({"type": "content_block_start", "index": index, "content_block": bare})
        found += [{"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas]
        found.append({"type": "content_block_stop", "index": index})
    found.append(
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}, "usage": {"output_tokens": 3}}
    )
    return events([*found, {"type": "message_stop"}])


def ranked(body: Any) -> Any:
    """Rank the last first."""
    order = list(reversed(range(len(body["documents"]))))
    results = [{"index": index, "relevance_score": 0.9 - place / 10} for place, index in enumerate(order)]
    return {"id": "k", "results": results, "meta": {"billed_units": {"search_units": 1}}}


ANSWERS: list[tuple[str, Callable[[Any], Any]]] = [
    ("POST /chat/completions", chat),
    ("POST /completions", text),
    ("POST /responses", respond),
    ("GET /responses/r1", lambda _: respond({})),
    ("POST /embeddings", embed),
    ("POST /images/(generations|edits|variations)", lambda _: {"created": 1, "data": [{"b64_json": "aGk="}]}),
    ("POST /audio/transcriptions", transcribe),
    ("POST /audio/translations", lambda _: {"text": "hello"}),
    ("POST /audio/speech", lambda _: ("audio/mpeg", b"ID3" + b"sound" * 4000)),
    ("POST /moderations", lambda _: {"id": "m", "model": "mod", "results": [
        {"flagged": True, "categories": {"violence": True}, "category_scores": {"violence": 0.9},
         "category_applied_input_types": {"violence": ["text"]}}]}),
    ("POST /files|GET /files/file-1", lambda _: FILE),
    ("GET /files", lambda _: {"object": "list", "data": [FILE], "has_more": False}),
    ("DELETE /files/file-1", lambda _: {"id": "file-1", "object": "file", "deleted": True}),
    ("GET /files/file-1/content", lambda _: ("application/jsonl", b'{"a": 1}\n')),
    ("POST /batches|GET /batches/batch_1", lambda _: BATCH),
    ("POST /batches/batch_1/cancel", lambda _: {**BATCH, "status": "cancelling"}),
    ("GET /batches", lambda _: {"object": "list", "data": [BATCH], "has_more": False}),
    ("POST /videos|GET /videos/[^/]+", lambda _: VIDEO),
    ("GET /videos", lambda _: {"object": "list", "data": [VIDEO], "has_more": False}),
    ("DELETE /videos/[^/]+", lambda _: {"id": "video_1", "object": "video.deleted", "deleted": True}),
    ("GET /videos/[^/]+/content", lambda _: ("video/mp4", b"film" * 9)),
    ("POST /videos/[^/]+/remix", lambda _: VIDEO),
    ("POST /messages", message),
    ("POST /messages/count_tokens", lambda _: {"input_tokens": 7}),
    ("POST (/v2)?/rerank", ranked),
]  # fmt: skip


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    """The vendors."""
    with listening(Vendors()) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(vendors: Vendors, start: Callable[..., Any]) -> Any:
    """A gateway in front of them."""
    models = {
        "gpt": "openai/gpt-4o", "text": "openai/gpt-3.5-turbo-instruct", "embed": "openai/text-embedding-3-small",
        "paint": "openai/gpt-image-1", "vary": "openai/dall-e-2", "sound": "openai/whisper-1", "voice": "openai/tts-1",
        "moderate": "openai/omni-moderation-latest", "film": "openai/sora-2", "claude": "anthropic/claude-sonnet-4-5",
        "rank": "cohere/rerank-v3.5",
    }  # fmt: skip
    bases = {"openai": f"{vendors.address}/v1"}
    listed = [
        {"model_name": name, "litellm_params": {
            "model": model, "api_key": "sk-u", "api_base": bases.get(model.partition("/")[0], vendors.address)}}
        for name, model in models.items()
    ]  # fmt: skip
    return start({"model_list": listed, "general_settings": {"master_key": KEY}, "router_settings": {"num_retries": 0}})


@pytest.fixture
def client(gateway: Any) -> Iterator[openai.OpenAI]:
    """OpenAI's SDK."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


# --- openai ---


@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_openai_tools(client: Any, model: str, vendors: Vendors) -> None:
    """A call, whole and in pieces, and its answer going back; over OpenAI's models and over another vendor's."""
    asked = {"model": model, "messages": HELLO, "tools": [TOOL]}
    answer = client.chat.completions.create(**asked, tool_choice="auto").choices[0]
    (call,) = answer.message.tool_calls
    assert (answer.finish_reason, call.function.name, json.loads(call.function.arguments)) == (
        "tool_calls", "look", {"at": "sea"},
    )  # fmt: skip
    with client.chat.completions.stream(**asked) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion().choices[0]
    assert "tool_calls.function.arguments.delta" in kinds
    assert json.loads(final.message.tool_calls[0].function.arguments) == {"at": "sea"}
    told = {"role": "tool", "tool_call_id": call.id, "content": "blue"}
    history = [*HELLO, answer.message.model_dump(exclude_none=True), told]
    again = client.chat.completions.create(model=model, messages=history, tools=[TOOL])
    assert again.choices[0].message.content == "Well, hello"


class City(pydantic.BaseModel):
    """What is asked for."""

    city: str
    people: int


def test_openai_structured_outputs(client: Any, vendors: Vendors) -> None:
    """A class goes as a schema and comes back as an instance, whole and streamed."""
    answer = client.chat.completions.parse(model="gpt", messages=HELLO, response_format=City)
    assert answer.choices[0].message.parsed == City(city="Paris", people=2)
    assert vendors.last["response_format"]["json_schema"]["strict"] is True
    with client.chat.completions.stream(model="gpt", messages=HELLO, response_format=City) as stream:
        assert stream.get_final_completion().choices[0].message.parsed == City(city="Paris", people=2)


def test_openai_pictures_and_sound_go_in(client: Any, vendors: Vendors) -> None:
    """As parts, unchanged."""
    parts = [{"type": "text", "text": "What is this?"}, PICTURE, SOUND]
    client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": parts}])
    assert vendors.last["messages"][0]["content"] == parts


def test_openai_completions(client: Any) -> None:
    """Whole and streamed."""
    assert client.completions.create(model="text", prompt="Hello").choices[0].text == " world"
    pieces = client.completions.create(model="text", prompt="Hello", stream=True)
    assert "".join(piece.choices[0].text for piece in pieces if piece.choices) == " world"


@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_openai_responses(client: Any, model: str) -> None:
    """Whole, streamed, with a tool; over a provider that has them, and bridged over one that does not."""
    text = client.responses.create(model=model, input="hi").output_text
    assert text
    with client.responses.stream(model=model, input="hi") as stream:
        found = list(stream)
    assert found[0].type == "response.created"
    assert "".join(event.delta for event in found if event.type == "response.output_text.delta") == text
    assert isinstance(found[-1], openai.types.responses.ResponseCompletedEvent)
    assert found[-1].response.usage.total_tokens == 10
    called = client.responses.create(
        model=model, input="hi", tools=[{"type": "function", "strict": False, **LOOK}]
    ).output
    assert [(one.name, json.loads(one.arguments)) for one in called if one.type == "function_call"] == [
        ("look", {"at": "sea"})
    ]


def test_openai_responses_are_retrieved(client: Any) -> None:
    """By their id, from the one provider that keeps some."""
    assert client.responses.retrieve("r1").output_text == "hello"


def test_openai_embeddings(client: Any, vendors: Vendors) -> None:
    """As numbers, and as the base64 that the SDK asks for by itself."""
    assert [one.embedding for one in client.embeddings.create(model="embed", input=["a", "b"]).data] == [
        [0.5, -1.0]
    ] * 2
    assert vendors.last["encoding_format"] == "base64"
    assert client.embeddings.create(model="embed", input="a", encoding_format="float").data[0].embedding == [0.5, -1.0]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own, of methods that it will drop
def test_openai_images(client: Any, vendors: Vendors) -> None:
    """Generated, edited, varied."""
    assert client.images.generate(model="paint", prompt="a dot", size="1024x1024").data[0].b64_json == "aGk="
    mask = ("m.png", PNG)
    assert client.images.edit(model="paint", image=[("a.png", PNG)], mask=mask, prompt="x").data[0].b64_json == "aGk="
    assert client.images.create_variation(model="vary", image=("a.png", PNG), n=1).data[0].b64_json == "aGk="
    assert PNG in vendors.last


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own, of methods that it will drop
def test_openai_audio(client: Any) -> None:
    """Written down in every format, translated, spoken, the speech as it comes."""
    file = ("a.wav", WAV)
    assert client.audio.transcriptions.create(model="sound", file=file).text == "hi"
    verbose = client.audio.transcriptions.create(
        model="sound", file=file, response_format="verbose_json", timestamp_granularities=["segment"]
    )
    assert (verbose.segments[0].text, verbose.duration) == ("hi", 1.0)
    assert "-->" in client.audio.transcriptions.create(model="sound", file=file, response_format="srt")
    assert client.audio.translations.create(model="sound", file=file).text == "hello"
    speech = client.audio.speech.create(model="voice", voice="alloy", input="hi")
    assert speech.content.startswith(b"ID3")
    with client.audio.speech.with_streaming_response.create(model="voice", voice="alloy", input="hi") as reply:
        assert b"".join(reply.iter_bytes()) == speech.content


def test_openai_moderations(client: Any) -> None:
    """One text, or several."""
    assert client.moderations.create(model="moderate", input=["grr", "hi"]).results[0].categories.violence


def test_openai_files_and_batches(client: Any) -> None:
    """From the upload to the results; the provider that can is the only one asked."""
    extra = {"extra_query": {"provider": "openai"}}
    assert client.files.create(file=("f.jsonl", b'{"a": 1}\n'), purpose="batch", **extra).id == "file-1"
    assert client.files.retrieve("file-1", **extra).filename == "f.jsonl"
    assert [one.id for one in client.files.list(**extra)] == ["file-1"]
    assert client.files.content("file-1", **extra).content == b'{"a": 1}\n'
    made = client.batches.create(
        input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h", **extra
    )
    assert client.batches.retrieve(made.id, **extra).status == "in_progress"
    assert client.batches.cancel(made.id, **extra).status == "cancelling"
    assert [one.id for one in client.batches.list(**extra)] == ["batch_1"]
    assert client.files.delete("file-1", **extra).deleted


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK's own, of methods that it will drop
def test_openai_videos(client: Any) -> None:
    """A job's id is enough for all that follows."""
    job = client.videos.create(model="film", prompt="waves", seconds="4")
    assert client.videos.retrieve(job.id).status == "completed"
    assert client.videos.download_content(job.id).read() == b"film" * 9
    assert client.videos.remix(job.id, prompt="rain").id
    assert [one.status for one in client.videos.list()] == ["completed"]
    assert client.videos.delete(job.id).deleted


def test_openai_async(gateway: Any) -> None:
    """The asynchronous SDK, with several streams at once."""

    async def ask(client: openai.AsyncOpenAI) -> str:
        stream: Any = await client.chat.completions.create(model="gpt", messages=HELLO, stream=True)  # type: ignore[call-overload]
        return "".join([chunk.choices[0].delta.content or "" async for chunk in stream])

    async def run() -> list[str]:
        async with openai.AsyncOpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as client:
            return list(await asyncio.gather(*(ask(client) for _ in range(8))))

    assert asyncio.run(run()) == ["Well, hello"] * 8


@pytest.mark.parametrize("stream", [True, False])
def test_openai_responses_go_on(gateway: Any, client: Any, stream: bool) -> None:
    """From one that was streamed as from one that was not; for the key that made it, and for no other."""
    headers = {"authorization": f"Bearer {KEY}"}
    mine, other = (
        httpx.post(f"{gateway.url}/key/generate", json={}, headers=headers, timeout=60).json()["key"] for _ in "ab"
    )
    asked = {"model": "gpt", "input": "hi", "metadata": {"id": f"r_{stream}"}}
    if stream:
        for _ in client.with_options(api_key=mine).responses.create(**asked, stream=True):
            pass
    else:
        client.with_options(api_key=mine).responses.create(**asked)
    more = {"model": "gpt", "input": "and?", "previous_response_id": f"r_{stream}"}
    assert client.with_options(api_key=mine).responses.create(**more).output_text == "hello"
    with pytest.raises(openai.NotFoundError, match="not yours"):
        client.with_options(api_key=other).responses.create(**more)


# --- anthropic ---


@pytest.fixture(params=["api_key", "auth_token"])
def claude(gateway: Any, request: pytest.FixtureRequest) -> Iterator[Any]:
    """Anthropic's SDK, with either style of header."""
    with anthropic.Anthropic(base_url=gateway.url, max_retries=0, **{request.param: KEY}) as made:
        yield made


SEE = {"name": "look", "description": "Look.", "input_schema": LOOK["parameters"]}


@pytest.mark.parametrize("model", ["claude", "gpt"])
def test_anthropic_tools(claude: Any, model: str) -> None:
    """A call, whole and streamed, and its result going back."""
    asked = {"model": model, "max_tokens": 99, "messages": HELLO, "tools": [SEE]}
    answer = claude.messages.create(**asked)
    (call,) = (block for block in answer.content if block.type == "tool_use")
    assert (answer.stop_reason, call.name, call.input) == ("tool_use", "look", {"at": "sea"})
    with claude.messages.stream(**asked) as stream:
        final = stream.get_final_message()
    assert [block.input for block in final.content if block.type == "tool_use"] == [{"at": "sea"}]
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "blue"}]}
    history = [*HELLO, {"role": "assistant", "content": answer.content}, result]
    again = claude.messages.create(**{**asked, "messages": history})
    assert again.content[-1].text == "Well, hello"


def test_anthropic_thinking_goes_back_as_it_came(claude: Any, vendors: Vendors) -> None:
    """With its signature, whole or streamed."""
    asked = {"model": "claude", "max_tokens": 2000, "thinking": {"type": "enabled", "budget_tokens": 1024}}
    with claude.messages.stream(**asked, messages=HELLO) as stream:
        streamed = stream.get_final_message()
    whole = claude.messages.create(**asked, messages=HELLO)
    for answer in (streamed, whole):
        assert answer.content[0].model_dump(exclude_none=True) == THOUGHT
        more = [*HELLO, {"role": "assistant", "content": answer.content}, {"role": "user", "content": "And?"}]
        claude.messages.create(**asked, messages=more)
        assert vendors.last["messages"][1]["content"][0] == THOUGHT
    assert (streamed.usage.input_tokens, streamed.usage.output_tokens) == (7, 3)


@pytest.mark.parametrize("model", ["claude", "gpt"])
def test_anthropic_betas(claude: Any, vendors: Vendors, model: str) -> None:
    """The SDK's beta resources: their addresses and headers say so, and no body does."""
    asked = {"model": model, "max_tokens": 99, "messages": HELLO, "betas": ["b-2026"]}
    assert claude.beta.messages.create(**asked).content[-1].text == "Well, hello"
    assert not {"beta", "betas"} & vendors.last.keys()
    assert claude.beta.messages.count_tokens(model=model, messages=HELLO).input_tokens > 0
    assert "claude" in [one.id for one in claude.beta.models.list()]


def test_anthropic_models(claude: Any) -> None:
    """Listed and looked up in Anthropic's shape; one that is not there is an error of it, too."""
    assert {"claude", "gpt"} <= {one.id for one in claude.models.list()}
    assert (claude.models.retrieve("claude").type, claude.models.retrieve("claude").display_name) == ("model", "claude")
    with pytest.raises(anthropic.NotFoundError, match="not_found_error"):
        claude.models.retrieve("nope")


@pytest.mark.parametrize("model", ["claude", "gpt"])
def test_anthropic_counts_tokens(claude: Any, model: str) -> None:
    """As the provider counts, or about, where it cannot."""
    assert claude.messages.count_tokens(model=model, messages=HELLO).input_tokens > 0


# --- cohere ---


@pytest.mark.parametrize("kind", ["Client", "ClientV2"])
@pytest.mark.parametrize("blocking", [True, False])
def test_cohere_rerank(gateway: Any, kind: str, blocking: bool) -> None:
    """Both interfaces, both ways of calling."""
    asked = {"model": "rank", "query": "q", "documents": ["a", "b", "c"], "top_n": 3}

    async def later() -> Any:
        async with httpx.AsyncClient(timeout=60) as http:
            return await getattr(cohere, f"Async{kind}")(api_key=KEY, base_url=gateway.url, httpx_client=http).rerank(
                **asked
            )

    if blocking:
        with httpx.Client(timeout=60) as http:
            found = getattr(cohere, kind)(api_key=KEY, base_url=gateway.url, httpx_client=http).rerank(**asked)
    else:
        found = asyncio.run(later())
    assert [one.index for one in found.results] == [2, 1, 0]


def test_cohere_says_all_that_it_can_of_a_ranking(gateway: Any, vendors: Vendors) -> None:
    """Documents with fields, given back or not; how long they may be, how urgent it is; what was billed."""
    with httpx.Client(timeout=60) as http:
        first = cohere.Client(api_key=KEY, base_url=gateway.url, httpx_client=http)
        documents = [{"text": "a", "title": "A"}, {"text": "b", "title": "B"}]
        found = first.rerank(
            model="rank", query="q", documents=documents, rank_fields=["title", "text"], return_documents=True
        )
        assert [one.document.text for one in found.results] == ["b", "a"]
        assert found.meta.billed_units.search_units == 1
        second = cohere.ClientV2(api_key=KEY, base_url=gateway.url, httpx_client=http)
        found = second.rerank(model="rank", query="q", documents=["a", "b"], max_tokens_per_doc=9, priority=1)
        assert [one.index for one in found.results] == [1, 0]
        assert (vendors.last["max_tokens_per_doc"], vendors.last["priority"]) == (9, 1)


def test_cohere_models(gateway: Any) -> None:
    """Listed and looked up in Cohere's shape."""
    with httpx.Client(timeout=60) as http:
        client = cohere.ClientV2(api_key=KEY, base_url=gateway.url, httpx_client=http)
        assert {"rank", "gpt"} <= {one.name for one in client.models.list().models}
        assert client.models.get("rank").name == "rank"
        with pytest.raises(cohere.errors.NotFoundError):
            client.models.get("nope")


def test_cohere_is_told_of_errors(gateway: Any) -> None:
    """As its own classes: a key, a model, and what a provider does not have."""
    with httpx.Client(timeout=60) as http:
        about = {"base_url": gateway.url, "httpx_client": http}
        with pytest.raises(cohere.errors.UnauthorizedError):
            cohere.ClientV2(api_key="sk-wrong", **about).rerank(model="rank", query="q", documents=["a"])
        client = cohere.ClientV2(api_key=KEY, **about)
        with pytest.raises(cohere.errors.NotFoundError) as unknown:
            client.rerank(model="nope", query="q", documents=["a"])
        assert "nope" in unknown.value.body["message"]
        with pytest.raises(cohere.core.api_error.ApiError) as without:
            client.rerank(model="gpt", query="q", documents=["a"])
        assert "has no rerank" in without.value.body["message"]


# --- langchain ---


@pytest.fixture(scope="module")
def about(gateway: Any) -> Iterator[dict[str, Any]]:
    """How langchain's classes are told of the gateway."""
    with httpx.Client(timeout=60) as http:
        yield {"base_url": f"{gateway.url}/v1", "api_key": KEY, "max_retries": 0, "http_client": http}


@pytest.fixture(scope="module", params=["chat completions", "responses"])
def talk(about: dict[str, Any], request: pytest.FixtureRequest) -> Any:
    """A chat, over either of OpenAI's interfaces."""
    responses = request.param == "responses"
    return langchain_openai.ChatOpenAI(model="gpt", use_responses_api=responses, stream_usage=True, **about)


def test_langchain_answers(talk: Any) -> None:
    """Invoked, streamed, several at once; with what was used."""
    said = talk.invoke("Hello?")
    assert said.text in ("Well, hello", "hello")
    assert said.usage_metadata["total_tokens"] == 10
    pieces = list(talk.stream("Hello?"))
    assert "".join(piece.text for piece in pieces) == said.text
    assert sum(piece.usage_metadata["total_tokens"] for piece in pieces if piece.usage_metadata) == 10
    assert [one.text for one in talk.batch(["a", "b", "c"])] == [said.text] * 3


def test_langchain_calls_tools(talk: Any, vendors: Vendors) -> None:
    """A call, and its result going back."""
    from langchain_core.messages import HumanMessage, ToolMessage

    bound = talk.bind_tools([TOOL], tool_choice="look")
    called = bound.invoke("Look")
    assert [(one["name"], one["args"]) for one in called.tool_calls] == [("look", {"at": "sea"})]
    result = ToolMessage("blue", tool_call_id=called.tool_calls[0]["id"])
    assert talk.invoke([HumanMessage("Look"), called, result]).text
    sent = json.dumps(vendors.last)
    assert "call_1" in sent
    assert "blue" in sent


def test_langchain_streams_calls(about: dict[str, Any]) -> None:
    """Their pieces come to one call."""
    chat = langchain_openai.ChatOpenAI(model="gpt", **about).bind_tools([TOOL])
    first, *rest = chat.stream("Look")
    for piece in rest:
        first += piece
    assert [(one["name"], one["args"]) for one in first.tool_calls] == [("look", {"at": "sea"})]


@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
def test_langchain_structures_its_output(about: dict[str, Any], vendors: Vendors, method: str) -> None:
    """By a schema, or as JSON alone."""
    chat = langchain_openai.ChatOpenAI(model="gpt", **about)
    found = chat.with_structured_output(City, method=method).invoke("Where? Answer in JSON.")
    assert found == City(city="Paris", people=2)
    assert vendors.last["response_format"]["type"] == {"json_schema": "json_schema", "json_mode": "json_object"}[method]


def test_langchain_structures_its_output_by_a_call(about: dict[str, Any]) -> None:
    """A model that calls a tool with the answer."""
    chat = langchain_openai.ChatOpenAI(model="gpt", **about)
    schema = {"title": "look", "description": "Look.", **LOOK["parameters"]}  # type: ignore[dict-item]
    assert chat.with_structured_output(schema, method="function_calling").invoke("Where?") == {"at": "sea"}


def test_langchain_shows_pictures_and_sounds(talk: Any, vendors: Vendors) -> None:
    """In langchain's own words for them."""
    from langchain_core.messages import HumanMessage

    picture = {"type": "image", "base64": base64.b64encode(PNG).decode(), "mime_type": "image/png"}
    assert talk.invoke([HumanMessage([{"type": "text", "text": "What is this?"}, picture])]).text
    assert base64.b64encode(PNG).decode() in json.dumps(vendors.last)
    assert vendors.asked[-1][1] in ("/chat/completions", "/responses")


def test_langchain_goes_on_from_a_response(about: dict[str, Any], vendors: Vendors) -> None:
    """By its id, with reasoning and the tools that OpenAI runs asked for."""
    chat = langchain_openai.ChatOpenAI(
        model="gpt", use_responses_api=True, use_previous_response_id=True, reasoning={"effort": "low"}, **about
    ).bind_tools([{"type": "web_search"}])
    first = chat.invoke("Hello?", extra_body={"metadata": {"id": "resp_1"}})
    assert first.response_metadata["id"] == "resp_1"
    chat.invoke([("human", "Hello?"), first, ("human", "And?")])
    assert (vendors.last["previous_response_id"], vendors.last["reasoning"]) == ("resp_1", {"effort": "low"})
    assert vendors.last["tools"][0]["type"] == "web_search"


def test_langchain_embeds(about: dict[str, Any], vendors: Vendors) -> None:
    """Documents and queries, of as many numbers as are asked for."""
    vectors = langchain_openai.OpenAIEmbeddings(model="embed", dimensions=2, check_embedding_ctx_length=False, **about)
    assert vectors.embed_documents(["a", "b"]) == [[0.5, -1.0]] * 2
    assert vectors.embed_query("a") == [0.5, -1.0]
    assert vendors.last["dimensions"] == 2


def test_langchain_completes_and_is_told_of_errors(about: dict[str, Any]) -> None:
    """Text without a chat; an unknown model is OpenAI's error."""
    assert langchain_openai.OpenAI(model="text", **about).invoke("Hello") == " world"
    with pytest.raises(openai.NotFoundError, match="nope"):
        langchain_openai.ChatOpenAI(model="nope", **about).invoke("Hello?")


def test_langchain_waits_for_nobody(gateway: Any) -> None:
    """Its asynchronous side, with several streams at once."""

    async def run() -> list[str]:
        async with httpx.AsyncClient(timeout=60) as http:
            chat = langchain_openai.ChatOpenAI(
                model="gpt", base_url=f"{gateway.url}/v1", api_key=KEY, http_async_client=http
            )

            async def ask() -> str:
                return "".join([piece.text async for piece in chat.astream("Hello?")])

            return [*await asyncio.gather(*(ask() for _ in range(4))), (await chat.ainvoke("Hello?")).text]

    assert asyncio.run(run()) == ["Well, hello"] * 5
