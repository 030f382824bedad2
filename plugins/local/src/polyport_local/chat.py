"""Chat and text completion: from polyport's requests to what an engine is asked, and its replies back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import msgspec

from polyport.errors import BadRequestError
from polyport.flow import TimeoutSpec
from polyport.types.chat import ChatRequest
from polyport.types.completion import TextCompletionRequest
from polyport.types.record import Request, Result, convert
from polyport_local.engines import Load

R = TypeVar("R", bound=Result)
Json = dict[str, Any]

#: Parameters that ask nothing of the model: a service's bookkeeping, left out and said so.
_BOOKKEEPING: Mapping[str, str] = {
    "user": "there is no service that counts users",
    "safety_identifier": "there is no service that counts users",
    "metadata": "there is no service to keep it",
    "store": "nothing is stored",
    "service_tier": "there is one tier, this machine",
    "prompt_cache_key": "prompts that begin alike share their beginning by themselves",
}
#: Parameters whose loss would change the answer.
_REFUSED: Mapping[str, str] = {
    "reasoning_effort": "the model does not reason apart from its answer",
    "thinking": "the model does not reason apart from its answer",
    "audio": "the model writes and does not speak; local/espeak does",
    "prediction": "there is no speculative decoding here",
    "web_search_options": "nothing leaves this process",
    "verbosity": "say in the prompt how long the answer should be",
    "suffix": "the model continues texts, it does not fill gaps",
    "best_of": "answers are not compared; ask for n",
}
#: What of `extra` says how the model is loaded.
_LOADING = frozenset(Load.__struct_fields__)


def to_chat(request: ChatRequest) -> Json:
    """Return the body of a chat: what was given, and `request.extra` for llama.cpp's own parameters (min_p ...)."""
    body = _body(request)
    modalities = body.pop("modalities", None)
    if modalities and set(modalities) != {"text"}:
        request.unsupported("modalities", "the model writes text")
    _older_functions(request, body)
    _emulate_n(request, body)
    return body


def to_completion(request: TextCompletionRequest) -> Json:
    """Return the body of a text completion."""
    body = _body(request)
    _emulate_n(request, body)
    return body


def refuse_extra(request: Request, *, loads: bool = False) -> None:
    """Refuse parameters that polyport does not know, for engines that know no more. `loads`: but n_ctx, n_threads."""
    for name in {**request.extra, **(request.options.extra_body or {})}:
        if not (loads and name in _LOADING):
            request.unsupported(name, "this model has no such parameter")


def loading(request: Request) -> Load:
    """Return how the model is to be loaded. Raises BadRequestError for what is no number."""
    load: Load = convert({name: request.extra[name] for name in _LOADING & request.extra.keys()}, Load, "$")
    if min(load.n_ctx or 1, load.n_threads or 1) < 1:
        raise BadRequestError("n_ctx and n_threads must be 1 or more")
    return load


def timeout(request: Request) -> float | None:
    """Return the seconds a whole answer may take; None where the user set no limit."""
    given = request.options.timeout
    return None if given is None else TimeoutSpec.of(given).total


def describe_tools(request: ChatRequest, *, native: bool) -> None:
    """Record how tools are dealt with. `native`: the model's template has a place for them."""
    if not request.toolbox or request.tool_choice == "none":
        return
    forced = request.tool_choice not in (None, "auto")
    if forced or not native:
        how = "calls are constrained by a grammar of the tools' schemas, one call a reply"
        words = "" if native else "the model was taught no tools: they are described in the system prompt; "
        request.adapt("tools", "emulated", words + how)


class Typed(Generic[R]):
    """The decoder of streams made here: each chunk becomes its type."""

    def __init__(self, kind: type[R]) -> None:
        self._kind = kind

    def feed(self, data: Any) -> list[R]:
        """Return the chunk, typed."""
        return [to_result(data, self._kind)]

    def close(self) -> list[R]:
        """Nothing is ever held back."""
        return []


def to_result(reply: Json, kind: type[R]) -> R:
    """Return an engine's reply as polyport's type; what is not modelled stays readable in `extra`."""
    raw = msgspec.json.encode(reply)
    result = msgspec.json.decode(raw, type=kind)
    result.keep(raw)
    return result


def _body(request: Request) -> Json:
    body: Json = {}
    for name, value in request.given().items():
        if name in _BOOKKEEPING:
            request.adapt(name, "dropped", _BOOKKEEPING[name])
        elif name in _REFUSED:
            request.unsupported(name, _REFUSED[name])
        else:
            body[name] = value
    extra = {name: value for name, value in request.extra.items() if name not in _LOADING}
    return {**body, **extra, **(request.options.extra_body or {})}


def _emulate_n(request: Request, body: Json) -> None:
    if (body.get("n") or 1) > 1:
        request.adapt("n", "emulated", "the answers are made one after the other")


def _older_functions(request: ChatRequest, body: Json) -> None:
    """Put `functions` and `function_call`, the names before there were tools, into today's."""
    functions, choice = body.pop("functions", None), body.pop("function_call", None)
    if functions:
        request.adapt("functions", "renamed", "they are tools of the type function")
        body["tools"] = [*body.get("tools", ()), *({"type": "function", "function": f} for f in functions)]
    if choice is not None:
        request.adapt("function_call", "renamed", "it is tool_choice")
        body["tool_choice"] = {"type": "function", "function": choice} if isinstance(choice, dict) else choice
