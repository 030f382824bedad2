"""Lines in a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from polyport import Client
from polyport.dialects.openai import OpenAICompatible
from polyport.errors import BadRequestError
from polyport.middleware.observers import observe
from polyport.observing import Dispatcher
from polyport.observing.callbacks import names
from polyport.testing import Reply, Wire
from polyport_logs import Logs

from .conftest import event

KEY = "sk-never-to-be-seen-0123456789"
ASK = [{"role": "user", "content": f"a secret question with {KEY}"}]


class Fake(OpenAICompatible):
    base_url = "http://fake.invalid/v1"


def read(path: Path) -> list[dict]:
    """Return the lines of a file."""
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("content", [True, False])
def test_calls_are_lines(tmp_path, logs, content):
    """Successes and failures; no key, and content only where it is wanted."""
    path = tmp_path / "deep" / "calls.jsonl"
    dispatcher = Dispatcher()
    layer = observe([logs(path, content=content)], dispatcher=dispatcher)
    good = {"id": "c", "model": "m-1", "choices": [{"index": 0, "message": {"content": "a secret answer"}}]}
    wire = Wire([good, Reply.of({"error": f"{KEY}: a secret question"}, status=400)])
    with Client(http=wire, providers={"fake": Fake}, api_key=KEY, middleware=[layer]) as client:
        client.completion("fake/m", ASK, metadata={"team": "red"}, prices={"input": 1, "output": 1})
        with pytest.raises(BadRequestError):
            client.completion("fake/m", ASK)
    assert dispatcher.flush(10)
    first, second = read(path)
    assert (first["outcome"], first["model"], first["answered_by"]) == ("success", "m", "m-1")
    assert first["metadata"] == {"team": "red"}
    assert first["time"].endswith("+00:00")
    assert (second["outcome"], second["error"]["kind"], second["error"]["status"]) == (
        "failure",
        "BadRequestError",
        400,
    )
    text = path.read_text()
    assert KEY not in text
    assert ("secret" in text) is content


def test_a_full_file_is_rotated(tmp_path, logs):
    """So many backups are kept, the newest is .1; no line is cut, and none is lost but with the oldest file."""
    path = tmp_path / "calls.jsonl"
    one = logs(path, max_bytes=1000, backups=3)
    for number in range(40):
        one.on_success(event(number))
    files = [tmp_path / f"calls.jsonl{tail}" for tail in (".3", ".2", ".1", "")]
    assert all(file.stat().st_size <= 1000 for file in files)
    ids = [line["id"] for file in files for line in read(file)]
    assert ids == [f"e{number}" for number in range(40 - len(ids), 40)]
    assert not (tmp_path / "calls.jsonl.4").exists()


def test_several_writers_share_a_file(tmp_path, logs):
    """Threads stand for processes: each has opened the file for itself."""
    path = tmp_path / "calls.jsonl"
    writers = [logs(path, max_bytes=20_000, backups=100) for _ in range(4)]

    def write(writer: Logs, first: int) -> None:
        for number in range(first, first + 200):
            writer.on_success(event(number))

    threads = [threading.Thread(target=write, args=(one, 1000 * place)) for place, one in enumerate(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ids = [line["id"] for file in tmp_path.glob("calls.jsonl*") if file.suffix != ".lock" for line in read(file)]
    assert sorted(ids) == sorted(f"e{1000 * place + n}" for place in range(4) for n in range(200))


def test_logs_by_name_take_their_place_from_the_environment(tmp_path, monkeypatch):
    """And say what is missing where there is none."""
    assert "logs" in names()
    monkeypatch.delenv("POLYPORT_LOGS_URL", raising=False)
    with pytest.raises(BadRequestError, match="POLYPORT_LOGS_URL"):
        Logs()
    monkeypatch.setenv("POLYPORT_LOGS_URL", str(tmp_path / "calls.jsonl"))
    one = Logs()
    assert one.content is False
    one.on_success(event(1))
    one.close()
    assert [line["id"] for line in read(tmp_path / "calls.jsonl")] == ["e1"]


def test_a_process_that_is_killed_has_written_its_lines(tmp_path):
    """Each line is in the file before the next event is taken."""
    path = tmp_path / "calls.jsonl"
    code = f"""
import os, signal
from polyport_logs import Logs
from plugins.logs.tests.conftest import event
one = Logs({str(path)!r})
for number in range(50):
    one.on_success(event(number))
os.kill(os.getpid(), signal.SIGKILL)
"""
    root = Path(__file__).parents[3]
    env = {**os.environ, "PYTHONPATH": str(root / "tests")}
    subprocess.run([sys.executable, "-c", code], cwd=root, env=env, check=False)
    assert [line["id"] for line in read(path)] == [f"e{number}" for number in range(50)]


def test_a_program_that_only_names_its_observer_logs_every_call(tmp_path):
    """Without a flush and without closing anything: the end of the process sees to that."""
    path = tmp_path / "calls.jsonl"
    code = """
import polyport
from polyport.dialects.openai import OpenAICompatible
from polyport.testing import Wire

class Fake(OpenAICompatible):
    base_url = "http://fake.invalid"

answer = {"id": "c", "model": "m", "choices": [{"index": 0, "message": {"content": "hi"}, "finish_reason": "stop"}]}
client = polyport.Client(http=Wire(answer), providers={"fake": Fake}, callbacks=["logs"])
for number in range(20):
    client.completion(f"fake/{number}", [{"role": "user", "content": "x"}])
"""
    env = {**os.environ, "POLYPORT_LOGS_URL": str(path)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], env=env, check=True)
    assert [line["model"] for line in read(path)] == [str(number) for number in range(20)]
