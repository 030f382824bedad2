"""Lines in an object store: batched, tried again, and through crashes, each once."""

from __future__ import annotations

import itertools
import json
import logging
import os
import random
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from .conftest import event

pytest.importorskip("obstore", reason='obstore is not installed: pip install "polyport-logs[objects]"')

ROOT = Path(__file__).parents[3]


def until(condition, seconds: float = 20.0) -> bool:
    """Wait until something is so."""
    limit = time.monotonic() + seconds
    while not condition() and time.monotonic() < limit:
        time.sleep(0.01)
    return bool(condition())


def test_lines_go_in_objects_of_a_bounded_size(bucket, logs, tmp_path):
    """By lines, by bytes; below the prefix, by the hour."""
    one = logs("s3://mine/calls", spool=tmp_path, store=bucket.store(), batch_lines=10)
    for number in range(25):
        one.on_success(event(number))
    one.flush()
    assert bucket.ids() == [f"e{number}" for number in range(25)]
    assert [content.count(b"\n") for _, content in sorted(bucket.objects.items())] == [10, 10, 5]
    assert all(re.fullmatch(r"/mine/calls/\d{4}/\d\d/\d\d/\d\d/\S+-\d{6}\.jsonl", name) for name in bucket.objects)
    small = logs("s3://mine/small", spool=tmp_path / "small", store=bucket.store(), batch_bytes=1)
    for number in range(3):
        small.on_success(event(number))
    small.flush()
    assert len([name for name in bucket.objects if "/small/" in name]) == 3


def test_a_batch_does_not_wait_for_ever(bucket, logs, tmp_path):
    """After so many seconds it is stored as it is."""
    one = logs("s3://mine/calls", spool=tmp_path, store=bucket.store(), batch_seconds=0.05)
    one.on_success(event(1))
    assert until(lambda: bucket.ids() == ["e1"])


def test_what_the_store_does_not_take_is_tried_again(bucket, logs, tmp_path, caplog):
    """It is said once, and nothing is lost."""
    one = logs("s3://mine/calls", spool=tmp_path, store=bucket.store(), batch_lines=1)
    bucket.refusing = True
    with caplog.at_level(logging.WARNING, "polyport.observers"):
        for number in range(5):
            one.on_success(event(number))
        assert until(lambda: bucket.put >= 2)
    bucket.refusing = False
    one.flush()
    assert bucket.ids() == [f"e{number}" for number in range(5)]
    assert len(caplog.records) == 1
    assert "hidden-0123456789" not in caplog.text


def test_a_store_that_stays_away_keeps_the_lines_for_the_next_process(bucket, logs, tmp_path):
    """Closing leaves them in the spool."""
    bucket.refusing = True
    one = logs("s3://mine/calls", spool=tmp_path, store=bucket.store())
    one.on_success(event(1))
    closing = threading.Thread(target=one.close)
    closing.start()
    assert until(lambda: bucket.put >= 1)
    closing.join()
    bucket.refusing = False
    logs("s3://mine/calls", spool=tmp_path, store=bucket.store()).flush()
    assert bucket.ids() == ["e1"]


def test_a_local_folder_is_a_store_too(logs, tmp_path):
    """What is stored is no longer in the spool."""
    one = logs(f"file://{tmp_path}/kept", spool=tmp_path / "spool", batch_lines=2)
    for number in range(3):
        one.on_success(event(number))
    one.flush()
    lines = [
        json.loads(line) for path in sorted(tmp_path.glob("kept/**/*.jsonl")) for line in path.read_text().splitlines()
    ]
    assert [line["id"] for line in lines] == ["e0", "e1", "e2"]
    one.close()
    assert [*(tmp_path / "spool").iterdir()] == []


CHILD = """
import sys
from polyport_logs import Logs
from plugins.logs.tests.conftest import event
first, options, spool = int(sys.argv[1]), eval(sys.argv[2]), sys.argv[3]
one = Logs("s3://mine/calls", spool=spool, store=options, batch_lines=3, batch_seconds=0.02)
for number in range(first, first + 100_000):
    one.on_success(event(number))
    print(number, flush=True)
"""


def test_a_process_that_is_killed_loses_no_line_and_stores_none_twice(bucket, logs, tmp_path):
    """kill -9 at any moment, several times over the same spool, in the midst of storing too."""
    told: list[int] = []
    moments = random.Random(1)
    for life in range(6):
        bucket.refusing = life == 2  # one life sees no store at all
        command = [sys.executable, "-c", CHILD, str(life * 1_000_000), repr(bucket.store()), str(tmp_path)]
        child = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        told += [int(line) for line in itertools.islice(child.stdout, moments.randint(1, 400))]
        child.kill()
        told += [int(line) for line in child.stdout if line.endswith("\n")]
        child.stdout.close()
        child.wait()
    bucket.refusing = False
    last = logs("s3://mine/calls", spool=tmp_path, store=bucket.store())
    last.flush()
    stored = bucket.ids()
    assert len(stored) == len(set(stored))
    assert {f"e{number}" for number in told} <= set(stored)
    assert len(stored) - len(told) <= 6  # one a life may have been written and not yet told
    last.close()
    assert [*tmp_path.iterdir()] == []


def test_a_line_that_was_cut_off_is_no_line(bucket, logs, tmp_path):
    """Those before it are stored."""
    folder = tmp_path / "20260101T000000-1-abc"
    folder.mkdir()
    (folder / "000000-20260101T000000.open").write_bytes(b'{"id": "e1"}\n{"id": "e2"}\n{"id": "e')
    logs("s3://mine/calls", spool=tmp_path, store=bucket.store()).flush()
    assert bucket.ids() == ["e1", "e2"]
    assert not folder.exists()


def test_what_belongs_to_a_living_process_is_left_to_it(bucket, logs, tmp_path):
    """Two writers, one spool: neither stores the other's lines."""
    one = logs("s3://mine/calls", spool=tmp_path, store=bucket.store())
    one.on_success(event(1))
    other = logs("s3://mine/calls", spool=tmp_path, store=bucket.store())
    other.flush()
    assert bucket.ids() == []
    one.flush()
    assert bucket.ids() == ["e1"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_writes_for_itself(bucket, tmp_path):
    """Each line once, the parent's and the child's."""
    code = f"""
import os, sys
from polyport_logs import Logs
from plugins.logs.tests.conftest import event
one = Logs("s3://mine/calls", spool={str(tmp_path)!r}, store={bucket.store()!r})
one.on_success(event(1))
child = os.fork()
one.on_success(event(2 if child else 3))
if child:
    os.waitpid(child, 0)
one.flush()
os._exit(0)
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=env, check=True, timeout=60)
    assert sorted(bucket.ids()) == ["e1", "e2", "e3"]
