"""Vectors with Ollama: POST /api/embed. https://docs.ollama.com/api/embed"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.dialects.openai import Embeddings, to_body
from polyport.errors import InvalidResponseError, UnsupportedParamsError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.embed import EmbeddingResponse, EmbedRequest, embeddings
from polyport.types.usage import usage
from polyport_ollama.address import speaks_openai
from polyport_ollama.chat import arranged
from polyport_ollama.quirks import NATIVE
from polyport_ollama.reach import ask


class OllamaEmbeddings(Embeddings):
    """Vectors at Ollama's own door, or at OpenAI's where the user asks there."""

    @hookimpl
    def embed(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        """Return one vector per text, in one call. Texts that are too long are cut unless `truncate=False`."""
        if speaks_openai(request):
            return (yield from super().embed(request))
        reply: HttpReply = yield from ask(self.post("/api/embed", json=to_embed(request)))
        return to_vectors(reply, request)


def to_embed(request: EmbedRequest) -> dict[str, Any]:
    """Return the body. Raises UnsupportedParamsError for what is no text."""
    for index, text in enumerate(request.texts):
        if not isinstance(text, str) or text.startswith("data:image/"):
            what = "an image" if isinstance(text, str) else "no text"
            raise UnsupportedParamsError(f"$.input[{index}] is {what}; Ollama's models embed texts.")
    if request.encoding_format == "base64":
        request.adapt("encoding_format", "emulated", "Ollama gives numbers, which are written as base64 here")
    body = to_body(request, "embed", NATIVE, skip=("input", "encoding_format"))
    body["input"] = request.texts
    made = arranged(body, [], stream=False)
    del made["stream"]
    return made


class _Vectors(msgspec.Struct):
    embeddings: list[list[float]]
    model: str = ""
    prompt_eval_count: int | None = None
    total_duration: int | None = None
    load_duration: int | None = None


def to_vectors(reply: HttpReply, request: EmbedRequest) -> EmbeddingResponse:
    """Return the vectors that a reply holds. Raises InvalidResponseError where they are not as many as the inputs."""
    found: _Vectors = decode(reply, _Vectors)
    wanted, got = len(request.texts), len(found.embeddings)
    if wanted != got:
        raise InvalidResponseError(f"{wanted} inputs gave {got} vectors at $.embeddings", body=reply.content)
    made = EmbeddingResponse(
        data=embeddings(found.embeddings, request.encoding_format),
        model=found.model or request.model,
        usage=usage(found.prompt_eval_count) if found.prompt_eval_count is not None else None,
    )
    durations = {"total_duration": found.total_duration, "load_duration": found.load_duration}
    made.keep(reply.content, extra={name: value for name, value in durations.items() if value is not None})
    return made
