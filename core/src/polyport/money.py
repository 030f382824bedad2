"""What calls cost, by hand: `completion_cost(response)`, `cost_per_token("gpt-4o", 1000, 200)`. In USD.

The `cost` layer says it of every call, `response.meta.cost`; these are for what was recorded, is planned, or was made
elsewhere. None is returned where no price is known, never 0.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from polyport import metering
from polyport.errors import BadRequestError, NotFoundError
from polyport.operations import BY_FUNCTION, BY_HOOK, OPERATIONS
from polyport.plugins import Providers
from polyport.pricefile import rates_given
from polyport.prices import Rates, Used, nano_of, rates_of
from polyport.routing import resolve
from polyport.tokens import of_messages, token_counter
from polyport.types.bill import NANO, Bill
from polyport.types.chat import ChatCompletion
from polyport.types.messages import AnthropicMessage
from polyport.types.record import Meta, Result, learn
from polyport.types.responses import Response
from polyport.types.usage import CompletionTokensDetails, PromptTokensDetails, Usage

#: What an operation returns -> its hook, for responses that do not say what they answer.
KINDS: dict[type[Result], str] = {
    operation.response: operation.hook for operation in reversed(OPERATIONS) if operation.hook in metering.READERS
}


def completion_cost(
    completion_response: Any = None,
    *,
    model: str | None = None,
    prompt: str = "",
    completion: str = "",
    messages: Sequence[Any] | None = None,
    provider: str | None = None,
    custom_llm_provider: str | None = None,
    call_type: str | None = None,
    service_tier: str | None = None,
    prices: Mapping[str, Any] | None = None,
) -> float | None:
    """Return what a response cost in USD, or texts would; None where no price is known.

    A response is a result of ours, of any operation, or its plain data. Without one, `prompt` or `messages` and
    `completion` are counted (see `token_counter`). `model` decides whose prices hold, else the response says.
    """
    found = completion_bill(
        completion_response,
        model=model,
        prompt=prompt,
        completion=completion,
        messages=messages,
        provider=provider or custom_llm_provider,
        call_type=call_type,
        service_tier=service_tier,
        prices=prices,
    )
    if found is not None:
        return found.cost
    return None if model or completion_response is None else meta_of(completion_response).provider_cost


def completion_bill(
    completion_response: Any = None,
    *,
    model: str | None = None,
    prompt: str = "",
    completion: str = "",
    messages: Sequence[Any] | None = None,
    provider: str | None = None,
    call_type: str | None = None,
    service_tier: str | None = None,
    prices: Mapping[str, Any] | None = None,
) -> Bill | None:
    """Return the same as a Bill, which says what the cost is made of."""
    used: Used | None
    if completion_response is not None:
        used, answered = _of_response(completion_response, call_type)
    elif model is not None:
        used, answered = _of_texts(model, prompt, completion, messages), []
    else:
        raise BadRequestError("Pass a response, or model=... and texts, to be priced.")
    if used is None:
        return None
    if service_tier is not None:
        used.service_tier = service_tier
    rates = rates_given(prices) if prices is not None else _rates(model, provider, answered)
    return None if rates is None else rates.bill(used)


def _of_texts(model: str, prompt: str, completion: str, messages: Sequence[Any] | None) -> Used:
    given = of_messages(model, messages) if messages is not None else token_counter(model, text=prompt)
    made = token_counter(model, text=completion)
    buckets = {name: int(count) for name, count in (("input", given), ("output", made)) if count}
    return Used(tokens=buckets, prompt=int(given), estimated=not (given.exact and made.exact))


def meta_of(response: Any) -> Meta:
    """Return a response's meta; an empty one for plain data."""
    return response.meta if isinstance(response, Result) else Meta()


def _of_response(response: Any, call_type: str | None) -> tuple[Used | None, list[tuple[str | None, str]]]:
    """Return what a response used, and whose prices may hold: (provider, model), the most telling first."""
    result = result_of(response, call_type)
    hook = _hook(call_type) if call_type else KINDS.get(type(result)) or _kind_of(result)
    used = metering.read(hook, None, result) if hook else None
    meta = meta_of(response)
    names = [(meta.provider or None, name) for name in (meta.model, getattr(result, "model", "")) if name]
    return used, names


