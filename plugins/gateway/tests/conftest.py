"""A provider on this machine, and gateways in front of it, each a real process on a real socket."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from .services import Answering, Local, listening

USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
WORDS = ("Well", ", ", "hello")


class Upstream(Local):
    """A provider that speaks OpenAI's dialect. `asked` has (path, headers, body) of every request."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.asked: list[tuple[str, dict[str, str], bytes]] = []
        self.failing: tuple[int, dict[str, str], Any] | None = None
        self.slow = 0.0
        self.broken = threading.Event()

    @property
    def url(self) -> str:
        return f"{self.address}/v1"

    @property
    def last(self) -> Any:
        return json.loads(self.asked[-1][2])


class Handler(Answering):
    """Answers as OpenAI does, as far as the tests ask."""

    server: Upstream

    def serve(self) -> None:
        body = self.body()
        path = self.path.removeprefix("/v1")
        self.server.asked.append((path, dict(self.headers), body))
        if self.server.failing is not None:
            status, headers, told = self.server.failing
            self.send(json.dumps(told).encode(), status, **headers)
        elif path == "/chat/completions" and json.loads(body).get("stream"):
            self.stream(json.loads(body))
        else:
            time.sleep(self.server.slow)
            self.plain(path, body)

    def plain(self, path: str, body: bytes) -> None:
        if path == "/audio/speech":
            return self.send(b"RIFF-sound", **{"content-type": "audio/mpeg"})
        if path == "/audio/transcriptions" and b"\r\n\r\nsrt\r\n" in body:
            return self.send(b"1\n00:00 --> 00:01\nhi\n", **{"content-type": "text/plain"})
        if path.endswith("/content"):
            return self.send(b'{"a": 1}\n', **{"content-type": "application/jsonl"})
        answers: dict[str, Any] = {
            "/chat/completions": {
                "id": "c1", "object": "chat.completion", "created": 1, "model": "gpt-test", "usage": USAGE,
                "choices": [{"index": 0, "message": {"role": "assistant", "content": "".join(WORDS)},
                             "finish_reason": "stop"}], "own_field": 1,
            },
            "/embeddings": {"object": "list", "model": "e", "usage": {"prompt_tokens": 2, "total_tokens": 2},
                            "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0]}]},
            "/moderations": {"id": "m", "model": "mod", "results": [
                {"flagged": True, "categories": {"violence": True}, "category_scores": {"violence": 0.9}}]},
            "/images/generations": {"created": 1, "data": [{"b64_json": "aGk="}]},
            "/images/edits": {"created": 1, "data": [{"b64_json": "aGk="}]},
            "/audio/transcriptions": {"text": "hello"},
            "/files": {"id": "file-1", "object": "file", "bytes": 3, "created_at": 1, "filename": "f.jsonl",
                       "purpose": "batch", "status": "processed"},
            "/batches": {"id": "b1", "object": "batch", "endpoint": "/v1/chat/completions", "status": "validating",
                         "input_file_id": "file-1", "completion_window": "24h", "created_at": 1},
            "/responses": {"id": "r1", "object": "response", "created_at": 1, "model": "gpt-test",
                           "status": "completed", "output": [{"type": "message", "id": "o", "role": "assistant",
                           "status": "completed", "content": [{"type": "output_text", "text": "hello",
                                                               "annotations": []}]}],
                           "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}},
        }  # fmt: skip
        self.send(json.dumps(answers[path]).encode())
        return None

    def stream(self, asked: Any) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        frame = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "gpt-test"}
        deltas = [{"index": 0, "delta": {"content": word}, "finish_reason": None} for word in WORDS]
        try:
            for choice in [*deltas, {"index": 0, "delta": {}, "finish_reason": "stop"}]:
                self.piece(json.dumps({**frame, "choices": [choice]}))
                time.sleep(self.server.slow)
            if (asked.get("stream_options") or {}).get("include_usage"):
                self.piece(json.dumps({**frame, "choices": [], "usage": USAGE}))
            self.piece("[DONE]")
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.broken.set()

    def piece(self, data: str) -> None:
        event = f"data: {data}\n\n".encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(event), event))


class Gateway:
    """A gateway in a process of its own."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        command = [sys.executable, "-c", "from polyport.cli import main; main()", "serve", "--port", "0", *arguments]
        environment = {**os.environ, "POLYPORT_TRANSPORT": "httpx"}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment, cwd=folder)
        self.said: list[str] = []
        self._ready = threading.Event()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if not self._ready.wait(300) or self.process.poll() is not None:
            self.stop()
            raise AssertionError("".join(self.said))
        self.url = re.findall(r"https?://127.0.0.1:\d+", "".join(self.said))[0]

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said.append(line)
            if "startup complete" in line:
                self._ready.set()
        self._ready.set()

    def says(self, text: str, within: float = 60.0) -> bool:
        """Whether a line with this comes."""
        end = time.monotonic() + within
        while time.monotonic() < end:
            if any(text in line for line in self.said):
                return True
            time.sleep(0.02)
        return False

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(60)
        self._reader.join(5)
        if self.process.stderr is not None:
            self.process.stderr.close()
        return code


KEY = "sk-master-1234"
AUTHORIZED = {"authorization": f"Bearer {KEY}"}
CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}]}


def config_for(upstream: Upstream, **sections: Any) -> dict[str, Any]:
    """Return a configuration of one provider, under several names."""
    params = {"api_base": upstream.url, "api_key": "sk-upstream-secret"}
    names = {"gpt": "gpt-4o", "embed": "text-embedding-3-small", "sound": "whisper-1", "voice": "tts-1",
             "moderate": "omni-moderation-latest", "paint": "gpt-image-1"}  # fmt: skip
    models = [{"model_name": n, "litellm_params": {"model": f"openai/{m}", **params}} for n, m in names.items()]
    return {"model_list": models, "general_settings": {"master_key": KEY}, "router_settings": {"num_retries": 0},
            **sections}  # fmt: skip


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    """The provider."""
    with listening(Upstream()) as server:
        yield server


@pytest.fixture
def well(upstream: Upstream) -> Iterator[Upstream]:
    """The provider, well before and after."""
    upstream.asked.clear()
    upstream.broken.clear()
    yield upstream
    upstream.failing, upstream.slow = None, 0.0


@pytest.fixture
def amid_an_hour() -> None:
    """An hour, and so a day and a month, that does not end within a minute: budgets begin anew when theirs do."""
    left = 3600 - time.time() % 3600
    if left < 60:
        time.sleep(left + 0.1)


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Gateway]]:
    """Run `polyport serve` with these arguments; all gateways are stopped at the end."""
    running: list[Gateway] = []

    def begin(*arguments: str) -> Gateway:
        running.append(Gateway(tmp_path_factory.mktemp("folder"), *arguments))
        return running[-1]

    yield begin
    for one in running:
        one.stop()


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory, serve: Callable[..., Gateway]) -> Callable[..., Gateway]:
    """Start gateways of a configuration, or of the file that holds one."""
    pytest.importorskip("polyport_openai", reason="the gateways of these tests stand before OpenAI's dialect")

    def begin(config: Any, *arguments: str) -> Gateway:
        path = config
        if not isinstance(config, Path):
            path = tmp_path_factory.mktemp("gateway") / "config.yaml"
            path.write_text(yaml.safe_dump(config))
        return serve("--config", str(path), *arguments)

    return begin


@pytest.fixture(scope="module")
def gateway(upstream: Upstream, start: Callable[..., Gateway]) -> Gateway:
    """A gateway in front of the provider."""
    return start(config_for(upstream))
