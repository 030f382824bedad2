"""The exact body of every conversation of the shared matrix, as files beside this one that a reader can open."""

from __future__ import annotations

from pathlib import Path

import pytest
from matrix import cases, check_golden, made

GOLDEN = Path(__file__).parent / "golden"
CASES = dict(cases())


@pytest.mark.parametrize("name", CASES)
def test_request_is_the_golden_one(client, wire, name):
    """A conversation becomes the body in its file; what had to be changed or dropped is recorded there too."""
    got = client.completion("cohere/command-a-reasoning-08-2025", **CASES[name], drop_params=True)
    list(got) if CASES[name].get("stream") else got
    check_golden(GOLDEN / f"{name}.json", made(wire.last, got))


def test_no_golden_file_is_left_over():
    """Every file belongs to a case."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)
