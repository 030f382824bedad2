"""The contract that every provider is held to."""

import pytest

from polyport.testing import IN_PROCESS, Exchange, ProviderContract
from polyport_local import Local
from polyport_local.engines import Engines, Load
from polyport_local.espeak import Espeak

MESSAGES = [{"role": "user", "content": "What is the capital of France?"}]
SPOKEN = Espeak().say("Good morning.", voice="en-us")


@pytest.fixture(scope="module", autouse=True)
def loaded(gguf):
    """Keep the models in memory: every check closes its provider."""
    engines = Engines()
    engines.llama("smollm2", Load(n_ctx=512)).chat({"messages": MESSAGES, "max_tokens": 1})
    engines.e5("e5").embed(["x"])
    engines.whisper("whisper")
    engines.espeak("espeak")
    yield
    engines.close()


class TestContract(ProviderContract):
    provider = Local
    exchanges = (
        Exchange(
            "chat",
            {"model": "smollm2", "messages": MESSAGES, "temperature": 0, "n_ctx": 512},
            reply=IN_PROCESS,
            stream=IN_PROCESS,
            text="The capital of France is Paris.",
        ),
        Exchange(
            "complete_text",
            {"model": "smollm2", "prompt": "The capital of France is", "temperature": 0, "max_tokens": 2, "n_ctx": 512},
            reply=IN_PROCESS,
            stream=IN_PROCESS,
        ),
        Exchange("embed", {"model": "e5", "input": ["a", "b"]}, reply=IN_PROCESS),
        Exchange("rerank", {"model": "e5", "query": "a", "documents": ["a", "b"]}, reply=IN_PROCESS),
        Exchange("transcribe", {"model": "whisper", "file": SPOKEN}, reply=IN_PROCESS, stream=IN_PROCESS),
        Exchange("speak", {"model": "espeak", "input": "Hello"}, reply=IN_PROCESS, stream=IN_PROCESS),
        Exchange("list_models", {}, reply=IN_PROCESS),
    )
