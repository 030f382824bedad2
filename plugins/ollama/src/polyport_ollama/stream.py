"""Streams of /api/chat and /api/generate: a JSON object a line. https://docs.ollama.com/api/streaming"""

from __future__ import annotations

import msgspec

from polyport.errors import APIConnectionError, APIError, InvalidResponseError
from polyport.types.chat import ChatCompletionChunk, ChunkChoice, Delta
from polyport.wire.ndjson import Lines as Cutter
from polyport_ollama.errors import raise_told
from polyport_ollama.reply import Answer, logprobs, to_calls, to_images

_decode = msgspec.json.Decoder(Answer).decode


class Lines:
    """Turns lines into chat chunks: role first, then text, thoughts and calls, at last why it ended and the usage.

    An error among the lines is raised after the chunks that came before it.
    """

    def __init__(self) -> None:
        self._lines = Cutter()
        self._id, self._created = "", 0
        self._calls = 0
        self._done = False
        self._error: APIError | None = None

    def feed(self, data: bytes) -> list[ChatCompletionChunk]:
        """Take the next piece and return the chunks it completed."""
        if self._error is not None:
            raise self._error
        return self._read(self._lines.feed(data))

    def close(self) -> list[ChatCompletionChunk]:
        """Return what is left. Raises APIConnectionError where the stream was cut off."""
        if self._error is not None:
            raise self._error
        try:
            made = self._read(self._lines.close())
        except InvalidResponseError as error:
            raise APIConnectionError("The stream was cut off in the middle of a line.") from error
        if self._error is not None or not self._done:
            raise self._error or APIConnectionError("The stream ended before it was complete.")
        return made

    def _read(self, lines: list[bytes]) -> list[ChatCompletionChunk]:
        made: list[ChatCompletionChunk] = []
        try:
            for line in lines:
                chunk = self._chunk(line)
                if chunk is not None:
                    made.append(chunk)
        except APIError as error:
            if not made:
                raise
            self._error = error
        return made

    def _chunk(self, line: bytes) -> ChatCompletionChunk | None:
        try:
            answer = _decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            begin = line[:120].decode("utf-8", "replace")
            raise InvalidResponseError(
                f"A streamed line cannot be read: {error}. It begins {begin!r}", body=line
            ) from error
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
