"""The stream of `streamGenerateContent?alt=sse` as chat chunks. https://ai.google.dev/api/generate-content

Each event is a reply like that of a whole answer, with the next piece of it. The last one says why the answer ended
and what it cost; so do, in some generations of models, all those before it, so the end is told at the end only.
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.flow import Decoder, Passed
from polyport.types.chat import ChatCompletionChunk, ChunkChoice, Delta, FunctionCall, ReplyAudio, ToolCall
from polyport.wire.decoding import Decoding, unreadable
from polyport.wire.relay import Relay
from polyport.wire.sse import SSE, Event
from polyport_gemini.errors import from_body
from polyport_gemini.media import Piece
from polyport_gemini.partial import PartialCall
from polyport_gemini.parts import image, is_text, signed, sound, tool_call
from polyport_gemini.reply import Candidate, Generated, Teller, check, finish_reason, logprobs
from polyport_gemini.usage import UsageMetadata

_decode = msgspec.json.Decoder(Generated).decode
NOTHING = UsageMetadata()
#: What replies of `generateContent` are called, where somebody wants them as they come.
WIRE = "gemini"


class ContentEvents(Decoding[Event, ChatCompletionChunk]):
    """Turns events into chat chunks: role, text and thoughts, calls, pictures and sound, a finish with the usage.

    `model` is who answers where the events do not tell, `created` in seconds. With `include_usage` the usage has a
    last chunk of its own, without choices, as OpenAI does it.
    """

    wire = WIRE

    def __init__(self, model: str = "", *, include_usage: bool = False, created: int = 0) -> None:
        super().__init__(SSE())
        self._include_usage = include_usage
        self._created = created
        self._id, self._model = "", model
        self._usage: UsageMetadata | None = None
        self._choices: dict[int, _Choice] = {}

    def relay(self) -> Decoder[Passed]:
        """Pass events on as they come, for who wants Gemini's own; all are read, because each may tell of the end."""
        return Relay(self, (b"data:",), all=True)

    def take(self, event: Event) -> list[ChatCompletionChunk]:
        """Return the chunks an event comes to."""
        _, data = event
        try:
            return self._take(_decode(data))
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise _told(data) or unreadable(data, error) from error

    def is_complete(self) -> bool:
        """Whether every choice has been told to end."""
        choices = self._choices.values()
        return bool(choices) and all(choice.teller.reason is not None for choice in choices)

    def _take(self, event: Generated) -> list[ChatCompletionChunk]:
        check(event, event.error)
        self._id = event.response_id or self._id
        self._model = event.model_version or self._model
        if event.create_time is not None:
            self._created = int(event.create_time.timestamp())
        self._usage = event.usage_metadata or self._usage
        return [chunk for candidate in event.candidates or [] for chunk in self._candidate(candidate)]

    def _candidate(self, candidate: Candidate) -> list[ChatCompletionChunk]:
        index, deltas = candidate.index, []
        choice = self._choices.get(index)
        if choice is None:
            choice = self._choices[index] = _Choice(index, self._id)
            deltas.append(Delta(role="assistant", content=""))
        parts = candidate.content.parts if candidate.content is not None else None
        for number, part in enumerate(parts or ()):
            deltas += choice.take(part, f"$.candidates[{index}].content.parts[{number}]")
        choice.teller.note(candidate)
        chunks = [self._chunk(index, delta) for delta in deltas]
        if candidate.logprobs_result is not None:
            chunks = chunks or [self._chunk(index, Delta())]
            chunks[-1].choices[0].logprobs = logprobs(candidate.logprobs_result)
        return chunks

    def finish(self) -> list[ChatCompletionChunk]:
        """Return the finish and the usage."""
        made = []
        for choice in self._choices.values():
            made += [self._chunk(choice.teller.index, delta) for delta in choice.end()]
            made.append(self._chunk(choice.teller.index, choice.last(), choice.finish))
        if self._usage is None:
            return made
        usage = self._usage.to_usage()
        if self._include_usage:
            made.append(ChatCompletionChunk(id=self._id, created=self._created, model=self._model))
        made[-1].usage = usage
        made[-1].service_tier = self._usage.tier
        return made

    def _chunk(self, index: int, delta: Delta, finish: str | None = None) -> ChatCompletionChunk:
        return ChatCompletionChunk(
            id=self._id,
            created=self._created,
            model=self._model,
            choices=[ChunkChoice(index=index, delta=delta, finish_reason=finish)],
        )


class _Choice:
    """One candidate of a stream."""

    def __init__(self, index: int, seed: str) -> None:
        self.teller = Teller(index, seed)
        self.images = 0
        self.calls = 0
        self.partial: PartialCall | None = None

    def take(self, part: Piece, path: str) -> list[Delta]:
        """Return what a part adds, for readers and for the end."""
        call = part.get("functionCall")
        if isinstance(call, dict) and (self.partial is not None or call.get("willContinue")):
            return self._partial(part, call, path)
        part = self.teller.take(part, path)
        if is_text(part):
            text = part["text"]
            if not text:
                return []
            return [Delta(reasoning_content=text) if part.get("thought") else Delta(content=text)]
        if "functionCall" in part:
            self.calls += 1
            return [Delta(tool_calls=[tool_call(part, index=self.calls - 1)])]
        if (made := image(part, self.images)) is not None:
            self.images += 1
            return [Delta(images=[made])]
        if (data := sound(part)) is not None:
            return [Delta(audio=ReplyAudio(data=data))]
        return []

    def _partial(self, part: Piece, call: dict[str, Any], path: str) -> list[Delta]:
        """Take a call whose arguments come bit by bit; they are told when they are complete."""
        begun: list[Delta] = []
        if self.partial is None or call.get("name"):
            begun = self.end()
            self.partial = PartialCall({name: value for name, value in part.items() if name != "functionCall"}, call)
        self.partial.add(call, path)
        return begun if call.get("willContinue") else begun + self.end()

    def end(self) -> list[Delta]:
        """Return the call that was still open."""
        if self.partial is None:
            return []
        part = self.teller.take(self.partial.part(), "$.candidates")
        self.partial = None
        index, self.calls = self.calls, self.calls + 1
        made = tool_call(part, index=index)
        function = FunctionCall(name=made.function.name if made.function else None)
        head = ToolCall(index=index, id=made.id, type="function", function=function, extra_content=signed(part))
        arguments = FunctionCall(arguments=made.function.arguments if made.function else "")
        return [Delta(tool_calls=[head]), Delta(tool_calls=[ToolCall(index=index, function=arguments)])]

    def last(self) -> Delta:
        """Return what can only be told at the end: what grounds the answer, and the parts that must go back."""
        teller = self.teller
        return Delta(
            annotations=teller.annotations(), refusal=teller.refusal(), provider_specific_fields=teller.specifics()
        )

    @property
    def finish(self) -> str | None:
        """Why it ended, in OpenAI's word."""
        return finish_reason(self.teller.reason, called=self.calls > 0)


def _told(data: bytes) -> Exception | None:
    """Return the error that an event of another shape tells of; None where it tells of none."""
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return from_body(body) if isinstance(body, dict) and isinstance(body.get("error"), dict) else None
