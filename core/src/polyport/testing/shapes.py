"""What a result must look like, hook by hook: the promises that types alone cannot make.

A shape is a function of the result (or of the list of chunks) and the exchange; it raises AssertionError. They
follow the docstrings in `polyport.types` and, for streams, OpenAI's order: role first, content, one finish reason,
usage at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport.testing.bench import ensure
from polyport.testing.exchange import Exchange
from polyport.types.audio import Binary, Segment, Transcription, Word
from polyport.types.batch import Batch
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, Delta, Message
from polyport.types.completion import TextCompletion
from polyport.types.embed import EmbeddingResponse
from polyport.types.image import ImageResponse
from polyport.types.messages import AnthropicMessage, TokenCount
from polyport.types.moderation import Moderation
from polyport.types.rerank import RerankResponse
from polyport.types.responses import Response
from polyport.types.video import Video

Shape = Callable[[Any, Exchange], None]

FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter", "function_call"})
STOPS = frozenset({"end_turn", "max_tokens", "stop_sequence", "tool_use", "pause_turn", "refusal"})
STATUSES: Mapping[str, frozenset[str]] = {
    "video": frozenset({"queued", "in_progress", "completed", "failed"}),
    "batch": frozenset(
        {"validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"}
    ),
    "response": frozenset({"completed", "failed", "in_progress", "cancelled", "queued", "incomplete"}),
}


def _one_of(value: object, allowed: frozenset[str], what: str) -> None:
    ensure(value in allowed, f"{what} is {value!r}; it must be one of {', '.join(sorted(allowed))}")


# --- chat ---


def chat(result: ChatCompletion, _: Exchange) -> None:
    """A completion has a model, and choices that say something and why they ended."""
    ensure(result.choices, "the completion has no choices")
    ensure(result.model, "the completion does not say which model answered (ChatCompletion.model)")
    indexes = [choice.index for choice in result.choices]
    ensure(len(set(indexes)) == len(indexes), f"two choices have one index: {indexes}")
    for choice in result.choices:
        _one_of(choice.finish_reason, FINISHES, f"choices[{choice.index}].finish_reason")
        ensure(choice.message.role == "assistant", f"the role is {choice.message.role!r}, not 'assistant'")
        ensure(_says_something(choice.message), f"the message of choices[{choice.index}] is empty")
        for call in choice.message.tool_calls or []:
            ensure(call.id, f"a tool call has no id: {call}")
            if call.function is not None:
                _check_call(call.function.name, call.function.arguments, cut=choice.finish_reason == "length")


def _says_something(message: Message | Delta) -> bool:
    return any(
        (message.content, message.tool_calls, message.function_call, message.refusal, message.audio, message.images,
         message.reasoning_content, message.thinking_blocks)
    )  # fmt: skip


def _check_call(name: str | None, arguments: str, *, cut: bool) -> None:
    ensure(name, "a tool call has no name")
    try:
        value = msgspec.json.decode(arguments or "{}")
    except msgspec.DecodeError:
        ensure(cut, f"the arguments of the call of {name!r} are not JSON: {arguments!r}")
        return
    ensure(isinstance(value, dict), f"the arguments of the call of {name!r} are no JSON object: {arguments!r}")


def chat_chunks(chunks: list[ChatCompletionChunk], _: Exchange) -> None:
    """Per choice: role first, tool calls by index with id and name once, one finish reason; usage not before it."""
    names = {chunk.id for chunk in chunks if chunk.id}
    ensure(len(names) <= 1, f"the chunks of one stream have several ids: {sorted(names)}")
    choices: dict[int, _ChoiceSoFar] = {}
    finished_at, usage_at = -1, -1
    for number, chunk in enumerate(chunks):
        usage_at = number if chunk.usage is not None else usage_at
        for choice in chunk.choices:
            so_far = choices.setdefault(choice.index, _ChoiceSoFar(choice.index))
            so_far.add(choice.delta, choice.finish_reason)
            finished_at = number if choice.finish_reason else finished_at
    ensure(choices, "no chunk of the stream has a choice")
    for so_far in choices.values():
        so_far.check()
    ensure(usage_at == -1 or usage_at >= finished_at, "the stream's last usage comes before its finish reason")


class _ChoiceSoFar:
    """One choice of a stream, put together chunk by chunk."""

    def __init__(self, index: int) -> None:
        self.where = f"choice {index} of the stream"
        self.role: str | None = None
        self.finish: str | None = None
        self.said = False
        self.calls: dict[int, list[str]] = {}

    def add(self, delta: Delta, finish: str | None) -> None:
        says = _says_something(delta)
        ensure(not (says and self.finish), f"{self.where} goes on after its finish reason")
        ensure(not (finish and self.finish), f"{self.where} has two finish reasons: {self.finish!r} and {finish!r}")
        ensure(delta.role in (None, "", "assistant"), f"{self.where} has the role {delta.role!r}")
        self.role = delta.role or self.role
        ensure(self.role or not says, f"{self.where} begins without a role: the first chunk must say 'assistant'")
        self.finish, self.said = finish or self.finish, self.said or says
        for call in delta.tool_calls or []:
            self._add_call(call)

    def _add_call(self, call: Any) -> None:
        ensure(call.index is not None, f"{self.where} has a piece of a tool call without an index")
        name = call.function.name if call.function is not None else None
        if call.index not in self.calls:
            ensure(call.id, f"{self.where}: tool call {call.index} begins without an id")
            self.calls[call.index] = [name or (call.type or ""), ""]
        else:
            ensure(not call.id, f"{self.where}: the id of tool call {call.index} comes more than once")
            ensure(not name, f"{self.where}: the name of tool call {call.index} comes more than once")
        if call.function is not None:
            self.calls[call.index][1] += call.function.arguments

    def check(self) -> None:
        ensure(self.finish, f"{self.where} has no finish reason")
        _one_of(self.finish, FINISHES, f"the finish reason of {self.where}")
        ensure(self.said, f"{self.where} says nothing")
        ensure(self.finish != "tool_calls" or self.calls, f"{self.where} finishes with tool_calls, and has none")
        for name, arguments in self.calls.values():
            _check_call(name, arguments, cut=self.finish == "length")


def text_completion(result: TextCompletion, _: Exchange) -> None:
    """A text completion has choices that say why they ended."""
    ensure(result.choices, "the completion has no choices")
    for choice in result.choices:
        _one_of(choice.finish_reason, FINISHES, f"choices[{choice.index}].finish_reason")


def text_chunks(chunks: list[TextCompletion], _: Exchange) -> None:
    """A streamed text completion has some text and one finish reason a choice."""
    ends = [choice.index for chunk in chunks for choice in chunk.choices if choice.finish_reason]
    ensure(ends, "no choice of the stream has a finish reason")
    ensure(len(ends) == len(set(ends)), f"choices {ends} of the stream finish more than once")
    ensure(any(choice.text for chunk in chunks for choice in chunk.choices), "the stream has no text")


def response(result: Response, _: Exchange) -> None:
    """A response has an id and a known status, and output once it is completed."""
    ensure(result.id, "the response has no id")
    _one_of(result.status, STATUSES["response"], "the response's status")
    ensure(result.status != "completed" or result.output, "the response is completed and has no output")


def response_events(events: list[Any], exchange: Exchange) -> None:
    """Events have a type, are in order, and end with the response that was completed, incomplete or failed."""
    _typed(events)
    numbers = [event["sequence_number"] for event in events if "sequence_number" in event]
    ensure(numbers == sorted(numbers), "the events' sequence_number goes back")
    ensure(ended(exchange.hook, events), f"the last event is {events[-1]['type']!r}; the response never ends")


def message(result: AnthropicMessage, _: Exchange) -> None:
    """A message has content blocks with types, and a stop reason."""
    ensure(result.content, "the message has no content")
    ensure(all("type" in block for block in result.content), "a content block has no type")
    _one_of(result.stop_reason, STOPS, "the message's stop_reason")


def message_events(events: list[Any], _: Exchange) -> None:
    """Events begin with message_start, open and close each block, and end with message_stop."""
    _typed(events)
    kinds = [event["type"] for event in events if event["type"] != "ping"]
    ensure(kinds[:1] == ["message_start"], f"the first event is {kinds[:1]}, not message_start")
    ensure(kinds[-1:] == ["message_stop"], f"the last event is {kinds[-1:]}, not message_stop")
    is_open: set[int] = set()
    for event in events:
        if event["type"] == "content_block_start":
            is_open.add(event["index"])
        elif event["type"] in ("content_block_delta", "content_block_stop"):
            ensure(event["index"] in is_open, f"{event['type']} for block {event['index']}, which is not open")
        if event["type"] == "content_block_stop":
            is_open.discard(event["index"])
    ensure(not is_open, f"blocks {sorted(is_open)} are never closed")


def _typed(events: list[Any]) -> None:
    ensure(events, "the stream has no events")
    ensure(all(event.get("type") for event in events), "an event has no type")


# --- the rest ---


def count(result: TokenCount, _: Exchange) -> None:
    """A count of tokens is a positive number."""
    ensure(result.input_tokens > 0, f"input_tokens is {result.input_tokens}")


def embedding(result: EmbeddingResponse, exchange: Exchange) -> None:
    """There is one vector per input, in input order, all of one length."""
    value = exchange.call["input"]
    inputs = [value] if isinstance(value, str) or (value and isinstance(value[0], int)) else value
    indexes = [item.index for item in result.data]
    ensure(indexes == list(range(len(inputs))), f"{len(inputs)} inputs gave vectors with the indexes {indexes}")
    lengths = {len(item.embedding) for item in result.data}
    ensure(len(lengths) == 1 and lengths != {0}, f"the vectors' lengths are {sorted(lengths)}")


def reranking(result: RerankResponse, exchange: Exchange) -> None:
    """Results are of the input, most relevant first, no more than `top_n`."""
    documents, top_n = exchange.call["documents"], exchange.call.get("top_n")
    ensure(result.results, "there are no results")
    indexes = [item.index for item in result.results]
    ensure(all(0 <= index < len(documents) for index in indexes), f"indexes {indexes} of {len(documents)} documents")
    ensure(len(set(indexes)) == len(indexes), f"a document is ranked twice: {indexes}")
    scores = [item.relevance_score for item in result.results]
    ensure(scores == sorted(scores, reverse=True), f"the results are not sorted by relevance: {scores}")
    ensure(top_n is None or len(scores) <= top_n, f"top_n={top_n} gave {len(scores)} results")


def moderation(result: Moderation, _: Exchange) -> None:
    """There is a verdict, and its categories say more than that it was flagged."""
    ensure(result.results, "there are no verdicts")
    ensure(all(item.categories or item.category_scores for item in result.results), "a verdict has no categories")


def images(result: ImageResponse, _: Exchange) -> None:
    """There are images, each a URL or base64."""
    ensure(result.data, "there are no images")
    ensure(all(image.url or image.b64_json for image in result.data), "an image has neither url nor b64_json")


def image_events(events: list[Any], exchange: Exchange) -> None:
    """Events have a type and an image, and end with the completed one."""
    ensure(events and all(event.type for event in events), "an image event has no type")
    ensure(ended(exchange.hook, events), f"the last image event is {events[-1].type!r}, not a completed one")


def transcription(result: Transcription | str, _: Exchange) -> None:
    """There is text; segments and words do not end before they start."""
    if isinstance(result, str):
        ensure(result.strip(), "the transcript is empty")
        return
    ensure(result.text, "the transcript is empty")
    pieces: list[Segment | Word] = [*(result.segments or []), *(result.words or [])]
    for piece in pieces:
        ensure(0 <= piece.start <= piece.end, f"a piece of speech lasts from {piece.start} to {piece.end} s")


def transcription_events(events: list[Any], exchange: Exchange) -> None:
    """Events have a type and end with the whole text."""
    ensure(events and all(event.type for event in events), "a transcription event has no type")
    ensure(ended(exchange.hook, events), f"the last event is {events[-1].type!r}, not transcript.text.done")


def binary(result: Binary, _: Exchange) -> None:
    """There are bytes, and their media type is known."""
    ensure(result.content, "there are no bytes")
    ensure(result.content_type, "the bytes have no content_type")


def binary_pieces(pieces: list[Any], _: Exchange) -> None:
    """The pieces are bytes."""
    ensure(all(isinstance(piece, bytes) for piece in pieces), "a piece of the stream is not bytes")
    ensure(any(pieces), "there are no bytes")


def job(result: Video | Batch, _: Exchange) -> None:
    """A job has an id and a known status."""
    ensure(result.id, "the job has no id")
    _one_of(result.status, STATUSES["video" if isinstance(result, Video) else "batch"], "the job's status")


def jobs(result: Any, exchange: Exchange) -> None:
    """Every job of a list is one."""
    for item in result.data:
        job(item, exchange)


def identified(result: Any, _: Exchange) -> None:
    """What exists has an id."""
    ensure(result.id, f"the {type(result).__name__} has no id")


def all_identified(result: Any, _: Exchange) -> None:
    """Every entry of a list has an id."""
    ensure(all(item.id for item in result.data), "an entry of the list has no id")


RESULTS: Mapping[str, Shape] = {
    "chat": chat, "complete_text": text_completion, "respond": response, "retrieve_response": response,
    "cancel_response": response, "delete_response": identified, "create_message": message, "count_tokens": count,
    "embed": embedding, "rerank": reranking, "moderate": moderation,
    "generate_image": images, "edit_image": images, "vary_image": images,
    "transcribe": transcription, "translate": transcription, "speak": binary,
    "create_video": job, "retrieve_video": job, "remix_video": job, "list_videos": jobs, "delete_video": identified,
    "download_video": binary, "create_file": identified, "retrieve_file": identified, "list_files": all_identified,
    "delete_file": identified, "download_file": binary,
    "create_batch": job, "retrieve_batch": job, "cancel_batch": job, "list_batches": jobs,
    "list_models": all_identified,
}  # fmt: skip

CHUNKS: Mapping[str, Shape] = {
    "chat": chat_chunks, "complete_text": text_chunks, "respond": response_events,
    "retrieve_response": response_events, "create_message": message_events,
    "generate_image": image_events, "edit_image": image_events, "transcribe": transcription_events,
    "speak": binary_pieces, "download_video": binary_pieces, "download_file": binary_pieces,
}  # fmt: skip

#: The types of the events after which a stream of typed events is complete.
LAST_EVENTS: Mapping[str, tuple[str, ...]] = {
    "respond": ("response.completed", "response.incomplete", "response.failed", "response.cancelled"),
    "retrieve_response": ("response.completed", "response.incomplete", "response.failed", "response.cancelled"),
    "create_message": ("message_stop",),
    "generate_image": ("image_generation.completed",),
    "edit_image": ("image_edit.completed",),
    "transcribe": ("transcript.text.done",),
}

#: The types of the events whose delta is a piece of the answer's text.
TEXT_EVENTS = frozenset({"response.output_text.delta", "transcript.text.delta"})


def ended(hook: str, chunks: list[Any]) -> bool:
    """Whether a stream up to here is complete; never, for streams of bytes, which cannot tell."""
    if hook in LAST_EVENTS:
        return any(event["type"] in LAST_EVENTS[hook] for event in chunks)
    finishes: dict[int, bool] = {}
    for chunk in chunks:
        for choice in getattr(chunk, "choices", ()):
            finishes[choice.index] = finishes.get(choice.index, False) or bool(choice.finish_reason)
    return bool(finishes) and all(finishes.values())


def text_of(value: Any) -> str | None:
    """Return what a result or a list of chunks says; None for what has no text."""
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        found = getattr(value, "output_text", None) or getattr(value, "text", None)
        return found if isinstance(found, str) else None
    return "".join(_said(chunk) for chunk in value)


def _said(chunk: Any) -> str:
    if isinstance(chunk, ChatCompletionChunk):
        return "".join(choice.delta.content or "" for choice in chunk.choices if choice.index == 0)
    if isinstance(chunk, TextCompletion):
        return "".join(choice.text for choice in chunk.choices if choice.index == 0)
    delta = chunk.get("delta") if not isinstance(chunk, bytes) else None
    if isinstance(delta, dict):
        return str(delta.get("text") or "")
    return delta if isinstance(delta, str) and chunk["type"] in TEXT_EVENTS else ""
