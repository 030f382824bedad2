"""Distributions of seconds and tokens, as configurations write them.

0.8                          always the same
{uniform: [0.2, 2.0]}        anything between, alike
{normal: [0.8, 0.2]}         mean and standard deviation; never below 0
{p50: 0.8, p99: 4.0}         lognormal, by its median and its 99th percentile: what latencies of models look like
{samples: [0.7, 0.9, 3.1]}   measured ones, each drawn alike; or the path of a file with a number on each line
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from polyport.errors import BadRequestError

Draw: TypeAlias = Callable[[Random], float]
#: The 99th percentile of the standard normal distribution.
Z99 = 2.3263478740408408
EXAMPLE = "0.8, {uniform: [0.2, 2]}, {normal: [0.8, 0.2]}, {p50: 0.8, p99: 4} or {samples: [0.7, 0.9]}"


def read(given: Any, path: str, folder: Path | None = None) -> Draw:
    """Return what draws from a distribution. `folder` is where files of samples are looked for.

    Raises BadRequestError that names the place, `path`.
    """
    if isinstance(given, int | float) and not isinstance(given, bool):
        return _constant(_number(given, path))
    if not isinstance(given, Mapping) or not given:
        raise BadRequestError(f"{path} is no distribution: {given!r}; write {EXAMPLE}")
    names = tuple(sorted(given))
    if names not in FORMS:
        raise BadRequestError(f"{path} has {_unknown(given)}; write {EXAMPLE}")
    return FORMS[names](given, path, folder)


def _unknown(given: Mapping[str, Any]) -> str:
    known = sorted({name for names in FORMS for name in names})
    wrong = next((str(name) for name in given if name not in known), None)
    if wrong is None:
        return f"{' and '.join(sorted(given))}, which do not go together"
    near = difflib.get_close_matches(wrong, known, 1)
    return f"{wrong!r}" + (f" (did you mean {near[0]!r}?)" if near else "")


def _constant(value: float) -> Draw:
    return lambda _: value


def _uniform(given: Mapping[str, Any], path: str, _: Path | None) -> Draw:
    low, high = _pair(given["uniform"], f"{path}.uniform", "the lowest and the highest")
    if high < low:
        raise BadRequestError(f"{path}.uniform ends before it begins: [{low:g}, {high:g}]")
    return lambda random: low + (high - low) * random.random()


def _normal(given: Mapping[str, Any], path: str, _: Path | None) -> Draw:
    mean, deviation = _pair(given["normal"], f"{path}.normal", "the mean and the standard deviation")
    return lambda random: max(0.0, random.gauss(mean, deviation))


def _lognormal(given: Mapping[str, Any], path: str, _: Path | None) -> Draw:
    median, high = _number(given["p50"], f"{path}.p50"), _number(given["p99"], f"{path}.p99")
    if not 0 < median <= high:
        raise BadRequestError(f"{path} needs 0 < p50 <= p99, not {median:g} and {high:g}")
    mean, deviation = math.log(median), math.log(high / median) / Z99
    return lambda random: math.exp(random.gauss(mean, deviation))


def _samples(given: Mapping[str, Any], path: str, folder: Path | None) -> Draw:
    found = given["samples"]
    if isinstance(found, str):
        found = _of_file((folder or Path()) / found, f"{path}.samples")
    if not isinstance(found, Sequence) or not found:
        raise BadRequestError(f"{path}.samples must be numbers, or a file with one on each line, not {found!r}")
    values = [_number(value, f"{path}.samples[{place}]") for place, value in enumerate(found)]
    return lambda random: values[int(random.random() * len(values))]


def _of_file(file: Path, path: str) -> list[float]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except OSError as error:
        raise BadRequestError(f"{path}: cannot read {str(file)!r}: {error.strerror or error}") from error
    found = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(float(line))
            except ValueError as error:
                raise BadRequestError(f"{path}: {file}:{number} is no number: {line.strip()[:40]!r}") from error
    return found


#: The names in a distribution -> what reads it.
FORMS: dict[tuple[str, ...], Callable[[Mapping[str, Any], str, Path | None], Draw]] = {
    ("uniform",): _uniform,
    ("normal",): _normal,
    ("p50", "p99"): _lognormal,
    ("samples",): _samples,
}


def _pair(value: Any, path: str, what: str) -> tuple[float, float]:
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != 2:
        raise BadRequestError(f"{path} must be two numbers, {what}, not {value!r}")
    return _number(value[0], f"{path}[0]"), _number(value[1], f"{path}[1]")


def _number(value: Any, path: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise BadRequestError(f"{path} must be a number that is not negative, not {value!r}")
    return float(value)
