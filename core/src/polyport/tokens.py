"""How many tokens a text, or a conversation, is: `token_counter("gpt-4o", messages=[...])`.

The answer is an int that says how it was found (`count.how`, `count.exact`): by the model's own tokenizer, where it
is OpenAI's and `polyport[tokens]` is installed; by asking the provider, with `exact=True`; otherwise an estimate of
letters, which is within a third for prose in European languages.
"""

from __future__ import annotations

import fnmatch
import importlib
import importlib.util
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, Self

import msgspec

from polyport.errors import BadRequestError

#: Model names -> OpenAI's encoding, the most specific first; as tiktoken 0.14 has them (2026-08). The models of open
#: weights (gpt-oss) have the same encoding with more special tokens. https://github.com/openai/tiktoken
ENCODINGS: tuple[tuple[str, str], ...] = (
    ("*gpt-4o*", "o200k_base"),
    ("*gpt-4.[15]*", "o200k_base"),
    ("*gpt-5*", "o200k_base"),
    ("gpt-oss*", "o200k_base"),
    ("o[134]", "o200k_base"),
    ("o[134]-*", "o200k_base"),
    ("*gpt-4*", "cl100k_base"),
    ("*gpt-3*5*", "cl100k_base"),
    ("text-embedding-3-*", "cl100k_base"),
    ("text-embedding-ada-002", "cl100k_base"),
)
#: Tokens around each message, around a name, and before the answer.
#: https://developers.openai.com/cookbook/examples/how_to_count_tokens_with_tiktoken
PER_MESSAGE, PER_NAME, PRIMING = 3, 1, 3
#: Tokens of a function, of each of its parameters, of the list of functions (same page, for o200k_base).
PER_FUNCTION, PER_PARAMETER, FUNCTIONS_END = 10, 3, 12
#: An image of unknown size: one tile and its base at low detail, and four tiles at high.
#: https://developers.openai.com/api/docs/guides/images-vision
LOW_IMAGE, HIGH_IMAGE = 85, 765
#: Letters in a token of European prose; other scripts take about a token for each letter and a half.
LETTERS, FOREIGN = 4.0, 1.5
MODULE = "bpe_openai"


class Tokenizer(Protocol):
    """Cuts texts into tokens, and puts them together again; KeyError for a token that there is not."""

    def encode_ordinary(self, text: str) -> list[int]:
        """Return the tokens of a text, in which nothing is special."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""

    def decode_single_token_bytes(self, token: int) -> bytes:
        """Return what one token stands for, which may be a part of a letter."""


class Tokens(int):
    """A number of tokens. `how` says how it was found; `exact` whether it is what the provider would count."""

    how: str
    exact: bool

    def __new__(cls, count: int, how: str, *, exact: bool = False) -> Self:  # noqa: D102
        made = super().__new__(cls, count)
        made.how, made.exact = how, exact
        return made

    def __reduce__(self) -> tuple[Any, ...]:
        return _made, (int(self), self.how, self.exact)


def _made(count: int, how: str, exact: bool) -> Tokens:
    return Tokens(count, how, exact=exact)


def token_counter(
    model: str,
    *,
    messages: Sequence[Any] | None = None,
    text: str | Sequence[str] | None = None,
    tools: Sequence[Mapping[str, Any]] | None = None,
    exact: bool = False,
    **params: Any,
) -> Tokens:
    """Return how many tokens a text, or a conversation with its tools, is for a model.

    `exact=True` asks the provider (`count_tokens`; `params` such as api_key go with it) and raises
    UnsupportedParamsError where it does not count. Otherwise nothing is sent, and the count may be an estimate.
    """
    if (messages is None) == (text is None):
        raise BadRequestError("Pass either messages=... or text=... to be counted.")
    if exact:
        return _asked(model, messages, text, tools, params)
    if params:
        raise BadRequestError(f"{', '.join(sorted(params))} go with exact=True only: nothing is sent without it.")
    if messages is not None:
        return of_messages(model, messages, tools)
    count, how, is_exact = counter(model)
    total = sum(count(piece) for piece in ([text] if isinstance(text, str) else text or ()))
    return _with_tools(total, how, is_exact, tools, count)


def of_messages(model: str, messages: Sequence[Any], tools: Sequence[Mapping[str, Any]] | None = None) -> Tokens:
    """Return the tokens of a conversation; pictures and sound make it an estimate."""
    from polyport.types.chat import plain_messages

    count, how, exact = counter(model)
    total = PRIMING
    for message in plain_messages(messages):
        total += PER_MESSAGE
        for name, value in message.items():
            tokens, sure = _of_value(name, value, count)
            total += tokens + (PER_NAME if name == "name" else 0)
            exact = exact and sure
    return _with_tools(total, how, exact, tools, count)


def _of_value(name: str, value: Any, count: Callable[[str], int]) -> tuple[int, bool]:
    if isinstance(value, str):
        return count(value), True
    if name == "content" and isinstance(value, list):
        found = [_of_part(part, count) for part in value]
        return sum(tokens for tokens, _ in found), all(sure for _, sure in found)
    return (0, True) if value is None else (count(msgspec.json.encode(value).decode()), False)


def _of_part(part: Any, count: Callable[[str], int]) -> tuple[int, bool]:
    kind = part.get("type", "") if isinstance(part, Mapping) else ""
    if kind in ("text", "input_text", "output_text"):
        return count(part.get("text") or ""), True
    if "image" in kind:
        image = part.get("image_url")
        low = isinstance(image, Mapping) and image.get("detail") == "low"
        return (LOW_IMAGE if low else HIGH_IMAGE), False
    if kind in ("input_audio", "file", "document", "video_url"):
        return HIGH_IMAGE, False
    return count(msgspec.json.encode(part).decode()), False


def _with_tools(
    total: int, how: str, exact: bool, tools: Sequence[Mapping[str, Any]] | None, count: Callable[[str], int]
) -> Tokens:
    if tools:
        total += FUNCTIONS_END + sum(_of_tool(tool, count) for tool in tools)
        how += ", tools approximated"
    return Tokens(total, how, exact=exact and not tools)


def _of_tool(tool: Mapping[str, Any], count: Callable[[str], int]) -> int:
    function = tool.get("function") or tool
    schema = function.get("parameters") or function.get("input_schema") or {}
    parameters = schema.get("properties") or {}
    total = PER_FUNCTION + count(f"{function.get('name', '')}:{function.get('description') or ''}")
    for name, parameter in parameters.items():
        total += PER_PARAMETER + count(f"{name}:{msgspec.json.encode(parameter).decode()}")
    return total


# --- by whom ---


def counter(model: str) -> tuple[Callable[[str], int], str, bool]:
    """Return what counts a text for a model, how it does, and whether that is exact."""
    encoding = encoding_of(model)
    if encoding is not None:
        counting = _encoder(encoding)
        if counting is not None:
            return counting, f"tokenizer {encoding}", True
        return estimate, "estimate; pip install 'polyport[tokens]' counts exactly", False
    return estimate, "estimate; exact=True asks the provider", False


def encoding_of(model: str) -> str | None:
    """Return OpenAI's encoding that a model of this name uses; None for those that have another tokenizer."""
    bare = model.rpartition("/")[2].removeprefix("ft:")
    return next((encoding for glob, encoding in ENCODINGS if fnmatch.fnmatchcase(bare, glob)), None)


