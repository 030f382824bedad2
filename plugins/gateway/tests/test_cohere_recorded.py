"""Recorded replies of Cohere's, read by its plugin and written by the surface, say what they said.

Where a guardrail has looked at an answer it is not passed on as it came, so reading and writing must lose nothing.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import recorded
from recorded import events, is_stream, needs_recordings, payload, status

from polyport.flow import HttpReply
from polyport_gateway.cohere_answers import Pieces, to_reply

from .cohere_events import assembled

cohere = pytest.importorskip("polyport_cohere")
pytestmark = needs_recordings
#: What a reply may have, or not, without saying more: empty lists and texts, nulls, and where the events stand.
EMPTY: tuple[Any, ...] = (None, [], "", {})


def records() -> list[Any]:
    """Return the recorded chats of the second version that ended well; none where the recordings are not here."""
    if not recorded.FOLDER.is_dir():
        return []
    ours = [one for one in recorded.records("cohere") if "/v2/chat" in ((one["request"] or {}).get("url") or "")]
    return [
        pytest.param(one, id=str(number))
        for number, one in enumerate(ours)
        if status(one) == 200 and b'"ERROR"' not in payload(one)
    ]


def told(value: Any) -> Any:
    """Return plain data without what says nothing."""
    if isinstance(value, dict):
        return {name: inner for name, one in value.items() if (inner := told(one)) not in EMPTY}
    return [told(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("record", records())
def test_a_recorded_chat_is_written_as_it_was(record: dict[str, Any]) -> None:
    """Whole or in events: thoughts, texts, plan, calls, citations, why it ended, both counts of tokens."""
    if is_stream(record):
        decoder, pieces = cohere.ChatEvents("m", include_usage=True), Pieces()
        chunks = [*decoder.feed(payload(record)), *decoder.close()]
        made = [event for chunk in chunks for event in pieces.events(chunk)] + [*pieces.end()]
        wanted = assembled([event for event in events(record) if "type" in event])
        assert told(assembled(json.loads(json.dumps(made)))) == told(wanted)
        return
    wanted = record["response"]["body"]["json"]
    reply = HttpReply(status=200, headers=httpx.Headers(), content=payload(record))
    assert told(json.loads(json.dumps(to_reply(cohere.to_completion(reply, "m"))))) == told(wanted)
