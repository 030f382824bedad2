"""Scanner: the base of guardrails that find things in texts, and block, mask or only tell what they find."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple, get_args

from polyport.errors import BadRequestError
from polyport.guarding.guardrail import Guardrail
from polyport.guarding.verdicts import Block, Edit, Mask, Pass, Seen, Verdict
from polyport.types.guard import Finding

#: What is left of a match, without the spaces around it.
_REST = re.compile(r"\S(?:.*\S)?", re.DOTALL)
#: What becomes of what is found: the call is blocked, the text is masked, or it is told in `meta` and nothing else.
Action = Literal["block", "mask", "detect"]


class Match(NamedTuple):
    """Something found in a text: what it is, and from where to where."""

    entity: str
    start: int
    end: int


class Scanner(Guardrail):
    """Finds things in each text by itself. `mask` is what is put in their place, with `{entity}` for what they are.

    `actions` says for some entities what becomes of them, `action` for all others. `roles` are whose texts are looked
    at: None is everybody's.
    """

    def __init__(
        self,
        action: Action = "block",
        *,
        actions: Mapping[str, Action] | None = None,
        mask: str = "[{entity}]",
        roles: Iterable[str] | None = None,
    ) -> None:
        super().__init__()
        self.actions: dict[str, Action] = dict(actions or {})
        self.action = action
        for one in (action, *self.actions.values()):
            if one not in get_args(Action):
                raise BadRequestError(f"action is one of {', '.join(get_args(Action))}, not {one!r}")
        self.mask = mask
        self.roles = None if roles is None else frozenset(roles)

    def find(self, text: str) -> Iterable[Match]:
        """Give what is in a text, in any order; they may overlap."""
        raise NotImplementedError(f"{type(self).__name__} must implement find()")

    def check(self, seen: Seen) -> Verdict:
        """Look at every text, and return what becomes of what was found."""
        found: dict[Action, list[tuple[int, Match]]] = {"block": [], "mask": [], "detect": []}
        for index, one in enumerate(seen.texts):
            if self.roles is None or one.role in self.roles:
                matches = [*self.find(one.text)]
                for match in apart(matches, one.text) if matches else ():
                    found[self.actions.get(match.entity, self.action)].append((index, match))
        if found["block"]:
            names = sorted({match.entity for _, match in found["block"]})
            return Block(f"it has {', '.join(names)} in it", _findings(found["block"], seen))
        if found["mask"]:
            edits = [Edit(i, m.start, m.end, self.mask.format(entity=m.entity), m.entity) for i, m in found["mask"]]
            return Mask(edits)
        return Pass(_findings(found["detect"], seen))


def apart(matches: Iterable[Match], text: str) -> list[Match]:
    """Return matches that do not overlap, in order. The longest stay whole, others keep what those leave of them."""
    kept: list[Match] = []
    for match in sorted(matches, key=lambda match: (match.start - match.end, match.start)):
        if match.start == match.end:
            continue
        first = bisect_right(kept, match.start, key=lambda one: one.end)
        last = bisect_left(kept, match.end, first, key=lambda one: one.start)
        kept[first:last] = _filled(match, kept[first:last], text) if first < last else [match]
    return kept


def _filled(match: Match, taken: list[Match], text: str) -> list[Match]:
    """Return what is taken of a match, and what that leaves of it between."""
    edges = [match.start, *(edge for one in taken for edge in (one.start, one.end)), match.end]
    gaps = (_REST.search(text, start, end) for start, end in zip(edges[::2], edges[1::2], strict=True))
    left = [Match(match.entity, rest.start(), rest.end()) for rest in gaps if rest]
    return sorted([*taken, *left], key=lambda one: one.start)


def _findings(found: list[tuple[int, Match]], seen: Seen) -> list[Finding]:
    return [Finding(match.entity, seen.texts[index].where, match.start, match.end) for index, match in found]
