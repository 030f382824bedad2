"""Recorded costs, computed again: log lines of each shape, recorded exchanges, and the command."""

from __future__ import annotations

import gzip
import json
import lzma

import pytest
from typer.testing import CliRunner

from polyport import catalog
from polyport.audit import audit
from polyport.catalog import ModelInfo
from polyport.cli.app import app

PRICES = {"input": 2.0, "cached_input": 0.5, "output": 8.0, "flex": {"input": 1.0, "output": 4.0}}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
LINE = {"provider": "openai", "model": "some-model", "usage": USAGE, "cost": 0.0028}


@pytest.fixture(autouse=True)
def known():
    """A model whose prices are known."""
    catalog.register({("openai", "some-model"): ModelInfo(prices=PRICES)})
    yield
    catalog.unregister()


def row(**changes):
    """What the audit says of one line."""
    (found,) = audit([json.dumps({**LINE, **changes})])
    return found


def test_a_cost_that_was_right_is_the_same():
    """To a nano-dollar."""
    found = row()
    assert (found.verdict, found.recorded, found.computed, found.line) == ("same", 0.0028, 0.0028, 1)


def test_a_cost_that_was_wrong_differs():
    """Both are told."""
    found = row(cost=0.003)
    assert (found.verdict, found.recorded, found.computed) == ("differs", 0.003, 0.0028)


@pytest.mark.parametrize(
    "usage",
    [
        {
            "prompt_tokens": 1000,
            "completion_tokens": 100,
            "total_tokens": 1100,
            "prompt_tokens_details": {"cached_tokens": 400},
        },
        {"input": 600, "cached_input": 400, "output": 100},
        {"input_tokens": 600, "cache_read_input_tokens": 400, "output_tokens": 100},
        {
            "input_tokens": 1000,
            "input_tokens_details": {"cached_tokens": 400},
            "output_tokens": 100,
            "total_tokens": 1100,
        },
    ],
    ids=["openai", "buckets", "messages", "responses"],
)
def test_usage_is_read_in_every_shape_it_is_noted_in(usage):
    """The same tokens cost the same."""
    assert row(usage=usage).computed == pytest.approx((600 * 2000 + 400 * 500 + 100 * 8000) / 1e9)


def test_a_service_tier_and_the_time_count():
    """Where the prices go by them."""
    assert row(service_tier="flex").computed == 0.0014
    hours = [{"from": "06:00", "to": "07:00", "input": 1.0, "output": 4.0}]
    catalog.register({("openai", "some-model"): ModelInfo(prices={**PRICES, "hours": hours})})
    assert row(time="2026-11-22T06:30:00+00:00").computed == 0.0014
    assert row(time="2026-11-22T07:00:00+00:00").computed == 0.0028


def test_the_lines_that_our_observers_write_are_read():
    """With the answer they keep; a hit of the cache and a failed call were not billed."""
    usage = {"input": 600, "cached_input": 400, "output": 100}
    line = {"model": "my-group", "answered_by": "some-model", "usage": usage, "started": 0.0, "operation": "chat"}
    found = row(**line, cost=0.0012, response={"service_tier": "flex"})
    assert (found.verdict, found.computed) == ("same", (600 * 1000 + 400 * 500 + 100 * 4000) / 1e9)
    assert row(**{**line, "usage": {**usage, "unattributed": 5}}).verdict == "unknown"
    for over in ({"cache_hit": True}, {"error": {"kind": "Timeout"}}):
        assert not list(audit([json.dumps({**LINE, **over})]))


@pytest.mark.parametrize(
    ("changes", "verdict", "why"),
    [
        ({"model": "unheard-of"}, "unknown", "no price"),
        ({"cost": None}, "new", None),
        ({"usage": None}, "unread", "tells no usage"),
        ({"usage": {"prompt_tokens": "many"}}, "unread", "form"),
        ({"provider": None, "model": "nobodys/model"}, "unread", "No provider"),
    ],
)
def test_what_cannot_be_judged_says_why(changes, verdict, why):
    """One bad line stops nothing."""
    found = row(**changes)
    assert found.verdict == verdict
    assert why is None or why in found.why


