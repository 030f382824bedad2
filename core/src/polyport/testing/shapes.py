"""What a result must look like, hook by hook: the promises that types alone cannot make.

A shape is a function of the result (or of the list of chunks) and the exchange; it raises AssertionError. They
follow the docstrings in `polyport.types`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from polyport.testing import chats
from polyport.testing.bench import ensure, one_of
from polyport.testing.exchange import Exchange
from polyport.testing.reading import ended
from polyport.types.audio import Binary, Segment, Transcription, Word
from polyport.types.batch import Batch
from polyport.types.embed import EmbeddingResponse
from polyport.types.image import ImageResponse
from polyport.types.messages import TokenCount
from polyport.types.moderation import Moderation
from polyport.types.rerank import RerankResponse
from polyport.types.video import Video

Shape = Callable[[Any, Exchange], None]

VIDEO_STATUSES = frozenset({"queued", "in_progress", "completed", "failed"})
BATCH_STATUSES = frozenset(
    {"validating", "in_progress", "finalizing", "completed", "failed", "expired", "cancelling", "cancelled"}
)


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
    one_of(result.status, VIDEO_STATUSES if isinstance(result, Video) else BATCH_STATUSES, "the job's status")


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
    "chat": chats.chat, "complete_text": chats.text_completion, "respond": chats.response,
    "retrieve_response": chats.response, "cancel_response": chats.response, "delete_response": identified,
    "create_message": chats.message, "count_tokens": count,
    "embed": embedding, "rerank": reranking, "moderate": moderation,
    "generate_image": images, "edit_image": images, "vary_image": images,
    "transcribe": transcription, "translate": transcription, "speak": binary,
    "create_video": job, "retrieve_video": job, "remix_video": job, "list_videos": jobs, "delete_video": identified,
    "download_video": binary, "create_file": identified, "retrieve_file": identified, "list_files": all_identified,
    "delete_file": identified, "download_file": binary,
    "create_batch": job, "retrieve_batch": job, "cancel_batch": job, "list_batches": jobs, "delete_batch": identified,
    "list_models": all_identified,
}  # fmt: skip

CHUNKS: Mapping[str, Shape] = {
    "chat": chats.chat_chunks, "complete_text": chats.text_chunks, "respond": chats.response_events,
    "retrieve_response": chats.response_events, "create_message": chats.message_events,
    "generate_image": image_events, "edit_image": image_events, "transcribe": transcription_events,
    "speak": binary_pieces, "download_video": binary_pieces, "download_file": binary_pieces,
}  # fmt: skip
