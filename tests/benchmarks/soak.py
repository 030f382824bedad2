"""`python -m tests.benchmarks.soak [--minutes 10] [--in-flight 32]`: the gateway under steady load, with its memory.

Of a hundred requests some seventy are plain, twenty are streams, five have a key that is nobody's and five are no
request at all; callers go through fifty customers. What is printed is memory over time (at the start, when all is
warm, and in the end), and whether each request that was answered stands in the ledger once.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path

from tests.benchmarks.gateway import BODY, MASTER, Server, polyport, post
from tests.benchmarks.upstream import pinned, upstream

#: Seconds between two looks.
EVERY = 15
#: Minutes after which everything has been used: what is more then, grows.
WARM = 0.5
MIX = """
local plain, stream, key = [[%s]], [[%s]], "%s"
local count = 0
local head = { ["content-type"] = "application/json", ["authorization"] = "Bearer " .. key }
local stranger = { ["content-type"] = "application/json", ["authorization"] = "Bearer sk-nobody" }
wrk.method = "POST"
function request()
    count = count + 1
    local place = count %% 20
    local customer = string.format('"user":"customer-%%d",', count %% 50)
    if place == 0 then return wrk.format(nil, nil, stranger, plain) end
    if place == 10 then return wrk.format(nil, nil, head, '{"model": 5}') end
    local body = place %% 5 == 3 and stream or plain
    return wrk.format(nil, nil, head, "{" .. customer .. body:sub(2))
end
local told = {}
function response(status) told[status] = (told[status] or 0) + 1 end
local threads = {}
function setup(thread) table.insert(threads, thread) end
function done(summary, latency, requests)
    io.write(string.format("REQUESTS %%d SOCKET %%d STATUS %%d\\n", summary.requests,
        summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
        summary.errors.status))
end
"""


def main() -> None:
    """Run, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--in-flight", type=int, default=32)
    arguments = parser.parse_args()
    with upstream() as url, tempfile.TemporaryDirectory(prefix="polyport-soak-") as place:
        folder = Path(place)
        with polyport(url, folder) as server:
            script = folder / "mix.lua"
            script.write_text(MIX % (json.dumps(BODY), json.dumps({**BODY, "stream": True}), server.key))
            address = f"http://127.0.0.1:{server.port}/v1/chat/completions"
            command = [*pinned(None), "wrk", "-t1", f"-c{arguments.in_flight}", f"-d{arguments.minutes * 60:.0f}s"]
            print("| minutes | RSS, MB | CPU, s |\n| --: | --: | --: |")
            seen = [look(server, start := time.monotonic())]
            load = subprocess.Popen([*command, "-s", str(script), address], stdout=subprocess.PIPE, text=True)
            while load.poll() is None:
                time.sleep(min(EVERY, arguments.minutes * 20))
                seen.append(look(server, start))
            assert load.stdout is not None
            told = re.search(r"REQUESTS (\d+) SOCKET (\d+) STATUS (\d+)", load.stdout.read())
            assert told is not None
            answered, broken, refused = (int(one) for one in told.groups())
            time.sleep(2)  # what is in the journal is drained four times a second
            report = post(f"{server.address}/spend/report", {"group_by": ["status"]}, MASTER)["results"]
            print(f"\n{told_of(seen)}")
            print(f"{answered} answered, {broken} broken connections, {refused} refused as they should be")
            print(f"in the ledger, by status: { {row['status']: row['requests'] for row in report} }")


def look(server: Server, start: float) -> tuple[float, float]:
    """Print a row, and return the minutes that have gone by, and the memory."""
    minutes, memory = (time.monotonic() - start) / 60, server.memory()
    print(f"| {minutes:.2f} | {memory:.1f} | {server.cpu():.0f} |", flush=True)
    return minutes, memory


def told_of(seen: list[tuple[float, float]]) -> str:
    """Return what memory came to: before any load, when all was warm, and in the end."""
    warm = next((one for one in seen if one[0] >= WARM), seen[-1])
    most = max(memory for _, memory in seen)
    return (
        f"RSS: {seen[0][1]:.1f} MB at the start, {warm[1]:.1f} after {warm[0]:.1f} minutes, "
        f"{seen[-1][1]:.1f} at the end, {most:.1f} at most"
    )


if __name__ == "__main__":
    main()
