"""`moderation`: what a moderation model flags, asked by the client's own `moderation` operation.

https://platform.openai.com/docs/guides/moderation
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from polyport.errors import InvalidResponseError
from polyport.flow import Flow
from polyport.guarding.guardrail import Service
from polyport.guarding.verdicts import PASS, Block, Pass, Seen, Verdict
from polyport.types.guard import Finding
from polyport.types.moderation import Moderation as Answer

MODEL = "openai/omni-moderation-latest"


class Moderation(Service):
    """Blocks what `model` flags: the client's keys and settings hold, any provider's model may be named.

    With `categories`, only those count; with `thresholds`, a category counts from that score on, flagged or not.
    Image parts are not looked at.
    """

    def __init__(
        self,
        model: str = MODEL,
        *,
        categories: Iterable[str] | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.categories = None if categories is None else frozenset(categories)
        self.thresholds = dict(thresholds or {})

    def check(self, seen: Seen) -> Flow[Verdict]:
        """Have the texts judged, one result each."""
        texts = [one for one in seen.texts if one.text.strip()]
        if not texts:
            return PASS
        answer: Answer = yield from seen.ask("moderation", model=self.model, input=[one.text for one in texts])
        if len(answer.results) != len(texts):
            raise InvalidResponseError(f"{self.model} gave {len(answer.results)} results for {len(texts)} texts")
        findings = [
            Finding(name, one.where, score=result.category_scores.get(name))
            for one, result in zip(texts, answer.results, strict=True)
            for name in self._flagged(result.flagged, result.categories, result.category_scores)
        ]
        if not findings:
            return Pass()
        return Block(f"{self.model} flagged it ({', '.join(sorted({f.entity for f in findings}))})", findings)

    def _flagged(
        self, flagged: bool, categories: Mapping[str, bool | None], scores: Mapping[str, float | None]
    ) -> list[str]:
        """Return the categories that count against a text."""
        named = [
            name for name, hit in categories.items() if hit and (self.categories is None or name in self.categories)
        ]
        over = [name for name, least in self.thresholds.items() if (scores.get(name) or 0.0) >= least]
        if flagged and not named and self.categories is None:
            named = ["flagged"]
        return list(dict.fromkeys([*(n for n in named if n not in self.thresholds), *over]))


class OpenAIModeration(Moderation):
    """The same, with a bare model's name taken for OpenAI's."""

    def __init__(
        self,
        model: str = MODEL,
        *,
        categories: Iterable[str] | None = None,
        thresholds: Mapping[str, float] | None = None,
    ) -> None:
        named = model if "/" in model else f"openai/{model}"
        super().__init__(named, categories=categories, thresholds=thresholds)
