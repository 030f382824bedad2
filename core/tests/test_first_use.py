"""The first calls of a process may come from many threads at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import json, sys, threading
sys.setswitchinterval(1e-6)
import httpx, polyport

usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
reply = {"id": "c", "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}], "usage": usage}
wire = httpx.MockTransport(lambda request: httpx.Response(200, json=reply))
client = polyport.Client(http=wire, api_key="k")
start = threading.Barrier(8)
texts = []

def ask():
    start.wait()
    texts.append(client.completion("openai/m", [{"role": "user", "content": "hello"}]).text)

threads = [threading.Thread(target=ask) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
client.close()
assert texts == ["hi"] * 8, texts
"""


@pytest.mark.parametrize("attempt", range(5))
def test_the_first_calls_of_a_process_may_come_at_once(attempt):
    """msgspec takes a type in on its first use, and two threads doing so at once used to crash the process."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
