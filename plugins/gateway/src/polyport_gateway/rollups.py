"""Roll-ups: what requests came to by hour and by day, with how long they took as a histogram of fixed buckets.

Buckets of the same bounds everywhere can be added up, over hours, models and replicas; a percentile is then read off
the sum, to within the width of a bucket: a factor of 1.6.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from polyport_gateway.store.tables import BUCKETS, DayRow, HourRow, Rolled, TagDayRow, TagHourRow

if TYPE_CHECKING:
    from polyport_gateway.ledger import Entry

HOUR, DAY = 3600, 86_400
#: What tells rows of one time apart.
DIMENSIONS = (
    "key_id", "user_id", "team_id", "project_id", "customer_id", "model", "provider", "deployment", "operation",
    "status",
)  # fmt: skip
_told_apart = attrgetter(*DIMENSIONS)
SUMS = ("requests", "failures", "prompt", "completion", "nano")
SUMMED = (*SUMS, *BUCKETS)
#: Table -> the length of its times, in seconds.
ROLLUPS: dict[type[Rolled], int] = {HourRow: HOUR, DayRow: DAY, TagHourRow: HOUR, TagDayRow: DAY}
#: Buckets of a power of ten, and where the first one ends, in seconds.
PER_DECADE, FIRST = 5, 0.001


def bucket(seconds: float) -> int:
    """Return the number of the bucket that a latency falls into."""
    if seconds < FIRST:
        return 0
    return min(int(math.log10(seconds / FIRST) * PER_DECADE) + 1, len(BUCKETS) - 1)


def percentile(counts: Sequence[int], share: float) -> float | None:
    """Return the latency, in seconds, below which a share of the requests stayed; None where there were none.

    Within its bucket it is guessed on the logarithmic scale.
    """
    total = sum(counts)
    if not total:
        return None
    wanted, seen = share * total, 0
    for number, count in enumerate(counts):
        if count and seen + count >= wanted:
            within = (wanted - seen) / count
            return float(FIRST * 10 ** ((number - 1 + within) / PER_DECADE))
        seen += count
    return float(FIRST * 10 ** ((len(counts) - 1) / PER_DECADE))


def roll_up(entries: Iterable[Entry], table: type[Rolled]) -> list[dict[str, Any]]:
    """Add entries up by time, and by who and what: rows of a table, without what is zero."""
    length = ROLLUPS[table]
    tagged = hasattr(table, "tag")
    sums: dict[tuple[Any, ...], dict[str, int]] = {}
    for one in entries:
        at = int(one.at // length) * length
        key = (at, *_told_apart(one))
        for tag in one.tags if tagged else (None,):
            row = sums.setdefault((*key, tag), dict.fromkeys(SUMS, 0))
            row["requests"] += 1
            row["failures"] += one.status >= 400
            row["prompt"] += one.prompt
            row["completion"] += one.completion
            row["nano"] += one.nano
            name = BUCKETS[bucket(one.seconds)]
            row[name] = row.get(name, 0) + 1
    return [_row(key, row) for key, row in sums.items()]


def _row(key: tuple[Any, ...], sums: Mapping[str, int]) -> dict[str, Any]:
    at, *dimensions, tag = key
    text = "\x1f".join(map(str, key))
    mark = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    found = {"id": mark, "at": at, **dict(zip(DIMENSIONS, dimensions, strict=True)), **sums}
    return found if tag is None else {**found, "tag": tag}
