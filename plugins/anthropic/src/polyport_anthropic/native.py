"""The Messages API in its own shape: `messages()`, `count_tokens` and the list of models."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.messages import MessagesRequest
from polyport.types.models import Model, ModelList
from polyport.wire.dates import seconds
from polyport_anthropic.chat import default_max_tokens

#: Fields that count_tokens does not take; they do not change what a prompt weighs.
#: https://platform.claude.com/docs/en/api/messages-count-tokens
WEIGHTLESS = frozenset({"max_tokens", "stream", "temperature", "top_p", "top_k", "stop_sequences", "metadata",
                        "service_tier", "container"})  # fmt: skip


def to_native(request: MessagesRequest) -> dict[str, Any]:
    """Return the body of a request that is in Anthropic's shape already, with the limit that it must have."""
    given = {name: value for name, value in request.given().items() if name != "betas"}
    if "max_tokens" not in given:
        given["max_tokens"] = default_max_tokens(request)
    return {"model": request.model, **given, **request.extra}


def to_count(request: MessagesRequest) -> dict[str, Any]:
    """Return the body of a request to count its tokens."""
    given = {name: value for name, value in request.given().items() if name != "betas" and name not in WEIGHTLESS}
    return {"model": request.model, **given, **request.extra}


class _Model(msgspec.Struct):
    id: str
    created_at: datetime | None = None
    display_name: str | None = None


class _Models(msgspec.Struct):
    data: list[_Model] = []
    has_more: bool | None = None


def to_models(reply: HttpReply) -> ModelList:
    """Return the models a reply lists, each with whatever else Anthropic says of it in `extra`."""
    page: _Models = decode(reply, _Models)
    whole = msgspec.json.decode(reply.content).get("data", [])
    models = [_model(found, said) for found, said in zip(page.data, whole, strict=True)]
    made = ModelList(data=models, has_more=page.has_more)
    made.keep(reply.content, extra={})
    return made


def _model(found: _Model, said: dict[str, Any]) -> Model:
    model = Model(id=found.id, created=seconds(found.created_at), owned_by="anthropic", display_name=found.display_name)
    return model.tell(said, "id", "created_at", "display_name", "type")
