"""`presidio`: personal data found by Presidio, by its service or in this process. https://microsoft.github.io/presidio

With `api_base` (or PRESIDIO_ANALYZER_API_BASE) the analyzer's REST API is asked,
https://microsoft.github.io/presidio/api-docs/api-docs.html; without, presidio-analyzer is run here:
pip install polyport-guardrails[presidio] and a model of spaCy's. With `anonymizer_api_base` the anonymizer's service
makes the texts; otherwise what is found is masked here.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from polyport.errors import PluginError
from polyport.flow import Call, Flow, HttpReply
from polyport.guarding.guardrail import Service
from polyport.guarding.verdicts import Block, Edit, Mask, Pass, Seen, Verdict
from polyport.provider import decode
from polyport.types.guard import Finding
from polyport_guardrails.scanning import Action, Match, apart

Body = dict[str, Any]


class Found(msgspec.Struct):
    """One thing that the analyzer found; `start` and `end` count characters."""

    entity_type: str
    start: int
    end: int
    score: float = 0.0


class _Anonymized(msgspec.Struct):
    text: str


class Presidio(Service):
    """Masks (or blocks, or tells) what Presidio finds in each text.

    `entities` are Presidio's (None: all it knows), `score_threshold` what it must be sure of. `actions` say for some
    entities what becomes of them. `operators` are the anonymizer's, an entity each, DEFAULT for the rest.
    """

    base_env = ("PRESIDIO_ANALYZER_API_BASE",)

    def __init__(
        self,
        *,
        language: str = "en",
        entities: Iterable[str] | None = None,
        score_threshold: float = 0.5,
        action: Action = "mask",
        actions: Mapping[str, Action] | None = None,
        mask: str = "<{entity}>",
        ad_hoc_recognizers: list[Body] | None = None,
        anonymizer_api_base: str | None = None,
        operators: Mapping[str, Body] | None = None,
    ) -> None:
        super().__init__()
        self.language, self.score_threshold = language, score_threshold
        self.entities = None if entities is None else list(entities)
        self.action, self.actions, self.mask = action, dict(actions or {}), mask
        self.ad_hoc_recognizers = ad_hoc_recognizers
        self.anonymizer_api_base, self.operators = anonymizer_api_base, dict(operators or {})

    def check(self, seen: Seen) -> Flow[Verdict]:
        """Have each text analyzed, and return what becomes of what was found."""
        found: list[list[Found]] = []
        for one in seen.texts:
            things = yield from self.analyze(one.text)
            found.append(things)
        by: dict[str, list[Finding]] = {"block": [], "detect": []}
        masked: list[list[Found]] = []
        for one, some in zip(seen.texts, found, strict=True):
            for thing in some:
                action = self.actions.get(thing.entity_type, self.action)
                if action != "mask":
                    by[action].append(Finding(thing.entity_type, one.where, thing.start, thing.end, thing.score))
            masked.append([t for t in some if self.actions.get(t.entity_type, self.action) == "mask"])
        if by["block"]:
            return Block(f"it has {', '.join(sorted({f.entity for f in by['block']}))} in it", by["block"])
        if not any(masked):
            return Pass(by["detect"])
        if self.anonymizer_api_base is not None:
            return (yield from self._anonymized(seen, masked))
        return Mask(
            [
                Edit(index, match.start, match.end, self.mask.format(entity=match.entity), match.entity)
                for index, some in enumerate(masked)
                for match in apart((Match(o.entity_type, o.start, o.end) for o in some), seen.texts[index].text)
            ]
        )

    def analyze(self, text: str) -> Flow[list[Found]]:
        """Return what is in a text: POST /analyze."""
        body: Body = {"text": text, "language": self.language, "score_threshold": self.score_threshold}
        if self.entities is not None:
            body["entities"] = self.entities
        if self.ad_hoc_recognizers is not None:
            body["ad_hoc_recognizers"] = self.ad_hoc_recognizers
        reply: HttpReply = yield self.post("/analyze", json=body)
        return decode(reply, list[Found])

    def _anonymized(self, seen: Seen, masked: list[list[Found]]) -> Flow[Verdict]:
        """Have the anonymizer make the texts: POST /anonymize."""
        made: list[str | None] = []
        for one, some in zip(seen.texts, masked, strict=True):
            if not some:
                made.append(None)
                continue
            operators = self.operators or {"DEFAULT": {"type": "replace"}}
            body = {"text": one.text, "anonymizers": operators, "analyzer_results": msgspec.to_builtins(some)}
            reply = yield self.post(f"{str(self.anonymizer_api_base).rstrip('/')}/anonymize", json=body)
            made.append(decode(reply, _Anonymized).text)
        return Mask.rewrite(seen.texts, made)


class InProcess(Presidio):
    """The same, with presidio-analyzer in this process. The engine is made on first use, which takes seconds."""

    _engine: Any = None

    def analyze(self, text: str) -> Flow[list[Found]]:
        """Return what is in a text, in a worker thread under an asynchronous driver."""
        found: list[Found] = yield Call(lambda: self._analyzed(text))
        return found

    def _analyzed(self, text: str) -> list[Found]:
        if self._engine is None:
            self._engine = importlib.import_module("presidio_analyzer").AnalyzerEngine()
        results = self._engine.analyze(
            text=text, language=self.language, entities=self.entities, score_threshold=self.score_threshold
        )
        return [Found(one.entity_type, one.start, one.end, one.score) for one in results]


def presidio(api_base: str | None = None, **settings: Any) -> Presidio:
    """Return the guardrail: by its service where there is one, else in this process. Raises PluginError without."""
    from polyport import plugins

    if api_base is not None or plugins.secret(Presidio.base_env[0]) is not None:
        return Presidio(**settings)
    if importlib.util.find_spec("presidio_analyzer") is None:
        raise PluginError(
            f"presidio needs api_base (or {Presidio.base_env[0]}) of an analyzer's service, or "
            "pip install 'polyport-guardrails[presidio]' to run it here"
        )
    return InProcess(**settings)
