"""From llama.cpp's chunks to OpenAI's: one id, one model name, tool calls out of the text, one usage at the end.

`Collector` puts such chunks together again, for the calls that are not streamed.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import msgspec

from polyport.errors import InvalidResponseError
from polyport_local import tools

Json: TypeAlias = dict[str, Any]

#: What the chunks of one stream have in common.
_HEAD = frozenset({"id", "object", "created"})
#: What a JSON value begins with, or a tool call.
_JSON_BEGINS = frozenset('{["-0123456789tfn<')
_UNENFORCED = (
    "The answer does not have the form asked for: the JSON schema has a part that llama.cpp cannot enforce. "
    "Leave out its rarer keywords (https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md)"
)


class Reader(Protocol):
    """Who chunks are for."""

    @property
    def closed(self) -> bool:
        """Whether to stop."""

    def put(self, item: Json) -> None:
        """Take a chunk."""


class Form(msgspec.Struct, frozen=True):
    """What an answer must look like. `json_only` is its form where it is no call of the plan's tools."""

    plan: tools.Plan | None = None
    json_only: bool = False
    include_usage: bool = False


class Chunks:
    """Takes llama.cpp's chunks of several answers, one after the other, and gives the reader those of one stream."""

    def __init__(self, name: str, out: Reader, *, include_usage: bool) -> None:
        self._out = out
        self._name = name
        self._include_usage = include_usage
        self._index = 0
        self._head: Json = {}
        self._usage: Json | None = None
        self._new_prompt = True

    def take(self, chunk: Json) -> bool:
        """Take the next chunk; True stops the generation."""
        if not self._head:
            self._head = {**{key: value for key, value in chunk.items() if key in _HEAD}, "model": self._name}
        if "usage" in chunk:
            self._count(chunk["usage"])
        if "prompt_progress" not in chunk:
            for choice in chunk["choices"]:
                self.choice(choice)
        return self._out.closed

    def choice(self, choice: Json) -> None:
        """Pass one choice of a chunk on."""
        self.send([{**choice, "index": self._index}])

    def send(self, choices: list[Json], **more: Any) -> None:
        """Give the reader a chunk."""
        self._out.put({**self._head, "choices": choices, **more})

    def end(self) -> None:
        """Send the usage, if it was asked for."""
        if self._include_usage and self._usage is not None:
            self.send([], usage=self._usage)

    def _count(self, usage: Json) -> None:
        """Add an answer's tokens; the prompt's count once, however many answers it got.

        How many of them llama.cpp still knew is left out: it saves no money, and depends on who asked before.
        """
        if self._usage is None:
            self._usage = dict.fromkeys(("prompt_tokens", "completion_tokens", "total_tokens"), 0)
        self._usage["prompt_tokens"] += usage["prompt_tokens"] if self._new_prompt else 0
        self._usage["completion_tokens"] += usage["completion_tokens"]
        self._usage["total_tokens"] = self._usage["prompt_tokens"] + self._usage["completion_tokens"]
        self._new_prompt = False


class TextChunks(Chunks):
    """The chunks of a legacy completion."""

    def begin(self, index: int, echoed: str, *, new_prompt: bool) -> None:
        """Begin the next answer, after its prompt where that is to be echoed."""
        self._index, self._new_prompt = index, new_prompt
        self._echoed = echoed
        self._offset = len(echoed)

    def choice(self, choice: Json) -> None:
        """Pass one choice on, its log probabilities in the legacy form."""
        written = choice.get("text", "")
        logprobs = legacy_logprobs(choice.get("logprobs"), self._offset)
        self._offset += len(written)
        text, self._echoed = self._echoed + written, ""
        self.send([{**choice, "index": self._index, "text": text, "logprobs": logprobs}])


