"""Cohere's embed, v1 and v2, over any provider. https://docs.cohere.com/reference/embed

Vectors of Cohere's models come in the types that were asked for. Those of others are floats, of which the other types
are made here.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from typing import Any

from msgspec.structs import replace

from polyport.border import Call, Middleware, Next
from polyport.errors import BadRequestError, UnsupportedParamsError
from polyport.flow import Call as Calling, Flow
from polyport.operations import Operation
from polyport.types.embed import EmbeddingResponse
from polyport_gateway import replies
from polyport_gateway.asked import ALLOWED
from polyport_gateway.cohere import Cohere
from polyport_gateway.cohere_chat import Fields, require_model
from polyport_gateway.cohere_turns import Notes, given_of, remade
from polyport_gateway.gate import Admission, new_id
from polyport_gateway.running import Running
from polyport_gateway.surface import Answer

#: Fields that hold what is embedded, of which a request has one.
INPUTS = ("texts", "images", "inputs")
#: What every vendor may have.
KNOWN = frozenset({*ALLOWED, "model", "input", "input_type", "dimensions", "user"})
#: What only Cohere has -> why others lack it.
OWN = {
    "truncate": "only Cohere's models are told where to cut a text that is too long",
    "max_tokens": "only Cohere's models are told how much of a text to read",
    "priority": "only Cohere says who waits when it is busy",
}
#: Values of these that ask for what happens anyway.
NEUTRAL: dict[str, Any] = {"truncate": "NONE", "priority": 0}
PURPOSE = "this model's vectors do not depend on what they are for, or it is not known how"
MADE_HERE = "made here of floats: a bit for each sign, or eight for each number's share of the largest"


class Embedding(Cohere):
    """POST /v1/embed and /v2/embed. The first version answers with bare floats where no types are asked for."""

    plans = True

    def __init__(self, version: str = "2") -> None:
        self._version = version

    def read(self, operation: Operation, fields: Fields, headers: Mapping[str, str]) -> Fields:
        """Return what is embedded as `input`, and how. Raises BadRequestError."""
        require_model(fields)
        given = {name: value for name, value in fields.items() if value is not None}
        kinds = [name for name in INPUTS if given.get(name)]
        if len(kinds) != 1:
            raise BadRequestError(f"Expected one of {', '.join(f'$.{name}' for name in INPUTS)}")
        for name in INPUTS:
            values = given.pop(name, None)
            if values:
                given["input"] = READ[name](values)
        types = given.get("embedding_types")
        if types is not None and (not isinstance(types, list) or not types or not all(one in TYPES for one in types)):
            raise BadRequestError(f"Expected some of {', '.join(TYPES)} at $.embedding_types")
        if "output_dimension" in given:
            given["dimensions"] = given.pop("output_dimension")
        return given

    def plan(
        self, running: Running, admission: Admission, operation: Operation, fields: Mapping[str, Any]
    ) -> tuple[Call, Flow[Any]]:
        """Return the call, and the flow that makes the types that were asked for of another vendor's floats."""
        types = fields.get("embedding_types") or ["float"]
        if running.speaks(self.relays, fields["model"]):
            return running.router.plan(operation.function, attempt=in_turn(fields, types), **fields)
        notes = Notes()
        return _planned(running, operation.function, to_others(fields, notes), notes, types)

    def answer(self, result: Any, fields: Mapping[str, Any]) -> Answer:
        """Return the vectors."""
        types = fields.get("embedding_types")
        bare = self._version == "1" and types is None
        came = None if bare else result.relayed_as(self.relays)
        if came is not None:
            return Answer(came)
        found = result.extra.get("embeddings")
        by_type = (
            found if isinstance(found, dict) else {(types or ["float"])[0]: [one.embedding for one in result.data]}
        )
        told = {
            "id": new_id(),
            "texts": [one for one in fields["input"] if isinstance(one, str) and not one.startswith("data:")],
            "embeddings": by_type["float"] if bare else by_type,
            "meta": {"api_version": {"version": self._version}, "billed_units": _billed(result)},
            "response_type": "embeddings_floats" if bare else "embeddings_by_type",
        }
        return Answer(replies.encode(told))


def _billed(result: EmbeddingResponse) -> Mapping[str, float]:
    usage = result.usage
    own = getattr(usage, "billed_units", None)
    return own or ({} if usage is None else {"input_tokens": usage.prompt_tokens})


# --- the call of another vendor ------------------------------------------------------------------------------------


def to_others(fields: Mapping[str, Any], notes: Notes) -> Fields:
    """Return what is asked as every vendor takes it; what it loses is noted. Raises BadRequestError."""
    mixed = next((place for place, one in enumerate(fields["input"]) if isinstance(one, dict)), None)
    if mixed is not None:
        raise BadRequestError(f"$.inputs[{mixed}] is no single text or data: URL; only Cohere's models embed it")
    if fields.get("embedding_types", ["float"]) != ["float"]:
        notes.adapt("embedding_types", "emulated", MADE_HERE)
    asked: Fields = {}
    for name, value in fields.items():
        if name in KNOWN:
            asked[name] = value
        elif name != "embedding_types" and not (name in NEUTRAL and value == NEUTRAL[name]):
            notes.unsupported(name, OWN.get(name, "no vendor but Cohere could have it"))
    if asked.get("input_type") == "image":  # which the input says itself
        del asked["input_type"]
    return asked


