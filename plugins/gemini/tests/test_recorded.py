"""Every recorded exchange with the Gemini API reads as its body says, read here with plain JSON, not by the plugin."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import pytest
import recorded
from recorded import cut, events, is_stream, needs_recordings, payload, status

from polyport import Client, errors
from polyport.testing import Reply, Wire

pytestmark = needs_recordings

ASK = [{"role": "user", "content": "x"}]
FILTERED = {"SAFETY", "RECITATION", "PROHIBITED_CONTENT", "MODEL_ARMOR"}
#: Streams that are cut at every byte, besides those cut at random: it is slow, and short ones show as much.
SHORT = 6000


def records(endpoint: str) -> list[Any]:
    """Return the records of an endpoint as parameters, none where the recordings are not here."""
    if not recorded.FOLDER.is_dir():
        return []
    found = [record for record in recorded.records("gemini") if record["endpoint"] == endpoint]
    ours = [as_events(record) for record in found if is_ours(record)]
    return [pytest.param(record, id=f"{endpoint}-{number}") for number, record in enumerate(ours)]


def as_events(record: dict[str, Any]) -> dict[str, Any]:
    """Return a stream that was asked for without `alt=sse` (one JSON list), or kept without blank lines, as events."""
    body = record["response"]["body"] or {}
    chunks = body.get("json")
    if "data:" in body.get("sse", "") and "\n\n" not in body["sse"].replace("\r", "").strip():
        chunks = events(record)
    if not isinstance(chunks, list):
        return record
    return {**record, "response": {**record["response"], "body": {"chunks": chunks}}}


def is_ours(record: dict[str, Any]) -> bool:
    """Whether a record is of generateContent; a few are of the OpenAI-like endpoint, or of a cache among the chats."""
    text = payload(record)
    return b'"candidates"' in text or b'"error"' in text or record["endpoint"] != "chat"


class Said:
    """What a body says: text, thoughts, calls, finish, tokens, parts."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.parts: list[dict[str, Any]] = []
        self.finish = None
        self.usage: dict[str, Any] = {}
        self.supports: list[Any] = []
        self.chunks: list[Any] = []
        for document in documents:
            self.usage = document.get("usageMetadata") or self.usage
            for candidate in document["candidates"]:
                self.parts += (candidate.get("content") or {}).get("parts") or []
                self.finish = candidate.get("finishReason") or self.finish
                grounding = candidate.get("groundingMetadata") or {}
                self.supports = grounding.get("groundingSupports") or self.supports
                self.chunks = grounding.get("groundingChunks") or self.chunks
        self.text = "".join(part["text"] for part in self.parts if "text" in part and not part.get("thought"))
        self.thoughts = "".join(part["text"] for part in self.parts if "text" in part and part.get("thought"))
        self.calls = calls(self.parts)
        self.signatures = [part["thoughtSignature"] for part in self.parts if part.get("thoughtSignature")]
        self.images = [p["inlineData"]["data"] for p in self.parts if "inlineData" in p and "image" in kind(p)]
        self.cited = sum(len(support.get("groundingChunkIndices") or []) for support in self.supports)

    @property
    def reason(self) -> str | None:
        """Why it ended, in OpenAI's word."""
        if self.finish in FILTERED or self.finish == "MAX_TOKENS" or self.finish is None:
            return {"MAX_TOKENS": "length", None: None}.get(self.finish, "content_filter")
        return "tool_calls" if self.calls else "stop"


def kind(part: dict[str, Any]) -> str:
    """Return the media type of a part's inline data."""
    return str(part["inlineData"]["mimeType"])


def calls(parts: list[dict[str, Any]]) -> list[tuple[str, Any]]:
    """Return (name, arguments) of each call; one whose arguments are streamed is put together."""
    found: list[tuple[str, Any]] = []
    for part in parts:
        call = part.get("functionCall")
        if call is None:
            continue
        if call.get("name"):
            found.append((call["name"], dict(call.get("args") or {})))
        for arg in call.get("partialArgs") or []:
            name = arg["jsonPath"].removeprefix("$.")
            found[-1][1][name] = found[-1][1].get(name, "") + arg["stringValue"]
    return found


