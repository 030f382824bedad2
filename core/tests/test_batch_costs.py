"""What batches cost: by the usage that a batch tells, and by its results, wherever they are kept."""

from __future__ import annotations

import json

import httpx
import pytest
from typer.testing import CliRunner

import polyport
from polyport import catalog
from polyport.audit import audit
from polyport.batchcost import batch_cost
from polyport.catalog import ModelInfo
from polyport.cli.app import app
from polyport.errors import BadRequestError
from polyport.types.audio import Binary
from polyport.types.batch import Batch

PRICES = {"input": 2.0, "cached_input": 0.5, "output": 8.0, "batch": {"input": 1.0, "output": 4.0}}
LONG = {**PRICES, "tiers": [{"above": 5000, "input": 4.0}]}
USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
BODY = {"object": "chat.completion", "model": "some-model", "service_tier": "default", "choices": [], "usage": USAGE}
LINE = {"id": "batch_req_1", "custom_id": "a", "response": {"status_code": 200, "body": BODY}, "error": None}
FAILED = {"id": "batch_req_2", "custom_id": "b", "response": {"status_code": 500, "body": {"error": {}}}}
#: 1000 at $1, 100 at $4.
COST = 0.0014


@pytest.fixture(autouse=True)
def known():
    """Models whose prices are known."""
    catalog.register(
        {("openai", "some-model"): ModelInfo(prices=PRICES), ("openai", "long-model"): ModelInfo(prices=LONG)}
    )
    yield
    catalog.unregister()


def told(total: int, model: str = "some-model") -> Batch:
    """A batch that tells what it used: so many tokens of prompts, a quarter of them cached, and 100 of answers."""
    usage = {"input_tokens": total, "input_tokens_details": {"cached_tokens": total // 4}, "output_tokens": 100}
    return Batch(id="batch_1", status="completed", model=model, usage=usage)


def test_a_batch_that_tells_its_usage_has_a_cost():
    """What is cached has no price of its own in this batch, and costs what it does otherwise."""
    assert batch_cost(told(4000), provider="openai") == pytest.approx((3000 * 1000 + 1000 * 500 + 100 * 4000) / 1e9)
    assert batch_cost(Batch(id="batch_1", model="some-model"), provider="openai") is None
    assert batch_cost(told(4000, "unknown-model"), provider="openai") is None


def test_a_sum_of_prompts_does_not_say_how_long_each_was():
    """Where that decides the price it is unknown, unless no prompt can have been long enough."""
    assert batch_cost(told(4000, "long-model"), provider="openai") is not None
    assert batch_cost(told(6000, "long-model"), provider="openai") is None


@pytest.mark.parametrize("form", ["lines", "text", "bytes", "binary", "path", "dicts"])
def test_results_are_read_wherever_they_are_kept(form, tmp_path):
    """A batch's own prices hold, though its answers say `default`; what failed was not billed."""
    text = "\n".join(json.dumps(line) for line in (LINE, FAILED)) + "\n\n"
    path = tmp_path / "results.jsonl"
    path.write_text(text)
    forms = {
        "lines": text.splitlines(),
        "text": text,
        "bytes": text.encode(),
        "binary": Binary(content=text.encode()),
        "path": path,
        "dicts": [LINE, FAILED],
    }
    assert batch_cost(forms[form], provider="openai") == COST


def test_one_result_of_unknown_cost_makes_the_sum_unknown():
    """None, never less than it was."""
    body = {**BODY, "model": "unknown-model"}
    lines = [LINE, {**LINE, "response": {"status_code": 200, "body": body}}]
    assert batch_cost(lines, provider="openai") is None
    assert batch_cost(lines, provider="openai", model="some-model") == 2 * COST
    assert batch_cost(lines, prices={"batch": {"input": 2.0, "output": 8.0}}) == 4 * COST


def test_a_line_that_is_none_is_named():
    """By its number."""
    with pytest.raises(BadRequestError, match="Line 2"):
        batch_cost(f"{json.dumps(LINE)}\n[1]", provider="openai")
    with pytest.raises(BadRequestError, match="Line 1"):
        batch_cost([None])


# --- batches by ordinary calls ---


def run(reply: dict, **options) -> list:
    """What `run_batch` returns for one line that is answered so, and for one that fails."""
    replies = iter([httpx.Response(200, json=reply), httpx.Response(400, json={"error": {"message": "no"}})])
    requests = [
        {"custom_id": name, "url": "/v1/chat/completions", "body": {"messages": [{"role": "user", "content": "Hi"}]}}
        for name in "ab"
    ]
    with polyport.Client(http=httpx.MockTransport(lambda _: next(replies)), api_key="key", num_retries=0) as client:
        return polyport.run_batch(requests, client=client, model="openai/some-model", concurrency=1, **options)


def test_run_batch_says_what_each_ordinary_call_cost(tmp_path):
    """At the standard prices: 1000 at $2, 100 at $8; also of the file that it goes on from."""
    path = tmp_path / "results.jsonl"
    lines = run(BODY, resume=path)
    assert [line.cost for line in lines] == [0.0028, None]
    assert batch_cost(lines) == batch_cost(path) == 0.0028
    (row,) = audit(path.read_bytes().splitlines(), provider="openai")
    assert (row.recorded, row.computed, row.verdict) == (0.0028, 0.0028, "same")


def test_an_ordinary_call_of_unknown_cost_is_not_priced_as_a_batch():
    """Its line has a cost, which is null."""
    catalog.unregister()
    lines = run(BODY)
    assert lines[0].ok
    assert lines[0].to_dict()["cost"] is None
    catalog.register({("openai", "some-model"): ModelInfo(prices=PRICES)})
    assert batch_cost(lines, provider="openai") is None


# --- the audit ---


def test_the_audit_reads_results_of_batches(tmp_path):
    """The command is told whose they are, where the models' names do not say."""
    path = tmp_path / "results.jsonl"
    path.write_text(f"{json.dumps(LINE)}\n{json.dumps(FAILED)}\n")
    result = CliRunner().invoke(app, ["audit", str(path), "-p", "openai", "--all"])
    assert result.exit_code == 0, result.output
    assert "0.0014" in result.output
    (row,) = audit([json.dumps(LINE)])
    assert row.verdict == "unread"
    bare = {**LINE, "response": {"status_code": 200, "body": {**BODY, "usage": None}}}
    (row,) = audit([json.dumps(bare)], provider="openai")
    assert row.why == "tells no usage"
