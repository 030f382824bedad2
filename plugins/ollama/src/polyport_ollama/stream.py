"""Streams of /api/chat and /api/generate: a JSON object a line. https://docs.ollama.com/api/streaming"""

from __future__ import annotations

import msgspec

from polyport.types.chat import ChatCompletionChunk, ChunkChoice, Delta
from polyport.wire.decoding import Decoding, unreadable
from polyport.wire.ndjson import Lines as Cutter
from polyport_ollama.errors import raise_told
from polyport_ollama.reply import Answer, logprobs, to_calls, to_images

_decode = msgspec.json.Decoder(Answer).decode


class Lines(Decoding[bytes, ChatCompletionChunk]):
    """Turns lines into chat chunks: role first, then text, thoughts and calls, at last why it ended and the usage."""

    def __init__(self) -> None:
        super().__init__(Cutter())
        self._id, self._created = "", 0
        self._calls = 0

    def take(self, event: bytes) -> list[ChatCompletionChunk]:
        """Return the chunk that a line is; one that says nothing is none."""
        chunk = self._chunk(event)
        return [] if chunk is None else [chunk]

    def _chunk(self, line: bytes) -> ChatCompletionChunk | None:
        try:
            answer = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise unreadable(line, error) from error
        raise_told(answer.error)
        first = not self._id
        if first:
            self._id, self._created = answer.id(), answer.created
        choice = ChunkChoice(delta=self._delta(answer, first=first))
        if answer.logprobs:
            choice.logprobs = logprobs(answer)
        if not (first or answer.done or choice.logprobs or choice.delta.is_content()):
            return None
        chunk = ChatCompletionChunk(id=self._id, created=self._created, model=answer.model, choices=[choice])
        if answer.done:
            self._done = True
            choice.finish_reason, chunk.usage = answer.finish(called=self._calls > 0), answer.usage
        chunk.keep(line, extra=answer.rest() if answer.done else {})
        return chunk

    def _delta(self, answer: Answer, *, first: bool) -> Delta:
        said = answer.said
        delta = Delta(content=said.content or None, reasoning_content=said.thinking or None)
        if first:
            delta.role = "assistant"
        if said.tool_calls:
            delta.tool_calls = to_calls(answer, self._calls, streamed=True)
            self._calls += len(delta.tool_calls)
        if said.images:
            delta.images = to_images(said.images)
        return delta
