"""`polyport keys` and `polyport spend` at a running gateway, as somebody at a terminal uses them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import httpx
import pytest

KEY = "sk-master-1234"

CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(gateway: Any) -> Run:
    """Run `polyport` with the master key."""

    def run(*arguments: str, key: str = KEY, url: str = gateway.url) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", "from polyport.cli import main; main()", *arguments]
        environment = {**os.environ, "POLYPORT_GATEWAY": url, "POLYPORT_GATEWAY_KEY": key}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)

    return run


def chat(gateway: Any, key: str) -> int:
    """Call with a key, and return the status."""
    headers = {"authorization": f"Bearer {key}"}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=CHAT, headers=headers, timeout=60).status_code


def test_a_key_is_made_used_rotated_blocked_and_deleted(run: Run, gateway: Any, well: Any) -> None:
    """The key is printed once, alone on standard output; each step holds at once."""
    made = run("keys", "make", "--name", "ci bot", "--max-budget", "2.5", "--budget-duration", "1d", "-m", "gpt")
    key = made.stdout.strip()
    assert key.startswith("sk-"), made.stderr
    listed = json.loads(run("keys", "list", "--json").stdout)
    one = next(row for row in listed if row["key_alias"] == "ci bot")
    assert (one["max_budget"], one["budget_duration"], one["models"]) == (2.5, "1d", ["gpt"])
    assert key not in json.dumps(listed)
    table = run("keys", "list").stdout
    assert "ci bot" in table
    assert "$2.5" in table
    assert chat(gateway, key) == 200

    fresh = run("keys", "rotate", one["key_id"]).stdout.strip()
    assert (chat(gateway, key), chat(gateway, fresh)) == (401, 200)
    assert run("keys", "block", one["key_id"]).returncode == 0
    assert chat(gateway, fresh) == 403
    assert run("keys", "unblock", one["key_id"]).returncode == 0
    assert chat(gateway, fresh) == 200
    assert json.loads(run("keys", "info", one["key_id"]).stdout)["blocked"] is False
    assert run("keys", "delete", one["key_id"]).returncode == 0
    assert chat(gateway, fresh) == 401


def test_what_was_spent_is_told_by_model_and_day(run: Run, gateway: Any, well: Any) -> None:
    """As a table with a sum, and as JSON."""
    assert chat(gateway, KEY) == 200
    rows: list[dict[str, Any]] = []
    while not rows:  # the journal is drained four times a second
        rows = [row for row in json.loads(run("spend", "--json").stdout) if row["model"] == "gpt"]
    assert rows[0]["requests"] >= 1
    drawn = run("spend", "--by", "model", "--by", "day", "--days", "2")
    table = drawn.stdout
    assert "tokens in" in table, drawn.stderr
    assert "gpt" in table
    assert "$0.00" in table


@pytest.mark.parametrize(
    ("arguments", "more", "code", "said"),
    [
        (["keys", "list"], {"key": ""}, 3, "POLYPORT_GATEWAY_KEY"),
        (["keys", "list"], {"key": "sk-nobody"}, 3, "not one of this gateway's"),
        (["keys", "info", "key-none"], {}, 4, "There is no such key"),
        (["spend", "--by", "moon"], {}, 2, "there are day, model"),
        (["keys", "make", "--budget-duration", "soon"], {}, 2, "soon"),
        (["spend"], {"url": "http://127.0.0.1:9"}, 6, "No gateway answers"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    run: Run, arguments: list[str], more: dict[str, str], code: int, said: str
) -> None:
    """With the exit code that scripts go by, and without a traceback or a key."""
    found = run(*arguments, **more)
    assert (found.returncode, found.stdout) == (code, "")
    assert said in found.stderr
    assert "Traceback" not in found.stderr
    assert KEY not in found.stderr
