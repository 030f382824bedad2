"""The calls that `polyport conformance local` and the tests hold this plugin to. They need both extras."""

from __future__ import annotations

from polyport.testing import IN_PROCESS, Exchange
from polyport_local.espeak import Espeak

_MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
_CHAT = {"model": "smollm2", "temperature": 0, "n_ctx": 512}

EXCHANGES = (
    Exchange(
        "chat",
        {**_CHAT, "messages": _MESSAGES},
        reply=IN_PROCESS,
        stream=IN_PROCESS,
        text="The capital of France is Paris.",
    ),
    Exchange(
        "complete_text",
        {**_CHAT, "prompt": "The capital of France is", "max_tokens": 2},
        reply=IN_PROCESS,
        stream=IN_PROCESS,
    ),
    Exchange("embed", {"model": "e5", "input": ["a", "b"]}, reply=IN_PROCESS),
    Exchange("rerank", {"model": "e5", "query": "a", "documents": ["a", "b"]}, reply=IN_PROCESS),
    Exchange(
        "transcribe",
        {"model": "whisper-tiny.en", "file": Espeak().say("Good morning.", voice="en-us")},
        reply=IN_PROCESS,
        stream=IN_PROCESS,
    ),
    Exchange("speak", {"model": "espeak", "input": "Hello"}, reply=IN_PROCESS, stream=IN_PROCESS),
    Exchange("list_models", {}, reply=IN_PROCESS),
)
