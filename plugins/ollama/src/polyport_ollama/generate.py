"""Text completion with Ollama: POST /api/generate. https://docs.ollama.com/api/generate

Prompts go through the model's template, as everywhere with Ollama; `raw=True` sends them as they are.
"""

from __future__ import annotations

from typing import Any

from polyport.bridges.completions import TextChunks, merge, prompts_of
from polyport.bridges.inner import chunk_of
from polyport.dialects.openai import Completions, to_body
from polyport.errors import UnsupportedParamsError
from polyport.flow import All, Flow, HttpReply, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.completion import TextCompletion, TextCompletionRequest
from polyport_ollama.address import speaks_openai
from polyport_ollama.chat import arranged
from polyport_ollama.quirks import NATIVE
from polyport_ollama.reach import ask
from polyport_ollama.reply import to_completion
from polyport_ollama.stream import Lines

READ = frozenset({"prompt", "stream", "stream_options", "echo", "best_of", "n", "stop", "logprobs"})


class OllamaCompletions(Completions):
    """Text completion at Ollama's own door, or at OpenAI's where the user asks there."""

    @hookimpl
    def complete_text(self, request: TextCompletionRequest) -> Flow[TextCompletion | Streaming[TextCompletion]]:
        """Continue texts, several side by side; before a `suffix`, where the model can fill gaps."""
        if speaks_openai(request):
            return (yield from super().complete_text(request))
        prompts = prompts_of(request)
        if not request.stream:
            return merge((yield All([self._whole(request, prompt) for prompt in prompts])))
        if len(prompts) > 1:
            raise UnsupportedParamsError("Several prompts cannot share a stream: pass one prompt, or do not stream.")
        body = to_generate(request, prompts[0])
        reply: HttpReply = yield from ask(self.post("/api/generate", json=body, stream=True))
        return Streaming(reply, Lines()).through(TextChunks(_echo(request, prompts[0])))

    def _whole(self, request: TextCompletionRequest, prompt: str) -> Flow[TextCompletion]:
        reply: HttpReply = yield from ask(self.post("/api/generate", json=to_generate(request, prompt)))
        answer = to_completion(reply)
        (made,) = TextChunks(_echo(request, prompt)).feed(chunk_of(answer))
        thought = answer.choices[0].message.reasoning_content
        made.keep(reply.content, extra={**answer.extra, **({"thinking": thought} if thought else {})})
        return made


def to_generate(request: TextCompletionRequest, prompt: str) -> dict[str, Any]:
    """Return the body for one prompt."""
    for name in ("n", "best_of"):
        if getattr(request, name) not in (None, 1):
            request.unsupported(name, "Ollama gives one answer a call")
    body = to_body(request, "complete_text", NATIVE, skip=READ)
    body["prompt"] = prompt
    if request.logprobs is not None:
        body["logprobs"] = True
        if request.logprobs:
            body["top_logprobs"] = request.logprobs
    stops = [request.stop] if isinstance(request.stop, str) else list(request.stop or [])
    return arranged(body, stops, stream=bool(request.stream))


def _echo(request: TextCompletionRequest, prompt: str) -> str:
    """Return what goes before the text: the prompt, where it is to be echoed."""
    if not request.echo:
        return ""
    request.adapt("echo", "emulated", "the prompt is put before each text here; it has no logprobs")
    return prompt
