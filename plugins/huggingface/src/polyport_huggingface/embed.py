"""Vectors: Hugging Face's own provider, others by the router, and text-embeddings-inference at an endpoint.

https://huggingface.co/docs/inference-providers/tasks/feature-extraction and /docs/text-embeddings-inference
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from polyport.dialects.openai import Embeddings, to_body
from polyport.errors import InvalidResponseError, UnsupportedParamsError
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.embed import EmbeddingResponse, EmbedRequest, embeddings
from polyport.types.usage import Usage, usage
from polyport_huggingface.hub import OWN, serve
from polyport_huggingface.naming import dedicated, read

#: Providers that speak OpenAI's words, and where.
COMPATIBLE: Mapping[str, str] = {
    "together": "v1/embeddings",
    "scaleway": "v1/embeddings",
    "deepinfra": "v1/openai/embeddings",
}
#: How many tokens a call took, as text-embeddings-inference tells it.
TOKENS = "x-compute-tokens"


class HubEmbeddings(Embeddings):
    """Vectors. Without a provider's name the router's own is asked, which serves most models that embed."""

    @hookimpl
    def embed(self, request: EmbedRequest) -> Flow[EmbeddingResponse]:
        """Return one vector per input."""
        if dedicated(request):
            if (request.options.api_base or "").rstrip("/").endswith("/v1"):
                return (yield from super().embed(request))
            return (yield from self._features(request, "/embed"))
        name = read(request.model)
        if name.provider in ("", OWN):
            return (yield from self._features(request, f"/{OWN}/models/{name.repo}/pipeline/feature-extraction"))
        served = yield from serve(self, request, "feature-extraction", COMPATIBLE)
        body = {**self.body(request, "embed"), "model": served.id}
        reply = yield self.post(served.at(COMPATIBLE[served.provider]), json=body)
        return decode(reply, EmbeddingResponse)

    def _features(self, request: EmbedRequest, path: str) -> Flow[EmbeddingResponse]:
        reply: HttpReply = yield self.post(path, json=to_features(request))
        return to_vectors(reply, request)


def to_features(request: EmbedRequest) -> dict[str, Any]:
    """Return the body; `normalize`, `truncate` and `prompt_name` are keyword arguments like any other."""
    if request.dimensions is not None:
        request.unsupported("dimensions", "vectors have the model's own length here")
    if request.input_type is not None:
        request.unsupported("input_type", "prompt_name=... is what says it, for models that have prompts")
    if request.encoding_format == "base64":
        request.adapt("encoding_format", "emulated", "vectors come as numbers, which are written as base64 here")
    for index, value in enumerate(request.texts):
        if isinstance(value, str) and value.startswith("data:image/"):
            raise UnsupportedParamsError(f"$.input[{index}] is an image; {request.model or 'this model'} embeds text.")
    skip = ("input", "dimensions", "input_type", "encoding_format", "user")
    if request.user is not None:
        request.unsupported("user", "providers are not told about users")
    body = to_body(request, "embed", skip=skip)
    body.pop("model", None)
    return {"inputs": request.texts, **body}


def to_vectors(reply: HttpReply, request: EmbedRequest) -> EmbeddingResponse:
    """Return the vectors of a reply. Raises InvalidResponseError where they are not one an input."""
    found = decode(reply, list[Any])
    wanted = len(request.texts)
    if wanted == 1 and found and isinstance(found[0], int | float):
        found = [found]
    try:
        vectors = msgspec.convert(found, list[list[float]])
    except msgspec.ValidationError as error:
        raise InvalidResponseError(
            f"The reply is no list of vectors: {error}. Does the model give a vector a token, not one a text?",
            body=reply.content,
        ) from error
    if len(vectors) != wanted:
        raise InvalidResponseError(f"{wanted} inputs gave {len(vectors)} vectors", body=reply.content)
    made = EmbeddingResponse(
        data=embeddings(vectors, request.encoding_format),
        model=request.model,
        usage=used(reply),
    )
    made.keep(reply.content, extra={})
    return made


def used(reply: HttpReply) -> Usage | None:
    """Return the tokens that a server counts in a header; None where it does not."""
    count = reply.headers.get(TOKENS, "")
    return usage(int(count)) if count.isdecimal() else None
