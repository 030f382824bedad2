"""Sizes: "1024x768", "16:9", "2K", "720p" or one of fal's own names, as the fields that an app has for them."""

from __future__ import annotations

import re
from math import gcd, log
from typing import Any

from polyport.types.size import nearest, pixels_of, ratio_of
from polyport_fal.body import Body

#: A field with one of these names holds a size; its values may be names, pairs of numbers, or both.
SIZES = ("image_size", "video_size")
RATIOS = ("aspect_ratio", "resolution_mode")
#: fal's names of sizes -> the ratio that they are.
NAMED = {
    "square_hd": "1:1", "square": "1:1", "landscape_4_3": "4:3", "portrait_4_3": "3:4", "landscape_16_9": "16:9",
    "portrait_16_9": "9:16",
}  # fmt: skip
FREE = "WIDTHxHEIGHT"


def put_size(body: Body, size: str) -> None:
    """Set what an app has for a size. What comes out otherwise than it was asked for is told as an adaptation."""
    app = body.app
    size_field = app.name(*SIZES)
    ratio_field = app.name(*RATIOS) if size_field is None else None
    resolution_field = app.name("resolution") if size_field is None else None
    if size_field is not None:
        _put_whole(body, size_field, size)
    elif ratio_field is not None or resolution_field is not None:
        _put_parts(body, ratio_field, resolution_field, size)
    else:
        body.request.unsupported("size", f"{app.path} chooses the size itself")


def _put_whole(body: Body, field: str, size: str) -> None:
    values, pixels = body.app.values(field), pixels_of(size)
    if size in values:
        body.set(field, size)
    elif pixels and (not values or FREE in values):
        body.set(field, {"width": pixels[0], "height": pixels[1]})
    elif not values:
        body.set(field, next((name for name, ratio in NAMED.items() if ratio == size), size))
    elif size != "auto":
        _put_nearest(body, field, {value: NAMED.get(value, value) for value in values}, size)


def _put_parts(body: Body, ratio_field: str | None, resolution_field: str | None, size: str) -> None:
    pixels, ratio = pixels_of(size), ratio_of(size)
    if ratio_field is not None and (ratio is not None or size == "auto"):
        values = body.app.values(ratio_field)
        if size in values:
            body.set(ratio_field, size)
        elif not values and ratio is not None:
            body.set(ratio_field, _reduced(size))
        elif size != "auto":
            _put_nearest(body, ratio_field, {value: value for value in values}, size)
    elif ratio is not None and pixels is None:
        body.request.unsupported("size", f"{body.app.path} takes no aspect ratio")
    if resolution_field is not None and size != "auto" and (pixels or ratio is None):
        _put_resolution(body, resolution_field, size, pixels)
    elif ratio is None and size != "auto":
        body.request.unsupported("size", f"{body.app.path} takes an aspect ratio such as 16:9, not {size!r}")


def _put_nearest(body: Body, field: str, ratios: dict[str, str], size: str) -> None:
    """Set the value whose ratio is nearest to the size's, and say so where that loses something."""
    shapes = [text for text in ratios.values() if ratio_of(text) is not None]
    found = nearest(size, shapes) if shapes else None
    if found is None:
        body.request.unsupported("size", f"{body.app.path} takes {', '.join(ratios)}, not {size!r}")
        return
    shape, exact = found
    best = next(value for value, text in ratios.items() if text == shape)
    if not exact or pixels_of(size):
        why = f"{body.app.path} takes {field}={best!r} for {size}"
        body.request.adapt("size", "renamed" if exact else "clamped", why)
    body.set(field, best)


def _put_resolution(body: Body, field: str, size: str, pixels: tuple[int, int] | None) -> None:
    values = body.app.values(field)
    if pixels is None:
        body.put("size", size, field)
        return
    lines = {value: count for value in values if (count := _lines(value)) is not None}
    if lines:
        short = min(pixels)
        body.set(field, min(lines, key=lambda value: abs(log(lines[value] / short))))


def _lines(resolution: str) -> int | None:
    """Return the shorter side in pixels of "720p", "2K" or "4k", None for any other text."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([pPkK])", resolution)
    if not found:
        return None
    return int(found[1]) if found[2] in "pP" else int(float(found[1]) * 1024)


def _reduced(size: str) -> str:
    width, height = (int(number) for number in re.findall(r"\d+", size))
    return f"{width // gcd(width, height)}:{height // gcd(width, height)}"


def put_seconds(body: Body, seconds: Any) -> None:
    """Set the length of a video: the nearest that the app offers, written as the app writes it."""
    app, wanted = body.app, float(seconds)
    field = app.name("duration")
    if field is None:
        body.request.unsupported("seconds", f"{app.path} chooses the length itself")
        return
    lengths = {value: float(number[0]) for value in app.values(field) if (number := re.match(r"\d+(?:\.\d+)?", value))}
    if not lengths:
        body.set(field, int(wanted) if wanted.is_integer() else wanted)
        return
    best = min(lengths, key=lambda value: abs(lengths[value] - wanted))
    if lengths[best] != wanted:
        body.request.adapt(
            "seconds", "clamped", f"{app.path} makes {', '.join(lengths)}; {best} is nearest to {seconds}"
        )
    body.set(field, best)
