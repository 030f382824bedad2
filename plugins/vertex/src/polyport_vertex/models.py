"""Models and counts as Vertex AI tells them.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1beta1/publishers.models/list
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.flow import HttpReply
from polyport.provider import decode
from polyport.types.models import Model, ModelList

#: What of a request `countTokens` does not take; it weighs nothing.
WEIGHTLESS = frozenset({"toolConfig", "safetySettings", "cachedContent", "labels"})


class _Model(msgspec.Struct):
    name: str


class _Models(msgspec.Struct, rename="camel"):
    publisher_models: list[_Model] = []
    next_page_token: str | None = None


def to_models(reply: HttpReply) -> ModelList:
    """Return the models a reply lists, each with whatever else Google says of it in `extra`."""
    page: _Models = decode(reply, _Models)
    whole = msgspec.json.decode(reply.content).get("publisherModels", [])
    made = ModelList(
        data=[_model(found, said) for found, said in zip(page.publisher_models, whole, strict=True)],
        has_more=bool(page.next_page_token),
    )
    made.keep(reply.content, extra={"next_page_token": page.next_page_token} if page.next_page_token else {})
    return made


def _model(found: _Model, said: dict[str, Any]) -> Model:
    return Model(id=found.name.rpartition("/")[2], owned_by="google").tell(said, "name")
