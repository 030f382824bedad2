"""From a row to a provider: a class with the capabilities that the row names, and its quirks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import msgspec

from polyport.auth import ApiKey, Auth, Bearer, OptionalKey
from polyport.dialects.openai import (
    Batches,
    Chat,
    Completions,
    Edits,
    Embeddings,
    Files,
    Generations,
    Models,
    Moderations,
    Quirks,
    Rerank,
    Respond,
    Speech,
    Transcribe,
    Translate,
    Variations,
    Wire,
)
from polyport.dialects.openai_answers import chunk_type, completion_type
from polyport.errors import InvalidResponseError
from polyport.flow import Decoder, HttpReply
from polyport.provider import Provider
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest, Message
from polyport.types.record import Request, learn
from polyport_compatible.details import DETAILS, DetailEvents
from polyport_compatible.rows import Row
from polyport_compatible.usage import LookAlikeUsage


class LookAlike(Wire):
    """The base of every class made of a row."""

    row: ClassVar[Row]

    def body(self, request: Request, hook: str, skip: Iterable[str] = ()) -> dict[str, Any]:
        """Return the parameters as this provider names them, and their values too."""
        body = super().body(request, hook, skip)
        for name, words in self.row.values.get(hook, {}).items():
            given = body.get(name)
            if isinstance(given, str) and given in words:
                body[name] = words[given]
                request.adapt(name, "renamed", f"{given} is {words[given]} here")
        return body


class LookAlikeChat(LookAlike, Chat):
    """Chat, read with patience: look-alikes agree on what they ask, less on what they answer."""

    def chat_events(self, request: ChatRequest) -> Decoder[ChatCompletionChunk]:
        """Return the decoder of a streamed answer."""
        return DetailEvents(chunk_type(self.quirks))

    def to_completion(self, reply: HttpReply) -> ChatCompletion:
        """Return a whole answer; numbers that come as text are numbers, calls of nothing are none."""
        try:
            answer = super().to_completion(reply)
        except InvalidResponseError as error:
            answer = _leniently(reply, completion_type(self.quirks), error)
        for choice in answer.choices:
            _tidy(choice.message)
        return answer


def _leniently(reply: HttpReply, kind: type[ChatCompletion], error: InvalidResponseError) -> ChatCompletion:
    try:
        answer = msgspec.json.decode(reply.content, type=learn(kind), strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise error from error.__cause__
    answer.keep(reply.content)
    return answer


def _tidy(message: Message) -> None:
    """Take out what says nothing: Snowflake sends a call and audio of empty fields with every answer (2026-01)."""
    call, audio = message.function_call, message.audio
    if call is not None and not (call.name or call.arguments):
        message.function_call = None
    if audio is not None and not (audio.id or audio.data):
        message.audio = None


#: What a row's `can` may name -> the class that answers it.
ABILITIES: Mapping[str, type[Wire]] = {
    "chat": LookAlikeChat,
    "text": Completions,
    "respond": Respond,
    "embed": Embeddings,
    "rerank": Rerank,
    "moderate": Moderations,
    "images": Generations,
    "edits": Edits,
    "variations": Variations,
    "transcribe": Transcribe,
    "translate": Translate,
    "speak": Speech,
    "files": Files,
    "batches": Batches,
    "models": Models,
}

#: What all look-alikes share. Parameters that OpenAI has not but many of them have are passed on, theirs to refuse.
PASSED: Mapping[str, Mapping[str, str]] = {
    "chat": {"top_k": "top_k", "thinking": "thinking"},
    "generate_image": {"seed": "seed", "negative_prompt": "negative_prompt"},
    "edit_image": {"seed": "seed", "negative_prompt": "negative_prompt"},
}
KEPT = ("reasoning", DETAILS)
#: The fields of Quirks that are sets; JSON has lists.
SETS = frozenset({"history", "parts", "inline", "lacks", "kept", "beside"})


def to_quirks(row: Row) -> Quirks:
    """Return a row's quirks, over those that all look-alikes share."""
    own = dict(row.quirks)
    fields: dict[str, Any] = {"kept": KEPT, "roles": {"developer": "system"} if row.roles else {}, **own}
    fields["renames"] = {**PASSED, **own.get("renames", {})}
    made: dict[str, Any] = {name: frozenset(value) if name in SETS else value for name, value in fields.items()}
    return Quirks(**made, usage=LookAlikeUsage)


def to_auth(row: Row) -> Auth:
    """Return how a row's requests are signed."""
    if row.open:
        return OptionalKey(row.keys)
    return ApiKey(header=row.header, env=row.keys) if row.header else Bearer(env=row.keys)


def to_class(row: Row) -> type[Provider]:
    """Return the provider that a row describes."""
    bases = tuple(ABILITIES[ability] for ability in row.can)
    names = [prefix.upper() for prefix in row.prefixes]
    namespace = {
        "__module__": __package__,
        "__doc__": f"{row.name}. {row.docs}",
        "row": row,
        "auth": to_auth(row),
        "base_url": row.base,
        "base_env": tuple(f"{name}_{what}" for name in names for what in ("API_BASE", "BASE_URL")),
        "settings": row.settings,
        "quirks": to_quirks(row),
    }
    return type(row.class_name, bases if LookAlikeChat in bases else (LookAlike, *bases), namespace)