def said(record: dict[str, Any]) -> Said:
    """Return what a record says."""
    if is_stream(record):
        return Said(events(record))
    return Said([record["response"]["body"]["json"]])


def check_usage(usage: Any, truth: Said) -> None:
    """The prompt holds what tools read and the cache served, the completion the thoughts; buckets sum up."""
    if not truth.usage:
        assert usage is None
        return
    count = lambda name: truth.usage.get(name) or 0  # noqa: E731
    assert usage.prompt_tokens == count("promptTokenCount") + count("toolUsePromptTokenCount")
    assert usage.completion_tokens == count("candidatesTokenCount") + count("thoughtsTokenCount")
    assert usage.total_tokens == max(count("totalTokenCount"), usage.prompt_tokens + usage.completion_tokens)
    buckets = usage.buckets()
    assert sum(buckets.values()) == usage.total_tokens
    assert buckets.get("cached_input", 0) == count("cachedContentTokenCount")
    assert buckets.get("reasoning", 0) == count("thoughtsTokenCount")
    made = {entry["modality"]: entry["tokenCount"] for entry in truth.usage.get("candidatesTokensDetails") or []}
    assert buckets.get("image_output", 0) == made.get("IMAGE", 0)
    assert buckets.get("audio_output", 0) == made.get("AUDIO", 0)


def check_message(message: Any, finish: Any, truth: Said) -> None:
    """Text, thoughts, calls, pictures, citations and finish are those of the body."""
    assert (message["content"] or "") == truth.text
    assert (message["reasoning_content"] or "") == truth.thoughts
    assert message["calls"] == truth.calls
    assert finish == truth.reason
    assert [url.partition("base64,")[2] for url in message["images"]] == truth.images
    assert len(message["annotations"]) == truth.cited
    for annotation in message["annotations"]:
        place = annotation[annotation["type"]]
        assert message["content"][place["start_index"] : place["end_index"]]


def of_result(result: Any) -> dict[str, Any]:
    """Return what is compared of a completion."""
    message = result.choices[0].message
    made = message.tool_calls or []
    return {
        "content": message.content,
        "reasoning_content": message.reasoning_content,
        "calls": [(call.function.name, json.loads(call.function.arguments)) for call in made],
        "ids": [call.id for call in made],
        "images": [image["image_url"]["url"] for image in message.images or []],
        "annotations": message.annotations or [],
        "message": message,
    }


def joined(chunks: list[Any]) -> tuple[dict[str, Any], Any, Any]:
    """Put chunks together, by the rules a reader of OpenAI's streams follows: (message, finish, usage)."""
    message: dict[str, Any] = {"content": "", "reasoning_content": "", "images": [], "annotations": [], "specific": {}}
    made: dict[int, dict[str, Any]] = {}
    finish = usage = None
    for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            delta = choice.delta
            assert not finish, "nothing comes after the finish"
            finish = choice.finish_reason or finish
            message["content"] += delta.content or ""
            message["reasoning_content"] += delta.reasoning_content or ""
            message["images"] += [image["image_url"]["url"] for image in delta.images or []]
            message["annotations"] += delta.annotations or []
            message["specific"].update(delta.provider_specific_fields or {})
            for call in delta.tool_calls or []:
                if call.id is not None:
                    assert call.index not in made, "id and name come once"
                    head = {"id": call.id, "name": call.function.name, "extra_content": call.extra_content}
                    made[call.index] = {**head, "arguments": ""}
                made[call.index]["arguments"] += call.function.arguments
    message["calls"] = [(call["name"], json.loads(call["arguments"])) for call in made.values()]
    message["raw_calls"] = list(made.values())
    return message, finish, usage


def client(wire: Wire) -> Client:
    """Return a client over a wire."""
    return Client(http=wire, api_key="AIza-test", num_retries=0)


def stream(record: dict[str, Any], pieces: list[bytes]) -> list[Any]:
    """Return the chunks of a recorded stream that arrives in pieces."""
    edges = [sum(map(len, pieces[:number])) for number in range(1, len(pieces))] if len(pieces) < 9000 else []
    wire = Wire(Reply.of(payload(record), cuts=edges))
    with client(wire) as asked:
        return list(asked.completion("gemini/gemini-x", ASK, stream=True))


