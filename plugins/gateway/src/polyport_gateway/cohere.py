"""What Cohere's interface is everywhere, and rerank, v1 and v2. https://docs.cohere.com/reference/rerank"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from polyport_gateway import replies
from polyport_gateway.surface import Answer, Problem, Surface


class Cohere(Surface):
    """What the official `cohere` SDKs talk to; as it is, when they rank and ask for models."""

    name = "cohere"
    #: The wire of which replies may go out as they came; streams of it are asked for in `plan`.
    relays = "cohere"

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the ranking, with what was billed under `meta`."""
        came = result.relayed_as(self.relays)
        if came is not None:
            return Answer(came)
        usage = result.usage
        units = {} if usage is None or usage.search_units is None else {"search_units": usage.search_units}
        plain = {name: value for name, value in result.to_dict().items() if name != "documents"}
        return Answer(replies.encode({**plain, "id": result.id or "", "meta": {"billed_units": units}}))

    def problem(self, problem: Problem) -> dict[str, Any]:
        """Return the body of an error. https://docs.cohere.com/reference/errors"""
        return {"message": problem.message, "id": problem.request_id}

    def models(self, names: Sequence[str]) -> dict[str, Any]:
        """Return the list of models. https://docs.cohere.com/reference/list-models"""
        return {"models": [self.model(name) for name in names]}

    def model(self, name: str) -> dict[str, Any]:
        """Return what is told of one model."""
        return {"name": name}


class Transcribing(Cohere):
    """POST /v2/audio/transcriptions. https://docs.cohere.com/reference/create-audio-transcription"""

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the text, with what else the provider told of it."""
        return Answer(replies.encode({"text": result} if isinstance(result, str) else result))
