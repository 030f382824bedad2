"""What a guardrail sees of a call, and what it may say of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from typing import Any, Literal, TypeAlias

import msgspec

from polyport.flow import Flow
from polyport.types.guard import Finding
from polyport.types.record import Request

Path: TypeAlias = tuple[str | int, ...]
Kind: TypeAlias = Literal["content", "reasoning", "arguments", "tool_result", "tool"]
Mode: TypeAlias = Literal["pre_call", "during_call", "post_call", "logging_only"]
MODES: tuple[Mode, ...] = ("pre_call", "during_call", "post_call", "logging_only")
#: Texts longer than this are compared by their ends alone: a full comparison is quadratic.
LONGEST_COMPARED = 4000


class Text(msgspec.Struct, frozen=True):
    """One text of a request or a result.

    `role` is whose it is: system, developer, user, assistant, or tool for what a tool answered. `kind` is content,
    reasoning, arguments (JSON text of a tool call), tool_result, or tool (the description of one). JSON text is shown
    without its escapes; `json` is how it is written.
    """

    path: Path
    text: str
    role: str = ""
    kind: Kind = "content"
    json: str | None = None

    @property
    def where(self) -> str:
        """The path as errors write it: "$.messages[0].content"."""
        return "$" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in self.path)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A request or a result as a guardrail sees it, the same for every operation and provider.

    `side` is "request" or "result", `operation` the SDK's function ("completion"). Of a stream, `texts` is one window
    and `partial` whether more is to come. `ask(function, **fields)` is the flow of a call of the same client, which no
    guardrail looks at: for guardrails that ask a model.
    """

    texts: list[Text]
    side: Literal["request", "result"]
    mode: Mode
    operation: str
    provider: str
    model: str
    request: Request
    result: Any = None
    partial: bool = False
    ask: Callable[..., Flow[Any]]

    @property
    def text(self) -> str:
        """All the texts, one a line."""
        return "\n".join([one.text for one in self.texts])


class Edit(msgspec.Struct, frozen=True):
    """Put `replacement` in the place of the characters `start` to `end` of `texts[text]`, at least one."""

    text: int
    start: int
    end: int
    replacement: str
    entity: str = ""


class Pass(msgspec.Struct, frozen=True):
    """Nothing to object to. `findings` may say what was let through."""

    findings: list[Finding] = []


class Block(msgspec.Struct, frozen=True):
    """The call must not go on. `reason` is told to the caller: it must not quote the text."""

    reason: str
    findings: list[Finding] = []


class Mask(msgspec.Struct, frozen=True):
    """The call goes on with these changes. Where two of them overlap, the first one's replacement stands for both."""

    edits: list[Edit]
    reason: str = ""

    @classmethod
    def rewrite(cls, texts: Iterable[Text], changed: Iterable[str | None], entity: str = "rewritten") -> Mask | Pass:
        """Return what makes each text the one in `changed`, None where it stays: for services that answer a text."""
        edits = [
            edit
            for index, (old, new) in enumerate(zip(texts, changed, strict=True))
            if new is not None
            for edit in differences(index, old.text, new, entity)
        ]
        return cls(edits) if edits else PASS


PASS = Pass()
Verdict: TypeAlias = Pass | Block | Mask


def differences(index: int, old: str, new: str, entity: str) -> list[Edit]:
    """Return the edits that make `old` `new`, as small as is cheap to find."""
    if old == new:
        return []
    if len(old) > LONGEST_COMPARED or len(new) > LONGEST_COMPARED:
        start = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
        most = min(len(old), len(new)) - start
        tail = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
        return [_edit(index, old, start, len(old) - tail, new[start : len(new) - tail], entity)]
    codes = SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    return [_edit(index, old, a, b, new[c:d], entity) for tag, a, b, c, d in codes if tag != "equal"]


def _edit(index: int, old: str, start: int, end: int, new: str, entity: str) -> Edit:
    """Return an edit; one that only adds takes a neighbour in, as edits replace something."""
    if start < end:
        return Edit(index, start, end, new, entity)
    if start:
        return Edit(index, start - 1, end, old[start - 1] + new, entity)
    return Edit(index, 0, 1, new + old[0], entity)


def edited(text: str, edits: Iterable[Edit]) -> str:
    """Return a text with edits made; what they do not touch stays as it is."""
    made: list[str] = []
    done = 0
    for edit in sorted(edits, key=lambda edit: (edit.start, edit.end)):
        if edit.start >= done:
            made += [text[done : edit.start], edit.replacement]
        done = max(done, edit.end)
    made.append(text[done:])
    return "".join(made)
