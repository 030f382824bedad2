"""Sizes of pictures and videos as users write them: "1024x768" in pixels, or "16:9" as a ratio.

For providers that have a few shapes only: the nearest is taken, and said so where it is not the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import log

from polyport.types.record import Request

#: How far apart two ratios may be and still be the same: 1792x1024 is 16:9, as sides come in steps.
SAME = 0.02


def pixels_of(size: str) -> tuple[int, int] | None:
    """Return (width, height) of "1024x768", None for any other text."""
    found = re.fullmatch(r"([1-9]\d{0,5})\s*[xX*]\s*([1-9]\d{0,5})", size)
    return (int(found[1]), int(found[2])) if found else None


def ratio_of(size: str) -> float | None:
    """Return width / height of "1024x768" or "16:9", None for any other text."""
    found = re.fullmatch(r"([1-9]\d{0,5})\s*[:xX*]\s*([1-9]\d{0,5})", size)
    return int(found[1]) / int(found[2]) if found else None


def nearest(size: str, shapes: Iterable[str]) -> tuple[str, bool] | None:
    """Return the shape whose ratio is nearest to the size's, and whether it is the same; None where size is none."""
    wanted = ratio_of(size)
    if wanted is None:
        return None
    away = {shape: abs(log(known / wanted)) for shape in shapes if (known := ratio_of(shape)) is not None}
    best = min(away, key=away.__getitem__)
    return best, away[best] < SAME


def fit(request: Request, size: str, shapes: Iterable[str], who: str) -> str | None:
    """Return the shape that `who` makes of a request's size; None where that is none, which is refused.

    That it is another shape, or the same one written otherwise, is told as an adaptation.
    """
    found = nearest(size, shapes)
    if found is None:
        request.unsupported("size", f"{who} takes a shape such as 1024x1024 or 16:9, not {size!r}")
        return None
    shape, same = found
    if shape != size:
        request.adapt("size", "renamed" if same else "clamped", f"{who} takes the shape {shape} for {size}")
    return shape
