"""run_batch: OpenAI's lines in and out, for any provider; each line once, whatever kills the run."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from core.tests.conftest import PATIENCE

import polyport
from polyport.batching import START, BatchLine, Progress
from polyport.journal import Journal
from polyport.types.batch import as_json_lines
from polyport.types.upload import Upload

CHAT = "/v1/chat/completions"


def line(text: str, model: str = "openai/m", url: str = CHAT, **body: Any) -> dict[str, Any]:
    """A batch line that asks for `text`, which is its id too."""
    messages = [{"role": "user", "content": text}]
    return {"custom_id": text, "method": "POST", "url": url, "body": {"model": model, "messages": messages, **body}}


def run(asynchronous: bool, requests: Any, **options: Any) -> list[Any]:
    """Run a batch with a client of its own, in either way."""
    if not asynchronous:
        with polyport.Client(transport="httpx") as client:
            return polyport.run_batch(requests, client=client, **options)

    async def go() -> list[Any]:
        async with polyport.Client(transport="httpx") as client:
            return await polyport.arun_batch(requests, client=client, **options)

    return asyncio.run(go())


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def asynchronous(request: pytest.FixtureRequest) -> bool:
    """Both ways."""
    return bool(request.param)


def test_lines_come_back_in_order_in_openais_shape(stub, asynchronous):
    """id, custom_id, response with status, request id and body."""
    outputs = run(asynchronous, [line("a"), line("b"), line("c")])
    assert [output.custom_id for output in outputs] == ["a", "b", "c"]
    assert outputs[1].to_dict() == {
        "id": "batch_req_2",
        "custom_id": "b",
        "response": {"status_code": 200, "request_id": None, "body": outputs[1].response["body"]},
        "error": None,
        "cost": None,
    }
    assert outputs[1].response["body"]["choices"][0]["message"]["content"] == "You said: b"


def test_the_url_says_which_operation_it_is(stub, asynchronous):
    """With or without /v1; one batch may mix them."""
    embed = {"custom_id": "e", "url": "/v1/embeddings", "body": {"model": "openai/e", "input": ["x"]}}
    judge = {"custom_id": "m", "url": "moderations", "body": {"model": "openai/o", "input": ["x"]}}
    outputs = run(asynchronous, [embed, judge, line("a", url="/chat/completions")])
    assert all(output.ok for output in outputs)
    assert outputs[0].response["body"]["data"][0]["embedding"] == [1.0, 1.0, 0.0]


def test_a_failure_is_the_lines_own_result(stub, asynchronous):
    """An error status keeps its status and what the provider says; the other lines go on."""
    outputs = run(asynchronous, [line("a", "openai/fail-400"), line("b", "openai/fail-503"), line("c")], num_retries=0)
    assert [output.ok for output in outputs] == [False, False, True]
    assert outputs[0].response["status_code"] == 400
    assert outputs[0].response["body"]["error"] == {
        "message": "as you wish",
        "type": "BadRequestError",
        "param": None,
        "code": "c",
    }
    assert outputs[1].response["status_code"] == 503
    assert outputs[0].error is None


def test_what_never_got_an_answer_is_an_error_with_a_code(stub, asynchronous):
    """No connection: there is no status to tell."""
    (output,) = run(asynchronous, [line("a")], api_base="http://127.0.0.1:9/v1", num_retries=0)
    assert output.response is None
    assert output.error["code"] == "APIConnectionError"


def test_a_missing_parameter_is_the_lines_error(stub, asynchronous):
    """A body without messages is a 400, not a crash of the batch."""
    bad = {"custom_id": "bad", "url": CHAT, "body": {"model": "openai/m", "self": 1}}
    outputs = run(asynchronous, [bad, line("b")])
    assert outputs[0].response["status_code"] == 400
    assert "$.messages" in outputs[0].response["body"]["error"]["message"]
    assert outputs[1].ok


def test_a_refused_key_ends_the_run_and_records_nothing(stub, asynchronous, tmp_path):
    """Fifty thousand lines are not burnt on a typo; the run goes on once the key is right."""
    requests = [line(f"{n}", "openai/fail-401") for n in range(50)]
    with pytest.raises(polyport.AuthenticationError):
        run(asynchronous, requests, resume=tmp_path / "r.jsonl", concurrency=2)
    assert (tmp_path / "r.jsonl").read_bytes() == b""
    assert len(stub.bodies) <= 4
    outputs = run(asynchronous, requests, resume=tmp_path / "r.jsonl", model="openai/m")
    assert all(output.ok for output in outputs)


def test_names_of_our_options_in_a_body_belong_to_the_provider(stub, asynchronous):
    """A file cannot say where a key goes; OpenRouter's `provider` object reaches the wire."""
    hostile = line("a", provider={"order": ["x"]}, api_base="http://evil.invalid", timeout=1, api_key="k")
    (output,) = run(asynchronous, [hostile])
    assert output.ok
    sent = stub.bodies[-1][1]
    assert sent["provider"] == {"order": ["x"]}
    assert sent["api_base"] == "http://evil.invalid"


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([line("a"), line("a")], "Line 2 of the batch has the custom_id of another, 'a'"),
        ([line("a", url="/v1/nonsense")], "a batch can POST /v1/chat/completions"),
        ([line("a", stream=True)], "asks for a stream"),
        ([{"url": CHAT}], "Line 1 of the batch: Object missing required field `body`"),
        ([line("a"), '{"url": 1}'], "Line 2 of the batch: Expected `str`, got `int` at $.url"),
        (["{"], "Line 1 of the batch is not JSON"),
        ([b"\xff"], "Line 1 of the batch is not JSON"),
    ],
)
def test_a_line_that_cannot_be_run_is_named_before_anything_is_sent(stub, asynchronous, requests, said):
    """The whole file is read first."""
    with pytest.raises(polyport.BadRequestError, match=said.replace("[", r"\[").replace("$", r"\$")):
        run(asynchronous, requests)
    assert stub.bodies == []


