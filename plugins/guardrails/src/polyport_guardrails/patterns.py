"""Patterns and words of your own: `regex` and `deny-list`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from polyport.errors import BadRequestError
from polyport_guardrails.scanning import Action, Match, Scanner


class Regex(Scanner):
    """Python patterns, each by the name of what it finds, or one alone.

    Of a stream, a match of up to `stream_overlap` characters (128) is found wherever it is cut. A pattern that can run
    for ever on some text (`(a+)+`) does so here: nothing bounds it.
    """

    def __init__(
        self,
        patterns: Mapping[str, str] | Iterable[str] | str = (),
        *,
        pattern: str | None = None,
        ignore_case: bool = False,
        action: Action = "block",
        actions: Mapping[str, Action] | None = None,
        mask: str = "[{entity}]",
        roles: Iterable[str] | None = None,
    ) -> None:
        super().__init__(action, actions=actions, mask=mask, roles=roles)
        given = [patterns] if isinstance(patterns, str) else patterns
        named = given if isinstance(given, Mapping) else {f"PATTERN_{n}": one for n, one in enumerate(given, 1)}
        if pattern is not None:
            named = {**named, "PATTERN": pattern}
        if not named:
            raise BadRequestError("A regex guardrail needs patterns={'NAME': '...'} or pattern='...'")
        self._patterns = [(name, compiled(text, ignore_case)) for name, text in named.items()]

    def find(self, text: str) -> Iterator[Match]:
        """Give every match of every pattern."""
        for name, pattern in self._patterns:
            for match in pattern.finditer(text):
                yield Match(name, match.start(), match.end())


class DenyList(Scanner):
    """Words and phrases, as they are written or (`ignore_case`, the default) in any case; spaces match any space.

    `words` in a list, or one a line in `file`, where `#` begins a comment. `whole_words=False` also finds them in
    longer ones.
    """

    def __init__(
        self,
        words: Iterable[str] = (),
        *,
        file: str | None = None,
        ignore_case: bool = True,
        whole_words: bool = True,
        entity: str = "DENIED",
        action: Action = "block",
        mask: str = "[{entity}]",
        roles: Iterable[str] | None = None,
    ) -> None:
        super().__init__(action, mask=mask, roles=roles)
        listed = [*words, *(_lines(file) if file is not None else ())]
        phrases = sorted({" ".join(word.split()) for word in listed if word.strip()}, key=len, reverse=True)
        if not phrases:
            raise BadRequestError("A deny-list guardrail needs words=[...] or file='...' with words in it")
        either = "|".join(r"\s+".join(map(re.escape, phrase.split(" "))) for phrase in phrases)
        self._entity = entity
        self._pattern = compiled(rf"(?<!\w)(?:{either})(?!\w)" if whole_words else either, ignore_case)
        self.overlap = max(self.overlap, 2 * len(phrases[0]))

    def find(self, text: str) -> Iterator[Match]:
        """Give every place where one of them is."""
        for match in self._pattern.finditer(text):
            yield Match(self._entity, match.start(), match.end())


def compiled(text: str, ignore_case: bool) -> re.Pattern[str]:
    """Return a pattern. Raises BadRequestError that says what is wrong with it."""
    try:
        return re.compile(text, re.IGNORECASE if ignore_case else 0)
    except re.error as error:
        raise BadRequestError(f"The pattern {text!r} is none: {error}") from error


def _lines(file: str) -> list[str]:
    try:
        return [line for line in Path(file).read_text("utf-8").splitlines() if not line.startswith("#")]
    except OSError as error:
        raise BadRequestError(f"The deny list {file!r} cannot be read: {error}") from error
