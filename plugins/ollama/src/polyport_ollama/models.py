"""The models that are on the machine: GET /api/tags. https://docs.ollama.com/api/tags"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from polyport.dialects.openai import Models
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.models import Model, ModelList, ModelListRequest
from polyport.wire.dates import seconds
from polyport_ollama.address import speaks_openai
from polyport_ollama.reach import ask


class OllamaModels(Models):
    """The list of models at Ollama's own door, or at OpenAI's where the user asks there."""

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """List the models that were pulled; each says its size, digest and details besides."""
        if speaks_openai(request):
            return (yield from super().list_models(request))
        request.refuse_pages()
        reply: HttpReply = yield from ask(self.get("/api/tags", params=dict(request.extra)))
        found: _Tags = decode(reply, _Tags)
        made = ModelList(data=[_model(tag) for tag in found.models])
        made.keep(reply.content, extra={})
        return made


class _Tag(msgspec.Struct):
    name: str
    modified_at: datetime | None = None
    size: int | None = None
    digest: str | None = None
    remote_model: str | None = None
    remote_host: str | None = None
    details: dict[str, Any] | None = None


class _Tags(msgspec.Struct):
    models: list[_Tag]


def _model(tag: _Tag) -> Model:
    namespace, slash, _ = tag.name.partition("/")
    model = Model(id=tag.name, created=seconds(tag.modified_at), owned_by=namespace if slash else "library")
    more = {"size": tag.size, "digest": tag.digest, "details": tag.details}
    more |= {"remote_model": tag.remote_model, "remote_host": tag.remote_host}
    model.carry({name: value for name, value in more.items() if value is not None})
    return model
