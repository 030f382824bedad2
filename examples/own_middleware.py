"""Around every call: a log, a budget of tokens, a guardrail. One function each, for sync, async and streams."""

import sys
from typing import Any

import polyport
from polyport.border import Call, Next
from polyport.flow import Flow, Now, Streaming

model = sys.argv[1] if len(sys.argv) > 1 else "local/smollm2"


def log(call: Call, proceed: Next) -> Flow[Any]:
    """Say what was asked and how long it took; of a stream, to its end."""
    start: float = yield Now()
    result = yield from proceed(call)
    name = f"{call.operation.function} {call.provider.name}/{call.request.model}"
    if isinstance(result, Streaming):

        def ended(error: BaseException | None) -> Flow[None]:
            print(f"\n[{name}: stream over after {(yield Now()) - start:.2f} s, {error or 'no error'}]")

        return result.epilogue(ended)
    print(f"[{name}: {(yield Now()) - start:.2f} s]")
    return result


class TokenBudget:
    """Refuse calls once so many tokens are used."""

    def __init__(self, tokens: int) -> None:
        self.left = tokens

    def __call__(self, call: Call, proceed: Next) -> Flow[Any]:
        """Count what a call used; a streamed call is counted as nothing here."""
        if self.left <= 0:
            raise polyport.BudgetExceededError("No tokens are left in the budget.")
        result = yield from proceed(call)
        self.left -= sum(getattr(result, "usage_buckets", {}).values())
        return result


def polite(call: Call, proceed: Next) -> Flow[Any]:
    """Refuse questions with a word that is not wanted, before anything is sent."""
    if any("damn" in str(message.get("content")) for message in getattr(call.request, "messages", [])):
        raise polyport.GuardrailError("Ask politely.")
    return (yield from proceed(call))


budget = TokenBudget(10)
with polyport.Client(middleware=[log, polite, budget]) as client:
    question = [{"role": "user", "content": "Say hello."}]
    with client.completion(model, question, stream=True, max_tokens=16) as stream:
        for chunk in stream:
            print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="")
    print(client.completion(model, question, max_tokens=16).text)
    for refused in ([{"role": "user", "content": "damn"}], question):
        try:
            client.completion(model, refused)
        except polyport.PolyportError as error:
            print(f"{type(error).__name__}: {error}")
