"""A line of the journal: what is kept of a request, which is a row of the ledger later."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import msgspec

#: More than any request comes to, and what every database, and JSON, can count to: a line beyond it cannot be read.
LARGEST = 1 << 53

Amount = Annotated[int, msgspec.Meta(ge=-LARGEST, le=LARGEST)]


class Whose(msgspec.Struct, frozen=True):
    """Whose something is: the ids of all that it counts for, "" for none."""

    key_id: str = ""
    user_id: str = ""
    team_id: str = ""
    project_id: str = ""
    customer_id: str = ""


#: What a budget, or a report, can be about -> its column.
ABOUT = {name.removesuffix("_id"): name for name in (*Whose.__struct_fields__, "model", "provider")}


class Entry(Whose, frozen=True, omit_defaults=True, gc=False):
    """What is kept of a request: no prompt, no answer, no key. `at` is when it ended; `seconds` how long it took.

    `model` is what the caller asked for, `upstream` what answered; `usage` are disjoint buckets of tokens; `reserved`
    is in nano-dollars, as `nano` is. `upstream_id` is the provider's name of the request. All fields but the last two
    are columns, in this order: first those that are bound as they are, then flags, then JSON.
    """

    id: str = ""
    at: float = 0.0
    model: str = ""
    provider: str = ""
    upstream: str = ""
    deployment: str = ""
    operation: str = ""
    surface: str = ""
    status: int = 200
    error: str = ""
    message: str = ""
    prompt: Amount = 0
    completion: Amount = 0
    nano: Amount = 0
    reserved: Amount = 0
    seconds: float = 0.0
    first_byte: float | None = None
    attempts: int = 0
    upstream_id: str = ""
    stream: bool = False
    estimated: bool = False
    cache_hit: bool = False
    usage: Mapping[str, int] = {}
    failures: Sequence[Mapping[str, Any]] = ()
    adaptations: Sequence[Mapping[str, Any]] = ()
    guardrails: Sequence[Mapping[str, Any]] = ()
    tags: Sequence[str] = ()
    #: What was made for the caller, and is its own: rows of the table of those. It is in no column.
    made: Sequence[Mapping[str, Any]] = ()
    #: Whether it was spent without a reservation: accounts are told when it is in the ledger.
    charged: bool = False


def clean(text: str | None, length: int = 255) -> str:
    """Return a text that every database takes: callers choose some of these, and one must not stop the drain."""
    if text is None or (len(text) <= length and text.isascii() and "\x00" not in text):
        return text or ""
    return text.replace("\x00", "").encode(errors="replace").decode()[:length]