def _hook(call_type: str) -> str:
    operation = BY_FUNCTION.get(call_type) or BY_FUNCTION.get(call_type.removeprefix("a")) or BY_HOOK.get(call_type)
    if operation is None:
        raise BadRequestError(f"No operation is called {call_type!r}; there are {', '.join(BY_FUNCTION)}.")
    return operation.hook


def _kind_of(result: Any) -> str | None:
    return next((hook for kind, hook in KINDS.items() if isinstance(result, kind)), None)


def result_of(response: Any, call_type: str | None = None) -> Any:
    """Return a response as a result of ours; plain data is read by its shape."""
    if isinstance(response, Result):
        return response
    dump = getattr(response, "model_dump", None)
    data = dump() if dump is not None else response
    if not isinstance(data, Mapping):
        raise BadRequestError(f"A {type(response).__name__} is no response that can be priced.")
    kind = BY_HOOK[_hook(call_type)].response if call_type else shape_of(data)
    return msgspec.convert(dict(data), learn(kind), strict=False)


def shape_of(data: Mapping[str, Any]) -> type[Result]:
    """Return the type of a response by its plain data: `object` says, or what Anthropic's messages have."""
    if data.get("object") == "response":
        return Response
    if data.get("type") == "message":
        return AnthropicMessage
    return ChatCompletion


def _rates(model: str | None, provider: str | None, answered: list[tuple[str | None, str]]) -> Rates | None:
    """Return the prices of the first model that has any. Raises NotFoundError where `model` is nobody's."""
    names = [(provider, model)] if model is not None else [(provider or whose, name) for whose, name in answered]
    providers = Providers()
    for whose, name in names:
        try:
            found = rates_of(*resolve(name, providers, whose))
        except NotFoundError:
            if model is not None:
                raise
            continue
        if found is not None:
            return found
    return None


def cost_per_token(
    model: str,
    prompt_tokens: int = 0,
    completion_tokens: int = 0,
    *,
    cache_read_input_tokens: int = 0,
    cache_creation_input_tokens: int = 0,
    reasoning_tokens: int = 0,
    prompt_characters: int | None = None,
    completion_characters: int | None = None,
    usage_object: Usage | None = None,
    custom_llm_provider: str | None = None,
    service_tier: str | None = None,
    prices: Mapping[str, Any] | None = None,
) -> tuple[float | None, float | None]:
    """Return (prompt USD, completion USD) of so many tokens; (None, None) where no price is known.

    `prompt_tokens` include cached and cache-written ones, `completion_tokens` reasoning. `usage_object` stands in
    place of the counts; `prompt_characters` is for models that bill by the letter.
    """
    usage = usage_object or Usage(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
        prompt_tokens_details=PromptTokensDetails(
            cached_tokens=cache_read_input_tokens, cache_write_tokens=cache_creation_input_tokens
        ),
        completion_tokens_details=CompletionTokensDetails(reasoning_tokens=reasoning_tokens),
    )
    used = metering.of_usage(usage)
    characters = (prompt_characters or 0) + (completion_characters or 0)
    if characters:
        used.units = {**used.units, "character": characters}
    used.service_tier = service_tier
    rates = rates_given(prices) if prices is not None else _rates(model, custom_llm_provider, [])
    return (None, None) if rates is None else sides(rates, used)


#: Units of what a model makes; all others are of what it is given.
MADE = frozenset({"output", "reasoning", "audio_output", "image_output", "image", "megapixel", "video_second"})


def sides(rates: Rates, used: Used) -> tuple[float | None, float | None]:
    """Return what was given and what was made, each at the price that holds for both together."""
    whole = rates.bill(used)
    if whole is None:
        return (None, None) if used.tokens or used.units else (0.0, 0.0)
    made = sum(nano_of(line) for line in whole.lines if line.unit in MADE)
    return (whole.nano - made) / NANO, made / NANO
