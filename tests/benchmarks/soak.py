"""`python -m tests.benchmarks.soak [--minutes 10] [--in-flight 32]`: the gateway under steady load, with its memory.

Of a hundred requests some seventy are plain, twenty are streams, five have a key that is nobody's and five are no
request at all; callers go through fifty customers. What is printed is memory over time, and at the end whether each
request that was answered stands in the ledger once.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import tempfile
import time
from pathlib import Path

from tests.benchmarks.gateway import BODY, MASTER, polyport, post
from tests.benchmarks.upstream import pinned, upstream

#: Seconds between two looks.
EVERY = 15
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
            start = time.monotonic()
            load = subprocess.Popen([*command, "-s", str(script), address], stdout=subprocess.PIPE, text=True)
            while load.poll() is None:
                print(
                    f"| {(time.monotonic() - start) / 60:.2f} | {server.memory():.1f} | {server.cpu():.0f} |",
                    flush=True,
                )
                time.sleep(EVERY)
            print(f"| {(time.monotonic() - start) / 60:.2f} | {server.memory():.1f} | {server.cpu():.0f} |")
            assert load.stdout is not None
            told = re.search(r"REQUESTS (\d+) SOCKET (\d+) STATUS (\d+)", load.stdout.read())
            assert told is not None
            answered, broken, refused = (int(one) for one in told.groups())
            time.sleep(2)  # what is in the journal is drained four times a second
            report = post(server.port, "/spend/report", {"group_by": ["status"]}, MASTER)["results"]
            print(f"\n{answered} answered, {broken} broken connections, {refused} refused as they should be")
            print(f"in the ledger, by status: { {row['status']: row['requests'] for row in report} }")


if __name__ == "__main__":
    main()