class ChatChunks(Chunks):
    """The chunks of a chat. An answer that we constrained is found good or not as it comes."""

    def __init__(self, form: Form, name: str, out: Reader) -> None:
        super().__init__(name, out, include_usage=form.include_usage)
        self._form = form
        self._splitter: tools.Splitter | None = None
        self._text: list[str] = []

    def begin(self, index: int) -> None:
        """Begin the next answer."""
        self._index = index
        self._text = []
        plan = self._form.plan
        self._splitter = tools.Splitter(plan, f"call_{secrets.token_hex(12)}") if plan is not None else None

    def choice(self, choice: Json) -> None:
        """Pass one choice on. Raises InvalidResponseError where the answer's form was not kept."""
        text, finish = choice["delta"].get("content"), choice.get("finish_reason")
        if text:
            if not self._text and self._form.json_only and text.lstrip()[:1] not in ("", *_JSON_BEGINS):
                raise InvalidResponseError(_UNENFORCED, provider="local")
            self._text.append(text)
        if self._splitter is None:
            self._check(finish, called=bool(choice["delta"].get("tool_calls")))
            super().choice(choice)
        else:
            self._split(self._splitter, choice, text, finish)

    def _split(self, splitter: tools.Splitter, choice: Json, text: str | None, finish: str | None) -> None:
        deltas = splitter.feed(text) if text else []
        if finish:
            deltas += splitter.close()
        elif not text:
            deltas = [choice["delta"]]
        more = {"logprobs": choice["logprobs"]} if choice.get("logprobs") else {}
        for delta in deltas:
            self.send([{"index": self._index, "delta": delta, "finish_reason": None, **more}])
            more = {}
        if finish:
            self._check(finish, called=splitter.called)
            reason = "tool_calls" if splitter.called and finish == "stop" else finish
            self.send([{"index": self._index, "delta": {}, "finish_reason": reason}])

    def _check(self, finish: str | None, *, called: bool) -> None:
        """Refuse a finished answer that should have been constrained and was not.

        LLGuidance leaves an answer free, without a word, when it does not know a part of the schema.
        """
        if finish != "stop" or called:
            return
        forced = self._form.plan is not None and self._form.plan.forced
        if forced or (self._form.json_only and not _is_json("".join(self._text))):
            raise InvalidResponseError(_UNENFORCED, provider="local")


class Collector:
    """A reader that puts the chunks together to one reply; closed when the deadline passes or `stop` says so."""

    def __init__(self, kind: str, stop: Callable[[], bool], timeout: float | None) -> None:
        self._kind = kind
        self._stop = stop
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._head: Json = {}
        self._choices: dict[int, Json] = {}
        self._usage: Json | None = None

    @property
    def closed(self) -> bool:
        """Whether nobody waits any more."""
        return self.late or self._stop()

    @property
    def late(self) -> bool:
        """Whether the deadline has passed."""
        return self._deadline is not None and time.monotonic() > self._deadline

    def put(self, item: Json) -> None:
        """Take a chunk."""
        self._head = self._head or item
        self._usage = item.get("usage") or self._usage
        for choice in item["choices"]:
            into = self._choices.setdefault(choice["index"], {"index": choice["index"], "finish_reason": None})
            _add(into, choice)

    def reply(self) -> Json:
        """Return the whole reply."""
        choices = [self._choices[index] for index in sorted(self._choices)]
        return {**self._head, "object": self._kind, "choices": choices, "usage": self._usage}


def _add(into: Json, choice: Json) -> None:
    """Add a chunk's choice to what is there of it."""
    if "text" in choice:
        into["text"] = into.get("text", "") + choice["text"]
    if "delta" in choice:
        _add_delta(into.setdefault("message", {"role": "assistant", "content": None}), choice["delta"])
    for name, values in (choice.get("logprobs") or {}).items():
        if values is not None:
            into.setdefault("logprobs", {}).setdefault(name, []).extend(values)
    into["finish_reason"] = choice.get("finish_reason") or into["finish_reason"]


def _add_delta(message: Json, delta: Json) -> None:
    for name in ("content", "reasoning_content"):
        if delta.get(name):
            message[name] = (message.get(name) or "") + delta[name]
    for piece in delta.get("tool_calls") or ():
        calls = message.setdefault("tool_calls", [])
        if piece["index"] == len(calls):
            head = {"id": piece.get("id"), "type": "function"}
            calls.append({**head, "function": {"name": "", "arguments": ""}})
        function = calls[piece["index"]]["function"]
        for name in ("name", "arguments"):
            function[name] += piece["function"].get(name) or ""


def legacy_logprobs(logprobs: Any, offset: int) -> Json | None:
    """Return log probabilities as the lists of the legacy API; `offset` is where the first token stands."""
    if not logprobs or not logprobs.get("content"):
        return None
    rows = logprobs["content"]
    offsets = []
    for row in rows:
        offsets.append(offset)
        offset += len(row["token"])
    return {
        "tokens": [row["token"] for row in rows],
        "token_logprobs": [row["logprob"] for row in rows],
        "top_logprobs": [{top["token"]: top["logprob"] for top in row.get("top_logprobs", ())} for row in rows],
        "text_offset": offsets,
    }


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
