"""The exact body of every conversation of the shared matrix, as files beside this one that a reader can open."""

from __future__ import annotations

from pathlib import Path

import pytest
from matrix import cases, check_golden

from polyport.building import build
from polyport.types.chat import ChatRequest
from polyport.types.record import Options
from polyport_anthropic import to_messages
from polyport_anthropic.access import headers

GOLDEN = Path(__file__).parent / "golden"
CASES = dict(cases())


@pytest.mark.parametrize("name", CASES)
def test_request_is_the_golden_one(name):
    """A conversation becomes the body in its file; what had to be changed or dropped is recorded there too."""
    request = build(ChatRequest, dict(CASES[name]), Options(drop_params=True))
    request.model = "claude-sonnet-4-5"
    body = to_messages(request)
    made = {
        "headers": headers(request, body),
        "body": body,
        "adaptations": [f"{a.parameter} {a.action}: {a.why}" for a in request.adaptations],
    }
    check_golden(GOLDEN / f"{name}.json", made)


def test_no_golden_file_is_left_over():
    """Every file belongs to a case."""
    assert {path.stem for path in GOLDEN.glob("*.json")} == set(CASES)
