"""Roll-ups: what requests came to by hour and by day, with how long they took as a histogram of fixed buckets.

Buckets of the same bounds everywhere can be added up, over hours, models and replicas; a percentile is then read off
the sum, to within the width of a bucket: a factor of 1.6.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import add, attrgetter
from typing import TYPE_CHECKING, Any

import msgspec
from sqlalchemy import Table

from polyport_gateway.store import tables
from polyport_gateway.store.tables import BUCKETS

if TYPE_CHECKING:
    from polyport_gateway.lines import Entry

HOUR, DAY = 3600, 86_400
#: What tells rows of one time apart.
DIMENSIONS = (
    "key_id", "user_id", "team_id", "project_id", "customer_id", "model", "provider", "deployment", "operation",
    "status",
)  # fmt: skip
_told_apart = attrgetter(*DIMENSIONS)
_STATUS = DIMENSIONS.index("status")
#: What is added up of each request; the other sums are counts of them.
TAKEN = ("prompt", "completion", "nano")
SUMS = ("requests", "failures", *TAKEN)
SUMMED = (*SUMS, *BUCKETS)
#: Table -> the columns of its rows.
ROLLUPS: dict[Table, tuple[str, ...]] = {
    table: ("id", "at", *DIMENSIONS, *SUMMED, *(("tag",) if "tag" in table.c else ()))
    for table in (tables.hours, tables.days, tables.tag_hours, tables.tag_days)
}
#: Buckets of a power of ten, and where the first one ends, in seconds.
PER_DECADE, FIRST = 5, 0.001
#: Where buckets end; the last one does not.
ENDS = [FIRST * 10 ** (number / PER_DECADE) for number in range(len(BUCKETS) - 1)]

Row = tuple[Any, ...]
#: When a time begins, the dimensions, and the tag, where it is about one.
Kind = tuple[float, Row, str | None]
#: What was taken, then how many were in each bucket.
Counted = dict[Kind, list[int]]
FIRST_BUCKET = len(TAKEN)


def bucket(seconds: float) -> int:
    """Return the number of the bucket that a latency falls into."""
    return bisect_right(ENDS, seconds)


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


class Sums:
    """What entries come to, by time, and by who and what; with tags, and without."""

    def __init__(self) -> None:
        self._hours: Counted = {}
        self._tagged: Counted = {}

    def add(self, entries: Iterable[Entry]) -> None:
        """Count entries."""
        hours, tagged = self._hours, self._tagged
        for one in entries:
            time, kind = one.at // HOUR * HOUR, _told_apart(one)
            _count(hours, (time, kind, None), one)
            if one.tags:
                for tag in one.tags:
                    _count(tagged, (time, kind, tag), one)

    def rows(self) -> dict[Table, list[Row]]:
        """Return the rows of each table, in the order of its columns."""
        hours, tagged = self._hours, self._tagged
        found = {
            tables.hours: hours,
            tables.days: _by_day(hours),
            tables.tag_hours: tagged,
            tables.tag_days: _by_day(tagged),
        }
        return {table: [_row(kind, counts) for kind, counts in sums.items()] for table, sums in found.items()}


def _count(sums: Counted, kind: Kind, entry: Entry) -> None:
    found = sums.get(kind)
    if found is None:
        found = sums[kind] = [0] * (len(TAKEN) + len(BUCKETS))
    found[0] += entry.prompt
    found[1] += entry.completion
    found[2] += entry.nano
    found[FIRST_BUCKET + bucket(entry.seconds)] += 1


def _by_day(hours: Counted) -> Counted:
    days: Counted = {}
    for (at, dimensions, tag), found in hours.items():
        day = (at // DAY * DAY, dimensions, tag)
        known = days.get(day)
        days[day] = found if known is None else list(map(add, known, found))
    return days


def _row(kind: Kind, found: Sequence[int]) -> Row:
    at, dimensions, tag = kind
    mark = hashlib.blake2b(msgspec.json.encode(kind), digest_size=16).hexdigest()
    requests = sum(found[FIRST_BUCKET:])
    failures = requests if dimensions[_STATUS] >= 400 else 0
    return (mark, int(at), *dimensions, requests, failures, *found, *(() if tag is None else (tag,)))
