"""Text completion over chat. https://platform.openai.com/docs/api-reference/completions

A prompt becomes a user's message, so a chat model answers it rather than continues it: recorded as emulated. Several
prompts are asked side by side, and their choices stand in the prompts' order.
"""

from __future__ import annotations

from typing import Any

from polyport.bridges.inner import Chat, chat_request, chunk_of, refuse
from polyport.flow import All, Flow, Streaming
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest, ChunkChoice
from polyport.types.completion import TextChoice, TextCompletion, TextCompletionRequest
from polyport.types.usage import CompletionTokensDetails, PromptTokensDetails, Usage

#: Parameters that mean the same for a chat.
SAME = (
    "stream", "stream_options", "temperature", "top_p", "n", "stop", "presence_penalty", "frequency_penalty",
    "logit_bias", "seed", "user",
)  # fmt: skip


def over_chat(request: TextCompletionRequest, chat: Chat) -> Flow[TextCompletion | Streaming[TextCompletion]]:
    """Complete text with a chat. `choices` come prompt by prompt, `n` of each. Several prompts cannot be streamed."""
    prompts = prompts_of(request)
    request.adapt("prompt", "emulated", "the prompt is asked as a user's message of a chat")
    inner = [to_chat(request, prompt) for prompt in prompts]
    echoes = prompts if request.echo else [""] * len(prompts)
    if request.stream:
        if len(prompts) > 1:
            refuse("stream", "several prompts over a chat cannot share a stream; pass one prompt, or do not stream")
        stream: Any = yield from chat(inner[0])
        return stream.through(TextChunks(echoes[0]))  # type: ignore[no-any-return]
    answers: list[Any]
    if len(inner) == 1:
        answers = [(yield from chat(inner[0]))]
    else:
        answers = yield All([chat(one) for one in inner])
    return merge([_whole(answer, echo) for answer, echo in zip(answers, echoes, strict=True)])


def prompts_of(request: TextCompletionRequest) -> list[str]:
    """Return the prompts as texts. Raises UnsupportedParamsError for token ids, which only their model can read."""
    prompts = [request.prompt] if isinstance(request.prompt, str) else request.prompt
    if not prompts or not all(isinstance(prompt, str) for prompt in prompts):
        refuse("prompt", "a chat takes text, not token ids")
    return [str(prompt) for prompt in prompts]


def to_chat(request: TextCompletionRequest, prompt: str) -> ChatRequest:
    """Return the chat request for one prompt."""
    if request.suffix:
        request.unsupported("suffix", "a chat model answers, it does not fill a gap")
    if request.best_of not in (None, 1, request.n):
        request.unsupported("best_of", "a chat does not rank candidates")
    if request.echo:
        request.adapt("echo", "emulated", "the prompt is put before each text here; it has no logprobs")
    fields = {name: getattr(request, name) for name in SAME} | {
        "messages": [{"role": "user", "content": prompt}],
        "max_tokens": request.max_tokens,
        "logprobs": True if request.logprobs is not None else None,
        "top_logprobs": request.logprobs or None,
    }
    return chat_request(request, fields)


def _whole(answer: ChatCompletion, echo: str) -> TextCompletion:
    made = TextChunks(echo).feed(chunk_of(answer))
    result = made[0] if made else TextCompletion(id=answer.id, created=answer.created, model=answer.model)
    result.carry(answer.extra)
    return result


def merge(parts: list[TextCompletion]) -> TextCompletion:
    """Return one completion with the choices of all, numbered in order, and what they used together."""
    first = parts[0]
    first.choices = [choice for part in parts for choice in part.choices]
    for index, choice in enumerate(first.choices):
        choice.index = index
    used = [part.usage for part in parts if part.usage is not None]
    first.usage = total(used) if len(used) > 1 else first.usage
    return first


def total(used: list[Usage]) -> Usage:
    """Return the sum of several calls' usage; a part that no call names stays unknown."""
    return Usage(
        **_sums(used, ("prompt_tokens", "completion_tokens", "total_tokens", "cost")),
        prompt_tokens_details=_details(PromptTokensDetails, [usage.prompt_tokens_details for usage in used]),
        completion_tokens_details=_details(
            CompletionTokensDetails, [usage.completion_tokens_details for usage in used]
        ),
    )


def _details(kind: Any, parts: list[Any]) -> Any:
    known = [part for part in parts if part is not None]
    return kind(**_sums(known, kind.__struct_fields__)) if known else None


def _sums(parts: list[Any], names: tuple[str, ...]) -> dict[str, Any]:
    given = {name: [value for part in parts if (value := getattr(part, name)) is not None] for name in names}
    return {name: sum(values) for name, values in given.items() if values}


class TextChunks:
    """Turns a chat's chunks into text completions of the same shape; `echo` goes before each choice's text."""

    def __init__(self, echo: str) -> None:
        self._echo = echo
        self._offsets: dict[int, int] = {}  # choice that has begun -> length of its text so far

    def feed(self, data: ChatCompletionChunk) -> list[TextCompletion]:
        """Return what a chunk comes to; one that says nothing of the text comes to nothing."""
        choices = [self._choice(choice) for choice in data.choices]
        said = [choice for choice in choices if choice.text or choice.finish_reason]
        if not said and data.usage is None:
            return []
        return [
            TextCompletion(
                id=data.id.replace("chatcmpl-", "cmpl-"),
                created=data.created,
                model=data.model,
                choices=said,
                usage=data.usage,
                system_fingerprint=data.system_fingerprint,
            )
        ]

    def close(self) -> list[TextCompletion]:
        """Nothing is ever held back."""
        return []

    def _choice(self, choice: ChunkChoice) -> TextChoice:
        index, text = choice.index, choice.delta.content or choice.delta.refusal or ""
        if index not in self._offsets and (text or choice.finish_reason):
            self._offsets[index], begin = len(self._echo), self._echo
        else:
            begin = ""
        tokens = (choice.logprobs or {}).get("content")
        logprobs = legacy_logprobs(tokens, self._offsets.get(index, 0)) if tokens else None
        if index in self._offsets:
            self._offsets[index] += len(text)
        return TextChoice(index=index, text=begin + text, finish_reason=choice.finish_reason, logprobs=logprobs)


def legacy_logprobs(tokens: list[dict[str, Any]], offset: int) -> dict[str, Any]:
    """Return a chat's logprobs in the older form; `offset` is where in the choice's text the first token stands."""
    offsets = []
    for token in tokens:
        offsets.append(offset)
        offset += len(token["token"])
    tops = [{top["token"]: top["logprob"] for top in token.get("top_logprobs") or []} for token in tokens]
    return {
        "tokens": [token["token"] for token in tokens],
        "token_logprobs": [token["logprob"] for token in tokens],
        "top_logprobs": tops if any(tops) else None,
        "text_offset": offsets,
    }
