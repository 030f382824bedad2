"""What every endpoint of OpenAI's wire shares: the base class, the quirks of a look-alike, and how a body is made."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

import msgspec

from polyport.dialects.openai_errors import refine
from polyport.errors import APIError
from polyport.flow import HttpReply, HttpRequest
from polyport.hookspecs import hookimpl
from polyport.provider import Provider
from polyport.types.record import Request
from polyport.types.usage import Usage


class Quirks(msgspec.Struct, frozen=True, kw_only=True):
    """How a look-alike differs from OpenAI. What goes by parameter stands under its hook ("chat", "embed" ...).

    `unsupported`: parameter -> why it cannot be honoured. `renames`: parameter -> its name there; a parameter that
    OpenAI does not have (see FOREIGN) but the look-alike takes is named here too. `defaults`: parameter -> what is
    sent where the user gave none. `limit`: a pattern of the chat models that take `max_completion_tokens` only.
    `history`: fields of messages, parts, tool calls and tools that are taken beyond OpenAI's. `parts`: types of
    content parts that are taken beyond OpenAI's. `inline`: types of parts whose URL must be fetched here.
    `images`: whether embeddings take data: URLs of images. `paths`: OpenAI's path -> the path there.
    `lacks`: fields of messages and types of parts that OpenAI takes and the look-alike does not. `schemas`: whether
    chat takes a JSON schema; without, it is told one in words. `kept`: fields of an answer's message beyond OpenAI's:
    `reasoning` is read as reasoning_content, others into provider_specific_fields, and those that `history` names
    too go back under their own name; with `content` an answer's content may come in parts, or as JSON. `beside`:
    such fields of a choice. `finishes`: a reason to finish there -> OpenAI's. `usage`: what usage is read as.
    `roles`: a role that the look-alike does not know -> the one that stands for it.
    """

    unsupported: Mapping[str, Mapping[str, str]] = {}
    renames: Mapping[str, Mapping[str, str]] = {}
    defaults: Mapping[str, Mapping[str, Any]] = {}
    limit: str = ""
    history: frozenset[str] = frozenset()
    parts: frozenset[str] = frozenset()
    inline: frozenset[str] = frozenset({"file"})
    images: bool = False
    paths: Mapping[str, str] = {}
    lacks: frozenset[str] = frozenset()
    schemas: bool = True
    kept: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    finishes: Mapping[str, str] = {}
    usage: type[Usage] = Usage
    roles: Mapping[str, str] = {}


PLAIN = Quirks()
NOTHING: Mapping[str, str] = {}

_NO_SEED = "images cannot be made again from a seed"
_NO_NEGATIVE = "say in the prompt what is not wanted"
_PAGES = "the whole list comes at once"

#: Parameters of polyport's that OpenAI's endpoints do not have, by hook, and why.
FOREIGN: Mapping[str, Mapping[str, str]] = {
    "chat": {"top_k": "top_p is what there is", "thinking": "reasoning_effort is what there is"},
    "embed": {"input_type": "vectors do not depend on what they are for"},
    "rerank": {"max_chunks_per_doc": "documents are not cut here"},
    "generate_image": {"seed": _NO_SEED, "negative_prompt": _NO_NEGATIVE},
    "edit_image": {"seed": _NO_SEED, "negative_prompt": _NO_NEGATIVE, "moderation": "edits are always moderated alike"},
    "translate": {
        "language": "the translation is English",
        "timestamp_granularities": "translations have no choice of it",
        "include": "translations have no log probabilities",
        "chunking_strategy": "translations are not cut",
        "diarize": "translations do not tell speakers apart",
        "stream": "translations are not streamed",
    },
    "create_video": {"seed": _NO_SEED, "negative_prompt": _NO_NEGATIVE, "user": "jobs have no end user"},
    "list_models": {"after": _PAGES, "limit": _PAGES},
}


def to_body(request: Request, hook: str, quirks: Quirks = PLAIN, skip: Iterable[str] = ()) -> dict[str, Any]:
    """Return the parameters as the wire names them: defaults, those given but for `skip`, then `request.extra`.

    What the wire does not have goes through `request.unsupported`, what has another name there is recorded.
    """
    foreign = FOREIGN.get(hook, NOTHING)
    unsupported = quirks.unsupported.get(hook, NOTHING)
    renames = quirks.renames.get(hook, NOTHING)
    body: dict[str, Any] = {"model": request.model} if request.model else {}
    for name, value in request.given().items():
        if name in skip:
            continue
        if name in renames:
            body[renames[name]] = value
            if renames[name] != name:
                request.adapt(name, "renamed", f"it is {renames[name]} here")
        elif name in unsupported:
            request.unsupported(name, unsupported[name])
        elif name in foreign:
            request.unsupported(name, foreign[name])
        else:
            body[name] = value
    if hook in quirks.defaults:
        body = {**quirks.defaults[hook], **body}
    if request.extra:
        body.update(request.extra)
    return body


def flat(name: str, value: Any) -> list[tuple[str, Any]]:
    """Return a parameter as fields of a form or query: `name[]` for each of a list, `name[key]` for each of a dict."""
    if isinstance(value, Mapping):
        return [field for key, inner in value.items() for field in flat(f"{name}[{key}]", inner)]
    if isinstance(value, list | tuple):
        return [field for inner in value for field in flat(f"{name}[]", inner)]
    return [(name, value)]


def to_form(body: Mapping[str, Any]) -> list[tuple[str, Any]]:
    """Return a body as the fields of a multipart form."""
    return [field for name, value in body.items() for field in flat(name, value)]


def with_query(path: str, given: Mapping[str, Any]) -> str:
    """Return the path with its query; lists repeat as `name[]`, None is left out."""
    fields = [field for name, value in given.items() if value is not None for field in flat(name, value)]
    texts = [(name, str(value).lower() if isinstance(value, bool) else value) for name, value in fields]
    return f"{path}?{urlencode(texts)}" if texts else path


def segment(id: str) -> str:
    """Return an id as one segment of a path."""
    return quote(id, safe="")


class Wire(Provider):
    """The base of every capability in `polyport.dialects.openai`; a plugin inherits those that its provider has."""

    quirks: ClassVar[Quirks] = PLAIN

    def request(self, method: str, path: str, **parts: Any) -> HttpRequest:
        """Return a request below the base URL, at the path that this provider has for OpenAI's."""
        return super().request(method, self.quirks.paths.get(path, path), **parts)

    def body(self, request: Request, hook: str, skip: Iterable[str] = ()) -> dict[str, Any]:
        """Return the parameters of a request as this provider names them; its settings stand in the URL."""
        body = to_body(request, hook, self.quirks, skip)
        for name in self._placed:
            body.pop(name, None)
        return body

    def extras(self, request: Request) -> dict[str, Any]:
        """Return what the user gave beyond polyport's own parameters, without the provider's settings."""
        return {name: value for name, value in request.extra.items() if name not in self._placed}

    @cached_property
    def _placed(self) -> frozenset[str]:
        return frozenset(name for setting in self.settings for name in setting.names)

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by OpenAI's error codes, which look-alikes share."""
        return refine(error, body)


def takes_completion_limit(model: str, quirks: Quirks) -> bool:
    """Whether a chat model refuses `max_tokens` and takes `max_completion_tokens` only."""
    return bool(quirks.limit) and re.match(quirks.limit, model) is not None
