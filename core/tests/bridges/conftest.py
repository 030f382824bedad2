"""A provider that only chats, and readers of recorded traffic."""

from __future__ import annotations

import lzma
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from polyport import Client
from polyport.flow import Flow, Items, Raw, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import Provider
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest

RECORDED = Path(__file__).parents[4] / "shared" / "recorded"


class Scripted(Provider):
    """Chats by a script: a dict is a completion, a list the chunks of a stream. `asked` is what it was asked."""

    def __init__(self, *script: Any) -> None:
        super().__init__("fake")
        self.script = list(script)
        self.asked: list[ChatRequest] = []

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        yield from ()
        self.asked.append(request)
        answer = self.script.pop(0)
        if isinstance(answer, list):
            return Streaming(Items([msgspec.convert(chunk, ChatCompletionChunk) for chunk in answer]), Raw())
        return msgspec.convert(answer, ChatCompletion)


class Stage:
    """A client whose only provider follows a script."""

    def __init__(self) -> None:
        self.provider = Scripted()
        self.client = Client(providers={"fake": self.provider}, transport="httpx", num_retries=0)

    def answers(self, *script: Any) -> Client:
        """Script the next answers, and return the client."""
        self.provider.script += script
        return self.client

    @property
    def asked(self) -> ChatRequest:
        """The chat request that came last."""
        return self.provider.asked[-1]


@pytest.fixture
def stage() -> Iterator[Stage]:
    """A stage, closed at the end."""
    made = Stage()
    with made.client:
        yield made


@pytest.fixture
def says():
    """What a completion looks like: `says("hello")`, `says(tool_calls=[...])`, `says(..., finish="length")`."""

    def make(content: str | None = None, *, finish: str = "stop", usage: dict | None = None, **message: Any) -> dict:
        return {
            "id": "chatcmpl-1",
            "created": 1700000000,
            "model": "fake-1",
            "choices": [
                {"index": 0, "message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
            ],
            "usage": usage or {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        }

    return make


@pytest.fixture
def streams():
    """What a stream looks like: one chunk for each delta, then the finish, then the usage."""

    def make(*deltas: dict, finish: str = "stop", usage: dict | None = None) -> list[dict]:
        frame = {"id": "chatcmpl-1", "created": 1700000000, "model": "fake-1"}
        counted = usage or {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        return [
            {**frame, "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}}]},
            *({**frame, "choices": [{"index": 0, "delta": delta}]} for delta in deltas),
            {**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]},
            {**frame, "choices": [], "usage": counted},
        ]

    return make


@pytest.fixture
def recorded():
    """The recorded exchanges of a provider on an endpoint, as the file holds them."""

    def read(provider: str, endpoint: str) -> list[dict]:
        path = RECORDED / f"{provider}.jsonl.xz"
        if not path.exists():
            pytest.skip(f"no recorded traffic at {path}")
        with lzma.open(path) as lines:
            records = [msgspec.json.decode(line) for line in lines]
        return [record for record in records if record["endpoint"] == endpoint]

    return read
