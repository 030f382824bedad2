"""An event as a line of JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec

from polyport.observing import Event

_encode = msgspec.json.Encoder(enc_hook=str).encode


def line_of(event: Event) -> bytes:
    """Return the line, its end included. `time` is when the call began, in UTC; what is not known is left out."""
    time = datetime.fromtimestamp(event.started, UTC).isoformat(timespec="milliseconds")
    known = {name: value for name, value in event.to_dict().items() if value not in (None, "", [], {})}
    line: dict[str, Any] = {"time": time, "outcome": "failure" if event.error else "success", **known}
    return _encode(line) + b"\n"
