"""Faults of simulated deployments, as a short text.

    east:down@600-900; west:slow*3@20m-; *:429%5

A fault is `TARGET:KIND@TIMES`; several stand one after another with `;` between them.

    TARGET  a deployment's id, a model group's name, or a pattern of them: `east`, `azure-*`, `*`
    KIND    down       connections are refused
            hang       requests are taken and never answered
            cut        streams break after their first tokens
            429, 500   a status: requests are refused with it (any from 400 to 599)
            slow*3     everything takes three times as long; slow+2 takes two seconds more
            jitter%40  latencies are up to 40 % longer or shorter
            rpm=60     the deployment's own limit falls to 60 requests a minute; also tpm=, parallel=
    %5      after down, hang, cut or a status: of 5 % of the requests; of all, where it is left out
    TIMES   from-to, from the beginning of the simulation: 600-900, 10m-15m, 1.5h-, -90s; several with commas between
            them; 60-70/300 comes again every 300 seconds. Without times a fault holds all the while.
"""

from __future__ import annotations

import difflib
import fnmatch
import math
import re
from collections.abc import Iterable, Sequence
from typing import NoReturn

import msgspec

from polyport.errors import BadRequestError

UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
#: Kinds that some share of the requests may meet.
SHARED = ("down", "hang", "cut")
LIMITS = ("rpm", "tpm", "parallel")
KINDS = (*SHARED, "slow*", "slow+", "jitter%", *(f"{name}=" for name in LIMITS), "429", "500")

_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_TIME = re.compile(r"(\d+(?:\.\d+)?|\.\d+)([smh]?)")


class Span(msgspec.Struct, frozen=True):
    """When a fault holds: `start` to before `end`, in seconds; again every `every` seconds where that is not 0."""

    start: float = 0.0
    end: float = math.inf
    every: float = 0.0

    def holds(self, now: float) -> bool:
        """Whether a moment is in it."""
        if self.every and now >= self.start:
            return (now - self.start) % self.every < self.end - self.start
        return self.start <= now < self.end

    def within(self, end: float) -> list[tuple[float, float]]:
        """Return its pieces before `end`, as (from, to)."""
        if not self.every:
            return [(self.start, min(self.end, end))] if self.start < end else []
        count = max(0, math.ceil((end - self.start) / self.every))
        starts = [self.start + self.every * number for number in range(count)]
        return [(start, min(start + self.end - self.start, end)) for start in starts]


class Fault(msgspec.Struct, frozen=True):
    """One fault: `kind` is down, hang, cut, status, slow*, slow+, jitter, rpm, tpm or parallel.

    `value` is the status, factor, seconds, share or limit; `share` is of the requests that meet it, from 0 to 1.
    """

    target: str
    kind: str
    value: float = 0.0
    share: float = 1.0
    spans: tuple[Span, ...] = (Span(),)
    text: str = ""

    def holds(self, now: float) -> bool:
        """Whether it holds at a moment."""
        return any(span.holds(now) for span in self.spans)

    def meets(self, names: Iterable[str]) -> bool:
        """Whether it is for a deployment of these names: its id, its group."""
        return any(fnmatch.fnmatchcase(name, self.target) for name in names)


def read(text: str | Sequence[str]) -> list[Fault]:
    """Return the faults of a text, or of several. Raises BadRequestError that points at the place."""
    if not isinstance(text, str):
        return [fault for one in text for fault in read(one)]
    return [
        _Reader(text, part.start(), part.end()).fault() for part in re.finditer(r"[^;\n]+", text) if part[0].strip()
    ]


def check_targets(faults: Iterable[Fault], names: Sequence[str]) -> None:
    """Raise BadRequestError for a fault of something that is not there."""
    for fault in faults:
        if not fault.meets(names):
            near = difflib.get_close_matches(fault.target, names, 1)
            guess = f"Did you mean {near[0]!r}? " if near else ""
            raise BadRequestError(
                f"The fault {fault.text!r} is for {fault.target!r}, which is no deployment or group. {guess}"
                f"There are {', '.join(dict.fromkeys(names))}."
            )


