"""Models as their providers list them. https://platform.openai.com/docs/api-reference/models"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.types.record import Request, Result, empty


class Model(Result):
    """One model."""

    id: str = ""
    object: str = msgspec.field(default_factory=lambda: "model")
    created: int | None = None
    owned_by: str | None = None
    display_name: str | None = None

    def tell(self, said: dict[str, Any], *modelled: str) -> Model:
        """Keep all that a provider says of the model, what is not `modelled` as `extra`, and return it."""
        self.keep(msgspec.json.encode(said), {name: value for name, value in said.items() if name not in modelled})
        return self


class ModelList(Result):
    """The models a key may use."""

    object: str = msgspec.field(default_factory=lambda: "list")
    data: list[Model] = empty()
    has_more: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; each model with whatever else the provider said of it."""
        return {**super().to_dict(), "data": [model.to_dict() for model in self.data]}


class ModelListRequest(Request):
    """Which provider's models to list."""

    after: str | None = None
    limit: int | None = None

    def refuse_pages(self) -> None:
        """Refuse to cut a list into pages that comes as a whole."""
        for name in ("after", "limit"):
            if getattr(self, name) is not None:
                self.unsupported(name, "the whole list comes at once")