@pytest.mark.parametrize("record", records("chat"))
def test_a_recorded_reply_reads_as_a_completion(record):
    """Chat reads every recorded reply, streamed or not, as its body says; errors are of their class."""
    if status(record) >= 400:
        wire = Wire(Reply.of(payload(record), status=status(record)))
        with client(wire) as asked, pytest.raises(errors.AuthenticationError):
            asked.completion("gemini/gemini-x", ASK, stream=is_stream(record))
        return
    truth = said(record)
    if not is_stream(record):
        with client(Wire(payload(record))) as asked:
            result = asked.completion("gemini/gemini-x", ASK)
        check_message(of_result(result), result.choices[0].finish_reason, truth)
        check_usage(result.usage, truth)
        return
    data = payload(record)
    for pieces in [list(cut(data, Random(1))), *([list(cut(data))] if len(data) < SHORT else [])]:
        chunks = stream(record, pieces)
        assert chunks[0].choices[0].delta.role == "assistant"
        message, finish, usage = joined(chunks)
        check_message(message, finish, truth)
        check_usage(usage, truth)


def in_pieces(parts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return parts with pieces of one text joined and streamed calls put together, as they must go back."""
    whole: list[dict[str, Any]] = []
    together = iter(calls(parts))
    for part in parts:
        call = part.get("functionCall")
        if call is not None:
            if call.get("name"):
                name, args = next(together)
                kept = {"id": call["id"]} if "id" in call else {}
                whole.append({**part, "functionCall": {"name": name, "args": args, **kept}})
        elif whole and plain(whole[-1]) and plain(part) and part.get("thought") == whole[-1].get("thought"):
            whole[-1] = {**whole[-1], "text": whole[-1]["text"] + part["text"]}
        else:
            whole.append(part)
    return [part for part in whole if part not in ({"text": ""}, {"text": "", "thought": True}) and not is_sound(part)]


def is_sound(part: dict[str, Any]) -> bool:
    """Whether a part is what a model spoke: it is not sent back, and that is recorded."""
    return "inlineData" in part and "audio" in kind(part)


def plain(part: dict[str, Any]) -> bool:
    """Whether a part is nothing but text."""
    return "text" in part and part.keys() <= {"text", "thought"}


def answers() -> list[Any]:
    """Return the recorded answers that say something."""
    found = [record for record in records("chat") if status(record.values[0]) == 200]
    return [record for record in found if in_pieces(said(record.values[0]).parts)]


@pytest.mark.parametrize("record", answers())
def test_a_recorded_answer_goes_back_unchanged(record):
    """An answer fed into the next turn reproduces its parts: signatures, thoughts, code that Google ran."""
    truth = said(record)
    if is_stream(record):
        message, _, _ = joined(stream(record, [payload(record)]))
        answer: Any = {
            "role": "assistant",
            "content": message["content"],
            "reasoning_content": message["reasoning_content"],
            "provider_specific_fields": message["specific"],
            "tool_calls": [
                {
                    "id": call["id"],
                    "function": {"name": call["name"], "arguments": call["arguments"]},
                    "extra_content": call["extra_content"],
                }
                for call in message["raw_calls"]
            ],
        }
    else:
        with client(Wire(payload(record))) as asked:
            answer = asked.completion("gemini/gemini-x", ASK).choices[0].message
    wire = Wire(payload(answers()[0].values[0]))
    with client(wire) as asked:
        asked.completion("gemini/gemini-2.5-pro", [*ASK, answer, *ASK])
    parts = wire.requests[0].json["contents"][1]["parts"]
    expected = in_pieces(truth.parts)
    for part, original in zip(parts, expected, strict=True):
        if "functionCall" in original and "id" not in original["functionCall"]:
            assert part["functionCall"].pop("id")
            original["functionCall"].setdefault("args", {})
            part["functionCall"].setdefault("args", {})
    assert parts == expected