class _Reader:
    """Reads one fault from left to right; knows where it is, to say so."""

    def __init__(self, text: str, start: int, end: int) -> None:
        self.text, self.start, self.end = text, start, end
        self.at = start

    def fault(self) -> Fault:
        whole = self.text[self.start : self.end]
        self.at = self.start + len(whole) - len(whole.lstrip())
        self.end = self.start + len(whole.rstrip())
        begin = self.at
        target = self._target()
        kind, value, share = self._kind()
        spans = self._spans()
        return Fault(target, kind, value, share, spans, self.text[begin : self.end])

    def _target(self) -> str:
        """Return what stands before the last colon: ids may have colons, kinds and times have none."""
        colon = self.text.rfind(":", self.at, self.end)
        if colon < 0:
            self._wrong("a fault is TARGET:KIND@TIMES, as in east:down@600-900")
        target = self.text[self.at : colon].strip()
        if not target:
            self._wrong("the target is missing: a deployment, a group or * for all")
        self.at = colon + 1
        self._blank()
        return target

    def _kind(self) -> tuple[str, float, float]:
        word = re.compile(r"[A-Za-z]+|\d+").match(self.text, self.at, self.end)
        if word is None:
            self._wrong(f"after the target comes one of {', '.join(KINDS)}")
        name = word[0]
        if name.isdigit():
            if not 400 <= int(name) <= 599:
                self._wrong("a status is from 400 to 599")
            self.at = word.end()
            return "status", float(name), self._share()
        if name in SHARED:
            self.at = word.end()
            return name, 0.0, self._share()
        return self._valued(name, word.end())

    def _valued(self, name: str, end: int) -> tuple[str, float, float]:
        signs = {"slow": "*+", "jitter": "%", **dict.fromkeys(LIMITS, "=")}
        if name not in signs:
            near = difflib.get_close_matches(name, [*SHARED, *signs], 1)
            guess = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(KINDS)}"
            self._wrong(f"no fault is called {name!r}; {guess}")
        self.at = end
        sign = self.text[end : end + 1] if end < self.end else ""
        if not sign or sign not in signs[name]:
            self._wrong(f"after {name!r} comes {' or '.join(signs[name])} and a number, as in {name}{signs[name][0]}3")
        self.at = end + 1
        value = self._number(f"after {name + sign!r}")
        if name in LIMITS and value != int(value):
            self._wrong(f"a limit is a whole number, not {value:g}")
        kind = name + sign if name == "slow" else name
        return kind, value / 100 if name == "jitter" else value, 1.0

    def _share(self) -> float:
        if self.at >= self.end or self.text[self.at] != "%":
            return 1.0
        self.at += 1
        start = self.at
        share = self._number("after '%'")
        if share > 100:
            self.at = start
            self._wrong("a share is at most 100 %")
        return share / 100

    def _number(self, where: str) -> float:
        found = _NUMBER.match(self.text, self.at, self.end)
        if found is None:
            self._wrong(f"{where} comes a number")
        self.at = found.end()
        return float(found[0])

    # --- times ---

    def _spans(self) -> tuple[Span, ...]:
        self._blank()
        if self.at == self.end:
            return (Span(),)
        if self.text[self.at] != "@":
            self._wrong("after the kind come its times, as in @600-900, or nothing more")
        spans = []
        while self.at < self.end:
            self.at += 1  # the @, or the comma between two
            self._blank()
            spans.append(self._span())
            self._blank()
            if self.at < self.end and self.text[self.at] != ",":
                self._wrong("after a time comes a comma and another, or nothing more")
        return tuple(spans)

    def _span(self) -> Span:
        begin = self.at
        start = self._time()
        if self.text[self.at : self.at + 1] != "-" or self.at >= self.end:
            self._wrong("times are FROM-TO: 600-900, 10m-, -90s")
        self.at += 1
        end = self._time()
        if start is None and end is None:
            self._wrong("times are FROM-TO: 600-900, 10m-, -90s", begin)
        span = Span(start or 0.0, math.inf if end is None else end)
        if span.end <= span.start:
            self._wrong("ends before it begins", begin)
        return self._repeated(span)

    def _repeated(self, span: Span) -> Span:
        if self.at >= self.end or self.text[self.at] != "/":
            return span
        self.at += 1
        begin = self.at
        every = self._time()
        if every is None or every < span.end - span.start:
            self._wrong("after / comes the time from one beginning to the next, longer than the fault itself", begin)
        return Span(span.start, span.end, every)

    def _time(self) -> float | None:
        found = _TIME.match(self.text, self.at, self.end)
        if found is None:
            return None
        self.at = found.end()
        return float(found[1]) * UNITS[found[2]]

    def _blank(self) -> None:
        while self.at < self.end and self.text[self.at].isspace():
            self.at += 1

    def _wrong(self, why: str, at: int | None = None) -> NoReturn:
        place = self.at if at is None else at
        here = self.text[place : self.end] or "the end"
        raise BadRequestError(
            f"Cannot read the faults {self.text.strip()!r} at character {place + 1} ({here!r}): {why}"
        )
