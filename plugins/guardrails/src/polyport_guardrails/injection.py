"""`prompt-injection`: texts that try to become instructions, told by what such texts say. A heuristic, and no more.

Each rule that fits counts once with its weight; together they are a score, 1 - (1 - w1)(1 - w2)..., and a text whose
score reaches `threshold` (0.6) is blocked. A single rule of 0.6 or more is enough by itself, two weaker ones together.
Rules read a text in lower case, with look-alike forms of letters, invisible characters and line breaks made plain; what
is base64 in it is read too. The rules are English, the most common ones also German, French and Spanish.

Measured by tests/test_injection.py on the corpus in tests/corpus.py; the figures are in the README. An attack in words
of its own passes: ask a service (`lakera`, `bedrock`) where that matters.
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from polyport.errors import BadRequestError
from polyport.guarding.guardrail import Guardrail
from polyport.guarding.verdicts import Block, Pass, Seen, Verdict
from polyport.types.guard import Finding

THRESHOLD = 0.6
#: Whose texts are looked at: a developer's own instructions are no attack on themselves.
ROLES = ("user", "tool")


class Rule(NamedTuple):
    """One thing that such texts say, and how much it tells. No text fits without one of the pieces it `needs`."""

    name: str
    weight: float
    pattern: re.Pattern[str]
    needs: tuple[str, ...]

    def fits(self, said: str) -> bool:
        """Whether a text, made plain, says it."""
        return any(piece in said for piece in self.needs) and self.pattern.search(said) is not None


@lru_cache(maxsize=1)
def rules() -> tuple[Rule, ...]:
    """Return the rules of injection.toml."""
    told = tomllib.loads(resources.files(__package__).joinpath("injection.toml").read_text("utf-8"))
    words = {name: value for name, value in told.items() if isinstance(value, str)}
    made = []
    for name, rule in told["rules"].items():
        pattern = re.sub("<([A-Z]+)>", lambda match: words[match[1]], rule["pattern"])
        made.append(Rule(name, rule["weight"], re.compile(pattern), tuple(rule["needs"])))
    return tuple(made)


_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufeff\U000e0000-\U000e007f]")
_BASE64 = re.compile(r"(?<![\w+/=])[A-Za-z0-9+/]{24,4000}={0,2}(?![\w+/=])")
#: Letters of other alphabets that look like Latin ones.
_LOOK_ALIKES = str.maketrans("\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u0501\u0261", "aeopcyxijsdg")


class PromptInjection(Guardrail):
    """Blocks texts whose score reaches `threshold`; `weights` changes what rules count (0 turns one off).

    Only requests' texts of `roles` are looked at: users' and what tools answered. With `action="detect"` it tells what
    it found, and lets the call go on.
    """

    def __init__(
        self,
        threshold: float = THRESHOLD,
        *,
        weights: Mapping[str, float] | None = None,
        roles: Iterable[str] = ROLES,
        action: str = "block",
    ) -> None:
        super().__init__()
        if not 0 < threshold <= 1:
            raise BadRequestError(f"threshold must be above 0 and at most 1, not {threshold!r}")
        if action not in ("block", "detect"):
            raise BadRequestError(f'action is "block" or "detect", not {action!r}')
        changed = dict(weights or {})
        names = [rule.name for rule in rules()]
        unknown = sorted(set(changed).difference(names))
        if unknown:
            raise BadRequestError(f"No rule is called {unknown[0]!r}. There are {', '.join(names)}")
        self._rules = [rule._replace(weight=changed.get(rule.name, rule.weight)) for rule in rules()]
        self.threshold, self.roles, self.action = threshold, frozenset(roles), action

    def check(self, seen: Seen) -> Verdict:
        """Score each text."""
        findings: list[Finding] = []
        for one in seen.texts:
            if one.role in self.roles:
                total, names = self.score(one.text)
                if total >= self.threshold:
                    findings += [Finding(name, one.where, score=round(total, 3)) for name in names]
        if not findings or self.action == "detect":
            return Pass(findings)
        return Block(f"it reads like a prompt injection ({', '.join(sorted({f.entity for f in findings}))})", findings)

    def score(self, text: str) -> tuple[float, list[str]]:
        """Return a text's score from 0 to 1, and the rules that fit."""
        said = plain(text)
        names, left = [], 1.0
        for rule in self._rules:
            if rule.weight and rule.fits(said):
                names.append(rule.name)
                left *= 1 - rule.weight
        return 1 - left, names


def plain(text: str) -> str:
    """Return a text as rules read it, with what is base64 in it after it."""
    hidden = [decoded for match in _BASE64.finditer(text) if (decoded := _decoded(match[0]))]
    whole = "\n".join([text, *hidden])
    made = _INVISIBLE.sub("", unicodedata.normalize("NFKC", whole)).casefold().translate(_LOOK_ALIKES)
    return re.sub(r"[ \t\r\f\v]+", " ", made)


def _decoded(text: str) -> str | None:
    try:
        decoded = base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    return decoded if decoded.isprintable() else None