def test_lines_may_come_from_anywhere(stub, tmp_path):
    """A path (JSON lines, a JSON array, with a byte order mark), an open file, a generator, values."""
    one, two = json.dumps(line("a")), json.dumps(line("b"))
    (tmp_path / "lines.jsonl").write_text(f"\ufeff{one}\n\n{two}\r\n")
    (tmp_path / "array.json").write_text(f"[{one},\n{two}]")
    with (tmp_path / "lines.jsonl").open(encoding="utf-8-sig") as file:
        sources = [str(tmp_path / "lines.jsonl"), tmp_path / "array.json", file, (raw.encode() for raw in (one, two))]
        for source in [*sources, [BatchLine(**line("a")), line("b")]]:
            assert [output.custom_id for output in run(False, source)] == ["a", "b"]
    assert as_json_lines(Upload("x.json", f"[{one}]".encode())).read().count(b"\n") == 1


def test_lines_without_an_id_are_known_by_their_place(stub, tmp_path):
    """They are resumed too."""
    requests = [{**line("a"), "custom_id": None}, {**line("b"), "custom_id": None}]
    run(False, requests, resume=tmp_path / "r.jsonl")
    outputs = run(False, requests, resume=tmp_path / "r.jsonl")
    assert [output.response["body"]["choices"][0]["message"]["content"][-1] for output in outputs] == ["a", "b"]
    assert len(stub.bodies) == 2


def test_progress_counts_every_line(stub, asynchronous, tmp_path):
    """Done, failed, resumed and total; the first report is where the run begins."""
    seen: list[Progress] = []
    requests = [line("a"), line("b", "openai/fail-400"), line("c")]
    run(asynchronous, requests[:1], resume=tmp_path / "r.jsonl")
    run(asynchronous, requests, resume=tmp_path / "r.jsonl", progress=seen.append)
    assert [report.done for report in seen] == [1, 2, 3]
    assert seen[-1] == Progress(done=3, failed=1, resumed=1, total=3)


def test_as_many_at_once_as_asked_for(stub, asynchronous):
    """Each of four waits for the other three, and while they take their time no fifth comes."""
    stub.together, stub.pause = threading.Barrier(4, timeout=PATIENCE), 0.2
    run(asynchronous, [line(f"{n}") for n in range(8)], concurrency=4)
    assert stub.most == 4


def test_failed_lines_are_run_again_on_request(stub, asynchronous, tmp_path):
    """retry_failed takes them out of the file first: it never holds a line twice."""
    requests = [line("a"), line("b", "openai/fail-400")]
    run(asynchronous, requests, resume=tmp_path / "r.jsonl")
    assert not run(asynchronous, requests, resume=tmp_path / "r.jsonl")[1].ok
    assert len(stub.bodies) == 2
    outputs = run(asynchronous, requests, resume=tmp_path / "r.jsonl", retry_failed=True, model="openai/m")
    assert all(output.ok for output in outputs)
    assert len(stub.bodies) == 3
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize("cut", range(1, 60, 7))
def test_a_torn_last_line_is_as_if_it_had_never_been(stub, tmp_path, cut):
    """The line is run again, and the file is whole afterwards."""
    results = tmp_path / "r.jsonl"
    run(False, [line("a"), line("b")], resume=results)
    whole = results.read_bytes()
    results.write_bytes(whole[:-cut])
    assert all(output.ok for output in run(False, [line("a"), line("b")], resume=results))
    assert sorted(json.loads(one)["custom_id"] for one in results.read_text().splitlines()) == ["a", "b"]


