"""What a batch may cost, before it starts: its requests are counted when they come by, and priced when it starts.

What one request may use is `estimate`'s matter. A file of many lines comes to one row for each model in it: how many
requests, tokens that they have, tokens that their answers may have. That is kept with the file, so that whichever
replica starts the batch knows it. A batch is priced at its provider's batch prices, where it has none at the usual
ones. Of a file that nobody here saw, and of a model without a price, nothing is foreseen: what such a batch holds, and
costs where nobody can tell afterwards either, is the operator's to say (`general_settings.unpriced_batch_hold`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from polyport.batchcost import TIER
from polyport.prices import Rates
from polyport_gateway import estimate

#: How an endpoint ends -> the operation that its lines are.
KINDS = {
    "/chat/completions": "completion", "/completions": "text_completion", "/responses": "responses",
    "/messages": "messages", "/embeddings": "embedding",
}  # fmt: skip
#: Lines that are read at once, before others have their turn; models of one file that are told apart.
AT_ONCE, MODELS = 50, 100


class Asks(msgspec.Struct, array_like=True):
    """What requests to one model ask for, all together."""

    requests: int = 0
    prompt: int = 0
    answer: int = 0


#: Model, as its provider calls it ("" where lines name none) -> what is asked of it.
Foreseen = dict[str, Asks]


class _Line(msgspec.Struct):
    url: str = ""
    body: dict[str, Any] = {}


_line = msgspec.json.Decoder(_Line).decode


def add(foreseen: Foreseen, model: str, url: str, body: Mapping[str, Any]) -> None:
    """Count one request. An endpoint that is none of those here counts as a chat."""
    kind = next((kind for end, kind in KINDS.items() if url.endswith(end)), "completion")
    prompt, answer = estimate.tokens(kind, body)
    if model not in foreseen and len(foreseen) >= MODELS:
        model = next(iter(foreseen))
    one = foreseen.setdefault(model, Asks())
    one.requests += 1
    one.prompt += prompt
    one.answer += answer


async def of_lines(content: bytes) -> Foreseen:
    """Count the lines of a batch's file. What is none is the provider's to refuse."""
    found: Foreseen = {}
    for number, text in enumerate(content.splitlines()):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        if text.strip():
            try:
                line = _line(text)
            except msgspec.MsgspecError:
                continue
            model = line.body.get("model")
            add(found, model if isinstance(model, str) else "", line.url, line.body)
    return found


def pack(foreseen: Foreseen) -> str:
    """Return it as text."""
    return msgspec.json.encode(foreseen).decode() if foreseen else ""


def unpack(text: str) -> Foreseen:
    """Return what was packed."""
    return msgspec.json.decode(text, type=Foreseen) if text else {}


def nano(foreseen: Foreseen, rates_of: Callable[[str], Rates | None]) -> int:
    """Return what it may cost in nano-dollars: requests to a model are taken to be of one length."""
    return sum(_nano(one, rates_of(model)) for model, one in foreseen.items())


def is_whole(foreseen: Foreseen, rates_of: Callable[[str], Rates | None]) -> bool:
    """Whether that is all: the requests are known, and the price of each model is."""
    return bool(foreseen) and all(rates_of(model) is not None for model in foreseen)


def _nano(asks: Asks, rates: Rates | None) -> int:
    if rates is None or not asks.requests:
        return 0
    prompt, answer = -(-asks.prompt // asks.requests), -(-asks.answer // asks.requests)
    tier = {"service_tier": TIER} if rates.holds_at(TIER) else {}
    return asks.requests * (estimate.nano(prompt, answer, tier, [rates]) or 0)