def tokenizer_of(model: str) -> Tokenizer | None:
    """Return a model's own tokenizer, where it is OpenAI's and `polyport[tokens]` is installed; None otherwise."""
    encoding = encoding_of(model)
    return None if encoding is None else _tokenizer(encoding)


@lru_cache(maxsize=8)
def _tokenizer(encoding: str) -> Tokenizer | None:
    if importlib.util.find_spec(MODULE) is None:
        return None
    with warnings.catch_warnings():  # 0.1.4 opens its data by a function that Python 3.11 calls deprecated
        warnings.simplefilter("ignore", DeprecationWarning)
        found: Tokenizer = importlib.import_module(MODULE).get_encoding(encoding)
    return found


def _encoder(encoding: str) -> Callable[[str], int] | None:
    found = _tokenizer(encoding)
    if found is None:
        return None
    encode = found.encode_ordinary
    return lambda text: len(encode(text))


def estimate(text: str) -> int:
    """Return about how many tokens a text is, by its letters."""
    return of_letters(len(text), 0 if text.isascii() else sum(letter > "\u024f" for letter in text))


def of_letters(letters: int, foreign: int = 0) -> int:
    """Return about how many tokens so many letters are; `foreign` of them in other than European scripts."""
    return math.ceil((letters - foreign) / LETTERS + foreign / FOREIGN)


def of_request(request: Any) -> int:
    """Return about how many tokens a request asks a model to read: everything in it that is text."""
    pictures, texts = 0, []
    for part in _strings(
        getattr(request, name, None) for name in ("messages", "input", "prompt", "system", "instructions", "tools")
    ):
        if part.startswith("data:"):
            pictures += 1
        else:
            texts.append(part)
    return estimate("\n".join(texts)) + pictures * HIGH_IMAGE


def _strings(values: Iterable[Any]) -> Iterable[str]:
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, Mapping):
            yield from _strings(inner for name, inner in value.items() if name not in ("data", "b64_json"))
        elif isinstance(value, list | tuple):
            yield from _strings(value)


def _asked(
    model: str,
    messages: Sequence[Any] | None,
    text: str | Sequence[str] | None,
    tools: Sequence[Mapping[str, Any]] | None,
    params: dict[str, Any],
) -> Tokens:
    """Ask the provider, in the shape of Anthropic's endpoint, which all providers that count answer in."""
    from polyport import api
    from polyport.bridges.counting import to_count

    if messages is None:
        joined = text if isinstance(text, str) else "\n".join(text or ())
        messages = [{"role": "user", "content": joined}]
    fields = to_count(messages, tools)
    found = api.count_tokens(model, fields.pop("messages"), **fields, **params)
    return Tokens(found.input_tokens, "counted by the provider", exact=True)
