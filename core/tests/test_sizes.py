"""Sizes as users write them, and the shapes that providers have."""

from __future__ import annotations

import pytest

from polyport.errors import UnsupportedParamsError
from polyport.types.record import Options, Request
from polyport.types.size import fit, nearest, pixels_of, ratio_of

RATIOS = ("21:9", "16:9", "3:2", "5:4", "1:1", "4:5", "2:3", "9:16", "9:21")


@pytest.mark.parametrize(
    ("size", "pixels", "ratio"),
    [
        ("1024x768", (1024, 768), 4 / 3),
        ("1024 X 768", (1024, 768), 4 / 3),
        ("16:9", None, 16 / 9),
        ("auto", None, None),
        ("0x10", None, None),
        ("2K", None, None),
        ("1024x", None, None),
    ],
)
def test_sizes_are_read(size, pixels, ratio):
    """In pixels or as a ratio; anything else is neither."""
    assert pixels_of(size) == pixels
    assert ratio_of(size) == ratio


@pytest.mark.parametrize(
    ("size", "shape", "same"),
    [
        ("1024x1024", "1:1", True),
        ("1536x1024", "3:2", True),
        ("1024x1536", "2:3", True),
        ("1792x1024", "16:9", True),
        ("4:3", "5:4", False),
        ("3000x100", "21:9", False),
        ("100x3000", "9:21", False),
    ],
)
def test_the_nearest_shape_is_found(size, shape, same):
    """By ratio, on the same scale for broad and tall; sides come in steps, so about the same is the same."""
    assert nearest(size, RATIOS) == (shape, same)


def test_what_is_no_size_has_no_shape():
    """The provider says what it takes."""
    assert nearest("large", RATIOS) is None


@pytest.mark.parametrize(
    ("size", "shape", "told"),
    [
        ("16:9", "16:9", []),
        ("1792x1024", "16:9", ["renamed"]),
        ("4:3", "5:4", ["clamped"]),
        ("large", None, ["dropped"]),
    ],
)
def test_what_is_made_of_a_size_is_told(size, shape, told):
    """Only where it is not the size as it was given; what is no size is refused."""
    request = Request(options=Options(drop_params=True))
    assert fit(request, size, RATIOS, "m") == shape
    assert [one.action for one in request.adaptations] == told
    if shape is None:
        with pytest.raises(UnsupportedParamsError, match="m takes a shape"):
            fit(Request(), size, RATIOS, "m")
