"""Counting tokens and listing models. https://ai.google.dev/api/tokens and https://ai.google.dev/api/models"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.bridges.messages import to_chat
from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.messages import MessagesRequest, TokenCount
from polyport.types.models import Model, ModelList, ModelListRequest
from polyport_gemini.body import to_body
from polyport_gemini.wire import ContentWire, version

#: The most models a page can have.
PAGE = 1000


class Tokens(ContentWire):
    """POST {model}:countTokens."""

    @hookimpl
    def count_tokens(self, request: MessagesRequest) -> Flow[TokenCount]:
        """Count a request's input tokens: its instructions, history and tools."""
        chat = to_chat(request)
        chat.model = request.model
        body = yield from to_body(chat, self.door)
        reply = yield self.ask(request, "countTokens", self.count_body(request, body))
        return to_count(reply)

    def count_body(self, request: MessagesRequest, body: dict[str, Any]) -> dict[str, Any]:
        """Return the body of a count: the whole request, so that instructions and tools are counted too."""
        model = request.model if "/" in request.model else f"models/{request.model}"
        return {"generateContentRequest": {"model": model, **body}}


class _Count(msgspec.Struct, rename="camel"):
    total_tokens: int


def to_count(reply: HttpReply) -> TokenCount:
    """Return the count that a reply tells, the tokens of each modality in `extra`."""
    made = TokenCount(input_tokens=decode(reply, _Count).total_tokens)
    made.keep(reply.content)
    return made


class Models(ContentWire):
    """GET /models."""

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """List the models; `after` is the `next_page_token` of the page before."""
        params = {"pageSize": request.limit or PAGE, "pageToken": request.after}
        reply = yield self.get(f"/{version(request)}/models", params=params)
        return to_models(reply)


class _Model(msgspec.Struct, rename="camel"):
    name: str
    display_name: str | None = None


class _Models(msgspec.Struct, rename="camel"):
    models: list[_Model] = []
    next_page_token: str | None = None


def to_models(reply: HttpReply) -> ModelList:
    """Return the models a reply lists, each with whatever else Google says of it in `extra`."""
    page: _Models = decode(reply, _Models)
    whole = msgspec.json.decode(reply.content).get("models", [])
    models = [_model(found, said) for found, said in zip(page.models, whole, strict=True)]
    made = ModelList(data=models, has_more=bool(page.next_page_token))
    made.keep(reply.content, extra={"next_page_token": page.next_page_token} if page.next_page_token else {})
    return made


def _model(found: _Model, said: dict[str, Any]) -> Model:
    model = Model(id=found.name.removeprefix("models/"), owned_by="google", display_name=found.display_name)
    return model.tell(said, "name", "displayName")
