"""Addresses in cloud storage, gs://bucket/file and s3://bucket/file: providers read them with the gateway's identity.

Whoever may name any of them reads whatever that identity may read. So a caller that is no admin may name its own files,
as uploads to Vertex AI and Bedrock are called, and what is below a prefix that is listed: for everybody by

    general_settings: {allowed_storage: ["gs://company-media/public/", "s3://shared-inputs"]}

or for a key, user, team or project by its own `allowed_storage`. They are looked for wherever a request may have one:
in its parameters, in parts of messages, in the lines of a batch's file; text that speaks of one is text.
https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference#filedata
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_S3Location.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from polyport.errors import BadRequestError

SCHEMES, MARK = ("gs://", "s3://"), "://"
#: Names of values that are text, whatever they begin with: no provider takes one for an address.
TEXTS = frozenset(
    {"text", "content", "prompt", "instructions", "system", "query", "documents", "arguments", "output", "description",
     "refusal", "thinking", "reasoning_content", "suffix"}
)  # fmt: skip
#: Parameters that say how, not what: schemas of tools and answers, labels.
HOW = frozenset({"tools", "functions", "response_format", "metadata", "tool_choice", "stop", "logit_bias"})
#: What a batch's file has that may name one, an escaped letter among them.
SUSPECT = (b"gs:", b"s3:", b"\\u00")


def named(fields: Mapping[str, Any]) -> list[str]:
    """Return the addresses in cloud storage that the parameters of a call name."""
    found: list[str] = []
    for name, value in fields.items():
        kind = type(value)
        if kind is str:
            if (value[2:5] == MARK or value[:1].isspace()) and name not in TEXTS and is_address(value):
                found.append(value)
        elif kind is list or kind is dict or isinstance(value, list):
            if name == "messages" and kind is list:
                value = [one for one in value if not is_words(one)]
            if value and name not in HOW:
                found += _within(name, value)
    return found


def is_words(message: Any) -> bool:
    """Whether a message of a chat is nothing but text: most are."""
    return type(message) is dict and len(message) == 2 and "role" in message and type(message.get("content")) is str


def _within(name: str, value: Any) -> Iterator[str]:
    waiting: list[tuple[str, Any]] = [(name, value)]
    for name, one in waiting:  # which grows meanwhile
        for key, inner in one.items() if type(one) is dict else [(name, inner) for inner in one]:
            kind = type(inner)
            if kind is dict or kind is list:
                waiting.append((key, inner))
            elif kind is str and key not in TEXTS and is_address(inner):
                yield inner


def in_lines(content: bytes) -> list[str]:
    """Return the addresses in the lines of a batch's file. What is no line is the provider's to refuse."""
    lower = content.lower()
    if not any(one in lower for one in SUSPECT):
        return []
    found: list[str] = []
    whole = content.lstrip().startswith(b"[")
    for text in [content] if whole else content.splitlines():
        try:
            line = msgspec.json.decode(text) if text.strip() else None
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        for one in line if isinstance(line, list) else [line]:
            if isinstance(one, dict):
                found += named({name: value for name, value in one.items() if name != "body"})
                body = one.get("body")
                found += named(body) if isinstance(body, dict) else []
    return found


def is_address(value: str) -> bool:
    """Whether a text is an address in cloud storage."""
    return value[:5].lower() in SCHEMES or (value[:1].isspace() and value.lstrip()[:5].lower() in SCHEMES)


def beyond(addresses: Iterable[str], prefixes: Sequence[str]) -> list[str]:
    """Return those of the addresses that are below none of the prefixes."""
    return [one for one in addresses if not any(_is_below(one, prefix) for prefix in prefixes)]


def _is_below(address: str, prefix: str) -> bool:
    """Whether an address is what a prefix names, or in it: gs://a/b holds gs://a/b/c, and not gs://a/bc."""
    if ".." in address.split("/"):
        return False
    return address == prefix or address.startswith(prefix if prefix.endswith("/") else f"{prefix}/")


def prefixes(place: str, given: Sequence[str]) -> tuple[str, ...]:
    """Return prefixes as they are written. Raises BadRequestError, naming the place, for what is none."""
    for one in given:
        if one[:5] not in SCHEMES or one[5:6] in ("", "/") or ".." in one.split("/"):
            raise BadRequestError(f"{place} has {one!r}: write gs://bucket, s3://bucket/folder/")
    return tuple(given)