def _planned(
    running: Running, function: str, asked: Fields, notes: Notes, types: list[str]
) -> tuple[Call, Flow[EmbeddingResponse]]:
    """Return the call of a model of others, and its flow."""
    call, flow = running.router.plan(function, **asked)
    try:
        notes.tell(call.request)
    except BadRequestError:
        flow.close()
        raise

    def without_purpose() -> Flow[EmbeddingResponse]:
        rest = {name: value for name, value in asked.items() if name != "input_type"}
        again, another = running.router.plan(function, **rest)
        call.meta = again.meta
        notes.adapt("input_type", "dropped", PURPOSE)
        notes.tell(again.request)
        result: EmbeddingResponse = yield from another
        return result

    return call, _typed(flow, without_purpose, asked, types)


def in_turn(fields: Mapping[str, Any], types: list[str]) -> Middleware:
    """Return what is around each attempt: of these fields, others than Cohere get what they have."""

    def attempt(call: Call, proceed: Next) -> Flow[Any]:
        request: Any = call.request
        if call.provider.plugin.wire_of(request.model) == Cohere.relays:
            return proceed(call)
        theirs, notes = given_of(request, fields), Notes()
        asked = to_others(theirs, notes)
        notes.tell(request)

        def without_purpose() -> Flow[EmbeddingResponse]:
            request.adapt("input_type", "dropped", PURPOSE)
            rest = {name: value for name, value in asked.items() if name != "input_type"}
            return proceed(replace(call, request=remade(request, theirs, rest)))

        return _typed(proceed(replace(call, request=remade(request, theirs, asked))), without_purpose, asked, types)

    return attempt


def _typed(
    flow: Flow[EmbeddingResponse],
    without_purpose: Callable[[], Flow[EmbeddingResponse]],
    asked: Fields,
    types: list[str],
) -> Flow[EmbeddingResponse]:
    """Return another vendor's vectors in these types.

    Cohere's SDKs have to say what vectors are for: who cannot be told makes them all the same.
    """
    try:
        result = yield from flow
    except UnsupportedParamsError as error:
        if "input_type" not in error.message or "input_type" not in asked:
            raise
        result = yield from without_purpose()
    vectors = [one.embedding for one in result.data]
    by_type = {"float": vectors} if types == ["float"] else (yield Calling(lambda: in_types(vectors, types)))
    result.carry({"embeddings": by_type})
    return result


def in_types(vectors: list[Any], types: list[str]) -> dict[str, list[Any]]:
    """Return vectors of floats in other types."""
    return {name: [TYPES[name](vector) for vector in vectors] for name in types}


def _base64(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()


def _bits(vector: list[float]) -> list[int]:
    """Return a bit for each number, set where it is positive, eight to a byte, the first the highest."""
    signs = [number > 0 for number in vector]
    return [
        sum(sign << (7 - place) for place, sign in enumerate(signs[start : start + 8]))
        for start in range(0, len(signs), 8)
    ]


def _bytes(vector: list[float]) -> list[int]:
    """Return each number's share of the largest, from -127 to 127."""
    largest = max(map(abs, vector), default=0) or 1.0
    return [round(number / largest * 127) for number in vector]


#: https://docs.cohere.com/docs/embeddings#compression-levels
TYPES: dict[str, Callable[[list[float]], Any]] = {
    "float": lambda vector: vector,
    "int8": _bytes,
    "uint8": lambda vector: [number + 128 for number in _bytes(vector)],
    "binary": lambda vector: [byte - 128 for byte in _bits(vector)],
    "ubinary": _bits,
    "base64": _base64,
}


# --- what is embedded -------------------------------------------------------------------------------------------------


def _texts(given: Any) -> list[Any]:
    if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
        raise BadRequestError("Expected a list of texts at $.texts")
    if any(one.startswith("data:image/") for one in given):
        raise BadRequestError("A picture is no text: it belongs into $.images")
    return given


def _images(given: Any) -> list[Any]:
    if not isinstance(given, list) or not all(isinstance(one, str) and one.startswith("data:image/") for one in given):
        raise BadRequestError("Expected a list of data: URLs of pictures at $.images")
    return given


def _inputs(given: Any) -> list[Any]:
    """Return inputs of several parts as they are; one that is a text, or a picture's data: URL, as that."""
    if not isinstance(given, list) or not all(isinstance(one, dict) for one in given):
        raise BadRequestError("Expected a list of objects with `content` at $.inputs")
    return [_input(one, place) for place, one in enumerate(given)]


def _input(given: Fields, place: int) -> Any:
    content = given.get("content")
    if not isinstance(content, list) or not content or not all(isinstance(part, dict) for part in content):
        raise BadRequestError(f"Expected a list of parts at $.inputs[{place}].content")
    only = content[0] if len(content) == 1 else {}
    text, image = only.get("text"), only.get("image_url")
    if only.get("type") == "text" and isinstance(text, str) and not text.startswith("data:"):
        return text
    url = image.get("url") if only.get("type") == "image_url" and isinstance(image, dict) else None
    return url if isinstance(url, str) and url.startswith("data:image/") else {"content": content}


READ: dict[str, Callable[[Any], list[Any]]] = {"texts": _texts, "images": _images, "inputs": _inputs}
