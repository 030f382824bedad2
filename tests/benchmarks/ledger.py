"""`python -m tests.benchmarks.ledger [database_url] [--rows 2000]`: what a request costs the ledger.

In microseconds of CPU a row, all threads of this process together: `record` makes an entry of a settled call and puts
it into the journal, `drain` moves it into the database with its roll-ups. Of all rounds the fastest counts, so that it
holds on a busy machine, and the median. SQLite is always measured, on a new file that `--grown` rows are put into; any
other database (an empty one) by its URL, without what its server spends.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from polyport_gateway.gate import new_id
from polyport_gateway.journal import Journal
from polyport_gateway.ledger import Ledger
from polyport_gateway.lines import Entry
from polyport_gateway.store import Store

#: Rows of a drain that fills a database up.
FILLING = 10_000


def entry(key: int) -> Entry:
    """Return what a plain chat with a key comes to."""
    return Entry(
        id=new_id(),
        at=time.time(),
        key_id=f"key_{key:020x}",
        model="gpt-4o",
        provider="openai",
        upstream="gpt-4o-2024-08-06",
        deployment="gpt-4o:1f2e3d4c",
        operation="completion",
        surface="openai",
        prompt=14,
        completion=7,
        usage={"input": 14, "output": 7},
        nano=105_000,
        reserved=1_234_567,
        seconds=0.0123456789,
        attempts=1,
        upstream_id="req_0123456789abcdef0123456789abcdef",
    )


async def measure(url: str, rows: int, rounds: int, keys: int, grown: int) -> Iterator[tuple[str, float, float]]:
    """Return (what, the fastest, the median) of a database, in microseconds a row."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(url or f"sqlite:///{folder}/gateway.db")
        await store.migrate()
        ledger = Ledger(store, Journal(Path(folder) / "journal"))
        for _ in range(grown // FILLING):
            record(ledger, FILLING, keys)
            await ledger.drain()
        recorded, drained = [], []
        for _ in range(rounds):
            start = time.process_time()
            record(ledger, rows, keys)
            between = time.process_time()
            if await ledger.drain() != rows:
                raise SystemExit("The ledger did not get all rows.")
            end = time.process_time()
            recorded.append((between - start) / rows * 1e6)
            drained.append((end - between) / rows * 1e6)
        await ledger.aclose()
        await store.aclose()
    measured = {"record": recorded, "drain": drained}
    return iter((what, min(figures), statistics.median(figures)) for what, figures in measured.items())


def record(ledger: Ledger, rows: int, keys: int) -> None:
    """Settle so many calls, of the keys in turn."""
    for number in range(rows):
        ledger.record(entry(number % keys))


def main() -> None:
    """Measure what is asked for, and print the table."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.ledger")
    parser.add_argument("url", nargs="?", help="a database beside SQLite: postgresql://user@host/name")
    parser.add_argument("--rows", type=int, default=2000, help="rows of one drain")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--keys", type=int, default=1, help="keys that call in turn: each has roll-ups of its own")
    parser.add_argument("--grown", type=int, default=0, help="rows that are there before")
    given = parser.parse_args()
    print("| database | | fastest, CPU µs a row | median |\n|---|---|---|---|")
    for name, url in (("SQLite", ""), *(((given.url.partition(":")[0], given.url),) if given.url else ())):
        for what, least, median in asyncio.run(measure(url, given.rows, given.rounds, given.keys, given.grown)):
            print(f"| {name} | {what} | {least:.1f} | {median:.1f} |")


if __name__ == "__main__":
    main()
