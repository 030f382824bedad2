"""The models of a region, and the profiles over regions.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_ListFoundationModels.html and …_ListInferenceProfiles.html
"""

from __future__ import annotations

from typing import Any

import msgspec

from polyport.flow import Flow, HttpReply
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.models import Model, ModelList, ModelListRequest
from polyport_bedrock.settings import extras
from polyport_bedrock.wire import BedrockWire

#: The most profiles a page can have.
PAGE = 1000
FORBIDDEN = 403


class _Model(msgspec.Struct, rename="camel"):
    model_id: str
    model_name: str | None = None
    provider_name: str | None = None


class _Models(msgspec.Struct, rename="camel"):
    model_summaries: list[_Model] = []


class _Profile(msgspec.Struct, rename="camel"):
    inference_profile_id: str
    inference_profile_name: str | None = None


class _Profiles(msgspec.Struct, rename="camel"):
    inference_profile_summaries: list[_Profile] = []
    next_token: str | None = None


class Models(BedrockWire):
    """GET /inference-profiles and /foundation-models."""

    @hookimpl
    def list_models(self, request: ModelListRequest) -> Flow[ModelList]:
        """List the region's models and the cross-region profiles; ListFoundationModels' filters are keyword arguments.

        Profiles that the credentials may not see are left out.
        """
        profiles = yield from self._profiles(request)
        reply = yield self.get("bedrock:/foundation-models", params=extras(request))
        models = of_models(reply) + profiles
        names = [model.id for model in models]
        start = names.index(request.after) + 1 if request.after in names else 0
        end = len(models) if request.limit is None else start + request.limit
        made = ModelList(data=models[start:end], has_more=end < len(models))
        made.keep(reply.content, extra={})
        return made

    def _profiles(self, request: ModelListRequest) -> Flow[list[Model]]:
        found: list[Model] = []
        token: str | None = None
        while True:
            asked = self.get("bedrock:/inference-profiles", params={"maxResults": PAGE, "nextToken": token})
            asked.expect = (FORBIDDEN,)
            reply: HttpReply = yield asked
            if reply.status == FORBIDDEN:
                request.adapt("profiles", "dropped", "the credentials may not list inference profiles")
                return found
            page: _Profiles = decode(reply, _Profiles)
            whole = msgspec.json.decode(reply.content).get("inferenceProfileSummaries") or []
            for one, said in zip(page.inference_profile_summaries, whole, strict=True):
                found.append(_model(one.inference_profile_id, one.inference_profile_name, None, said))
            token = page.next_token
            if not token:
                return found


def of_models(reply: HttpReply) -> list[Model]:
    """Return the models that a reply lists, each with whatever else Bedrock says of it in `extra`."""
    page: _Models = decode(reply, _Models)
    whole = msgspec.json.decode(reply.content).get("modelSummaries") or []
    return [
        _model(one.model_id, one.model_name, one.provider_name, said)
        for one, said in zip(page.model_summaries, whole, strict=True)
    ]


def _model(id: str, name: str | None, owner: str | None, said: dict[str, Any]) -> Model:
    made = Model(id=id, owned_by=owner, display_name=name)
    made.keep(msgspec.json.encode(said), extra=said)
    return made
