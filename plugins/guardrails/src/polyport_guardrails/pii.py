"""`pii`: personal data and secrets by their form, offline. Names and places need a model: see `presidio`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping

from polyport.errors import BadRequestError
from polyport_guardrails.entities import ENTITIES, GROUPS, Entity
from polyport_guardrails.scanning import Action, Match, Scanner

_DIGIT = re.compile(r"\d")


class Pii(Scanner):
    """Finds `entities` (see entities.py; PERSONAL, NATIONAL_ID, SECRET and ALL are groups), and masks them.

    `actions` says otherwise for some of them, or for groups: `{"SECRET": "block", "IP_ADDRESS": "detect"}`.
    """

    overlap: int = 256  # the longest key or address

    def __init__(
        self,
        entities: Iterable[str] = ("ALL",),
        *,
        action: Action = "mask",
        actions: Mapping[str, Action] | None = None,
        mask: str = "[{entity}]",
        roles: Iterable[str] | None = None,
    ) -> None:
        each = {name: one for group, one in (actions or {}).items() for name in _names(group)}
        super().__init__(action, actions=each, mask=mask, roles=roles)
        chosen = dict.fromkeys(name for given in entities for name in _names(given))
        self._entities = [(name, ENTITIES[name]) for name in chosen]

    def find(self, text: str) -> Iterator[Match]:
        """Give what has an entity's form, and its checksum."""
        has_digit = _DIGIT.search(text) is not None
        for name, entity in self._entities:
            if not entity.may_be_in(text, has_digit):
                continue
            start = 0
            while found := entity.pattern.search(text, start):
                begin, end = found.span()
                fits = next(
                    (stop for stop in _ends(entity, text, begin, end) if entity.accepts(text[begin:stop])), None
                )
                if fits is not None:
                    yield Match(name, begin, fits)
                start = _next_group(text, begin, end)


def _ends(entity: Entity, text: str, begin: int, end: int) -> Iterator[int]:
    """Give where a match may end: where it does, else before a later space of it. Another number may follow it."""
    yield end
    while (end := text.rfind(" ", begin, end)) > begin:
        if entity.pattern.fullmatch(text, begin, end):
            yield end


def _next_group(text: str, begin: int, end: int) -> int:
    """Return where to look on: behind a match's first group, as what is one by its form may hide one that is."""
    space = text.find(" ", begin, end)
    return space + 1 if space > 0 else end


def _names(given: str) -> tuple[str, ...]:
    name = given.upper()
    if name in GROUPS:
        return GROUPS[name]
    if name not in ENTITIES:
        near = difflib.get_close_matches(name, [*ENTITIES, *GROUPS], 1)
        hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join([*GROUPS, *ENTITIES])}."
        raise BadRequestError(f"No entity {given!r} is known. {hint}")
    return (name,)
