r"""JSON text as people read it, and back: `a\u0040b\n` is `a@b` and a line break.

A token is what one character is written as. Guardrails see the characters; what they change is written as JSON again,
and every other token stays as it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from polyport.guarding.verdicts import Edit

_TOKEN = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\[^u]|\\|[^\\]", re.DOTALL
)
_SIMPLE = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
#: An escape at the end of a piece whose rest may come with the next one; a surrogate waits for its other half.
_CUT = re.compile(r"(\\+)(?:u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?|u[0-9a-fA-F]{0,3})?$")


def tokens(json: str) -> list[str]:
    """Return what each character is written as."""
    return _TOKEN.findall(json) if "\\" in json else list(json)


def shown(written: Iterable[str]) -> str:
    """Return the characters; half of a surrogate pair, which is none, as U+FFFD."""
    return "".join([token if len(token) == 1 else _char(token) for token in written])


def _char(token: str) -> str:
    if token[1] != "u":
        return _SIMPLE.get(token[1], token[1])
    if len(token) > 6:
        return chr(0x10000 + ((int(token[2:6], 16) - 0xD800) << 10) + (int(token[8:], 16) - 0xDC00))
    char = chr(int(token[2:6], 16))
    return "\ufffd" if "\ud800" <= char <= "\udfff" else char


def complete(json: str) -> int:
    """Return where JSON text that comes in pieces ends for now: before an escape that is not complete."""
    found = _CUT.search(json)
    return found.end(1) - 1 if found and len(found[1]) % 2 else len(json)


def written(text: list[str], edits: Iterable[Edit], start: int = 0, end: int | None = None) -> str:
    """Return the tokens from `start` to `end` as JSON text, with edits made: each stands where it begins.

    What replaces something that is no string, such as a number, becomes one.
    """
    end = len(text) if end is None else end
    made: list[str] = []
    done = start
    for edit in edits:
        if edit.end <= start:
            continue
        if edit.start >= end:
            break
        if edit.start >= done:
            made += text[done : edit.start]
            quoted = msgspec.json.encode(edit.replacement).decode()
            made.append(quoted[1:-1] if text[: edit.start].count('"') % 2 else quoted)
        done = max(done, min(edit.end, end))
    return "".join([*made, *text[done:end]])