def test_lines_that_are_none_are_told_by_number():
    """Empty ones are passed over."""
    rows = list(audit(["", "{", "[]", json.dumps(LINE)]))
    assert [(found.line, found.verdict) for found in rows] == [(2, "unread"), (3, "unread"), (4, "same")]


def exchange(body, endpoint="chat", **response):
    """A recorded exchange."""
    request = {"method": "POST", "url": "https://x.example", "headers": {}, "body": {"json": {"model": "some-model"}}}
    reply = {"status": 200, "headers": {}, "body": body, **response}
    return json.dumps({"provider": "openai", "endpoint": endpoint, "request": request, "response": reply})


CHOICE = {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}
ANSWER = {"id": "c", "object": "chat.completion", "model": "m", "usage": USAGE, "choices": [CHOICE]}
CHUNKS = [
    {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "hi"}, "finish_reason": "stop"}]},
    {"id": "c", "model": "m", "choices": [], "usage": USAGE},
]
SSE = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in CHUNKS) + "data: [DONE]\n\n"


@pytest.mark.parametrize(
    "body", [{"json": ANSWER}, {"sse": SSE}, {"text": json.dumps(ANSWER)}], ids=["json", "sse", "text"]
)
def test_a_recorded_exchange_is_read_by_its_plugin(body):
    """As a live one would be; streams too."""
    (found,) = audit([exchange(body)])
    assert (found.verdict, found.computed, found.operation, found.model) == ("new", 0.0028, "completion", "some-model")


def test_what_a_provider_says_it_charged_is_what_was_recorded():
    """And is compared."""
    (found,) = audit([exchange({"json": {**ANSWER, "usage": {**USAGE, "cost": 0.003}}})])
    assert (found.verdict, found.recorded) == ("differs", 0.003)


def test_a_stream_that_told_no_usage_is_not_guessed_at():
    """An estimate proves nothing."""
    sse = f"data: {json.dumps(CHUNKS[0])}\n\ndata: [DONE]\n\n"
    (found,) = audit([exchange({"sse": sse})])
    assert (found.verdict, found.why, found.computed) == ("unread", "tells no usage", None)


def test_what_is_not_billed_and_what_failed_have_no_row():
    """A list costs nothing, an error neither."""
    assert not list(audit([exchange({"json": {"data": []}}, "models"), exchange({"json": {}}, status=429)]))


# --- the command ---


def run(*arguments):
    """Run the command."""
    return CliRunner().invoke(app, ["audit", *map(str, arguments)])


def test_the_command_shows_what_differs(tmp_path):
    """And ends with 1 if anything does; compressed files are read."""
    good, bad = json.dumps(LINE), json.dumps({**LINE, "cost": 0.003})
    (tmp_path / "good.jsonl").write_text(f"{good}\n")
    (tmp_path / "good.jsonl.gz").write_bytes(gzip.compress(f"{good}\n".encode()))
    (tmp_path / "bad.jsonl.xz").write_bytes(lzma.compress(f"{good}\n{bad}\n".encode()))
    assert run(tmp_path / "good.jsonl", tmp_path / "good.jsonl.gz").exit_code == 0
    done = run(tmp_path / "bad.jsonl.xz")
    assert done.exit_code == 1
    assert "bad.jsonl.xz:2" in done.output
    assert "bad.jsonl.xz:1 " not in done.output
    assert "1 same, 1 differs" in done.output
    assert "Recorded $0.005800, computed $0.005600: 1 calls differ." in done.output


def test_the_command_takes_prices_of_your_own(tmp_path):
    """And shows every call, as a table or as lines of JSON."""
    (tmp_path / "log.jsonl").write_text(json.dumps({**LINE, "cost": 0.0011}))
    (tmp_path / "prices.json").write_text(
        json.dumps({"models": {"openai/some-model": {"prices": {"input": 1, "output": 1}}}})
    )
    done = run(tmp_path / "log.jsonl", "--prices", tmp_path / "prices.json", "--json")
    assert done.exit_code == 0
    assert json.loads(done.output.splitlines()[0])["computed"] == 0.0011
    assert "same" in run(tmp_path / "log.jsonl", "--prices", tmp_path / "prices.json", "--all").output


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    """And a wrong command line."""
    done = run(tmp_path / "none.jsonl")
    assert done.exit_code == 2
    assert "No such file" in done.output