@pytest.mark.parametrize(
    "content", [b"notes", b"notes\n", b'{"a": 1}', b'{"a": 1}\n', b'{"custom_id":"a","url":"/v1"}\n']
)
def test_somebody_elses_file_is_never_touched(stub, tmp_path, content):
    """A resume file that holds something else is an error: also the batch's own input."""
    (tmp_path / "notes").write_bytes(content)
    with pytest.raises(polyport.BadRequestError, match="notes"):
        run(False, [line("a")], resume=tmp_path / "notes")
    assert (tmp_path / "notes").read_bytes() == content
    assert stub.bodies == []


def test_results_of_other_lines_stay_in_the_file(stub, tmp_path):
    """A shorter batch over the same file of results returns its own lines, in its own order."""
    run(False, [line("a"), line("b"), line("c")], resume=tmp_path / "r.jsonl")
    assert [output.custom_id for output in run(False, [line("c"), line("a")], resume=tmp_path / "r.jsonl")] == [
        "c",
        "a",
    ]
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 3


def test_a_cancelled_run_leaves_a_file_to_go_on_from(stub, tmp_path):
    """Cancelled after the first results, none of them is asked for again."""
    stub.pause = 0.05
    requests = [line(f"{n}") for n in range(40)]

    async def go() -> None:
        async with polyport.Client(transport="httpx") as client:
            task = asyncio.create_task(
                polyport.arun_batch(requests, resume=tmp_path / "r.jsonl", concurrency=4, client=client)
            )
            while len(_whole_lines(tmp_path / "r.jsonl")) < 3:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(go())
    done = {json.loads(one)["custom_id"] for one in (tmp_path / "r.jsonl").read_text().splitlines()}
    assert 0 < len(done) < 40
    stub.bodies.clear()
    assert all(output.ok for output in run(True, requests, resume=tmp_path / "r.jsonl"))
    asked = {body["messages"][0]["content"] for _, body in stub.bodies}
    assert not asked & done


SCRIPT = """
import asyncio, json, sys
import polyport
options = dict(resume=sys.argv[2], concurrency=int(sys.argv[3]), transport="httpx")
with polyport.Client(transport="httpx") as client:
    options = dict(resume=sys.argv[2], concurrency=int(sys.argv[3]), client=client)
    if sys.argv[4] == "sync":
        polyport.run_batch(sys.argv[1], **options)
    else:
        asyncio.run(polyport.arun_batch(sys.argv[1], **options))
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["sync", "async"])
def test_killed_at_any_instant_no_line_is_lost_or_done_twice(stub, tmp_path, way):
    """kill -9 at random instants until it is done: what was recorded is never asked for again, all is there once."""
    chance = random.Random(way)
    count = 300
    stub.pause = 0.01
    requests, results = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    requests.write_text("".join(json.dumps(line(f"{n}")) + "\n" for n in range(count)))
    kills = 0
    while True:
        recorded = {json.loads(one)["custom_id"] for one in _whole_lines(results)}
        stub.bodies.clear()
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(requests), str(results), "8", way])
        instant = chance.uniform(0.0, 0.25) if kills < 8 else None
        _wait_for(lambda process=process: stub.bodies or process.poll() is not None)
        if instant is not None:
            time.sleep(instant)
            process.kill()
        code = process.wait(300)
        asked = [body["messages"][0]["content"] for _, body in stub.bodies]
        assert not recorded & set(asked), "a line that was recorded was asked for again"
        if code == 0:
            break
        kills += 1
    assert kills >= 3
    outputs = [json.loads(one) for one in results.read_text().splitlines()]
    assert sorted(int(output["custom_id"]) for output in outputs) == list(range(count))
    for output in outputs:
        assert output["response"]["body"]["choices"][0]["message"]["content"] == f"You said: {output['custom_id']}"


def _whole_lines(path: Path) -> list[bytes]:
    return path.read_bytes().split(b"\n")[:-1] if path.exists() else []


def _wait_for(condition: Any) -> None:
    limit = time.monotonic() + PATIENCE
    while not condition() and time.monotonic() < limit:
        time.sleep(0.002)


# --- the journal ---


def test_appends_of_many_threads_are_whole_lines(tmp_path):
    """Every line is there once when append has returned."""
    journal = Journal(tmp_path / "j", START)

    def write(thread: int) -> None:
        for number in range(20):
            journal.append(START + f'{thread}-{number}"}}'.encode())

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    journal.close()
    lines = (tmp_path / "j").read_bytes().splitlines()
    assert len(lines) == len(set(lines)) == 160
    with pytest.raises(OSError, match="closed"):
        journal.append(b"late")


def test_a_full_disk_stops_the_run(stub):
    """The error comes through, and nothing more is asked for."""
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError, match="No space left"):
        run(False, [line(f"{n}") for n in range(30)], resume="/dev/full", concurrency=2)
    assert len(stub.bodies) <= 6
