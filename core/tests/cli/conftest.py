"""What the command line's tests share: a server that speaks OpenAI's wire, a runner, and a process of its own."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from core.tests.conftest import PATIENCE
from typer.testing import CliRunner, Result

from polyport.cli.app import app

KEY = "sk-never-to-be-seen-0123456789"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24
WAV = b"RIFF\x24\0\0\0WAVEfmt " + b"\0" * 20


def _message(body: dict[str, Any]) -> dict[str, Any]:
    """Answer the last question: say it again, or call a tool where there is one."""
    content = body["messages"][-1]["content"]
    said = content if isinstance(content, str) else json.dumps(content)
    if body.get("tools"):
        name = body["tools"][0]["function"]["name"]
        call = {"id": "t1", "type": "function", "function": {"name": name, "arguments": '{"city": "Paris"}'}}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    return {"role": "assistant", "content": f"You said: {said}"}


class OpenAIStub:
    """Answers like OpenAI. A model called `fail-<status>` fails with it, one called `slow` has three words at once.

    An answer takes `pause` seconds, each further word of `slow` takes `beat`; neither once it is told to `go_on`.
    """

    def __init__(self) -> None:
        self.bodies: list[tuple[str, Any]] = []
        self.statuses = ["queued", "in_progress", "completed"]
        self.pause, self.beat, self.go_on = 0.0, PATIENCE, threading.Event()
        self.together: threading.Barrier | None = None
        self.now = self.most = 0
        self.lock = threading.Lock()
        self.origin = ""

    def __call__(self, exchange: Any) -> None:
        path = exchange.path.removeprefix("/v1")
        if len(exchange.body) < int(exchange.headers.get("content-length", 0)):
            exchange.hang_up()  # the client was killed while it sent
            return
        is_json = exchange.headers.get("content-type") == "application/json"
        body = exchange.json if is_json else exchange.body
        with self.lock:
            self.bodies.append((f"{exchange.method} {path}", body))
        model = body.get("model", "") if is_json else ""
        if model.startswith("fail-"):
            status = int(model[5:])
            exchange.reply({"error": {"message": "as you wish", "code": "c"}}, status, **self._headers(status))
            return
        for pattern, answer in self.ROUTES.items():
            if re.fullmatch(pattern, f"{exchange.method} {path}"):
                answer(self, exchange, body)
                return
        exchange.reply({"error": {"message": f"no route {exchange.method} {path}"}}, 404)

    @staticmethod
    def _headers(status: int) -> dict[str, str]:
        return {"retry_after": "0.01"} if status == 429 else {}

    def chat(self, exchange: Any, body: dict[str, Any]) -> None:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        if self.together is not None:
            self.together.wait()
        self.go_on.wait(self.pause)
        with self.lock:
            self.now -= 1
        if body.get("stream"):
            self._chat_stream(exchange, body)
            return
        choices = [{"index": n, "message": _message(body), "finish_reason": "stop"} for n in range(body.get("n") or 1)]
        usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
        exchange.reply({"id": "c1", "object": "chat.completion", "model": "m", "choices": choices, "usage": usage})

    def _chat_stream(self, exchange: Any, body: dict[str, Any]) -> None:
        message = _message(body)
        exchange.begin()

        def send(finish: str | None = None, **delta: Any) -> None:
            chunk = {"id": "c1", "object": "chat.completion.chunk", "model": "m"}
            choice = {"index": 0, "delta": delta, "finish_reason": finish}
            exchange.piece(b"data: " + json.dumps({**chunk, "choices": [choice]}).encode() + b"\n\n")

        send(role="assistant", content="")
        if body["model"] == "thinker":
            send(reasoning_content="Let me think.")
        for call in message.get("tool_calls") or []:
            first, rest = call["function"]["arguments"][:5], call["function"]["arguments"][5:]
            send(tool_calls=[{**call, "index": 0, "function": {**call["function"], "arguments": first}}])
            send(tool_calls=[{"index": 0, "function": {"arguments": rest}}])
        for number, word in enumerate(re.findall(r"\S+\s*", message["content"] or "")):
            if body["model"] == "slow" and number > 2:
                self.go_on.wait(self.beat)
            send(content=word)
        send("length" if body.get("max_tokens") == 1 else "stop")
        if (body.get("stream_options") or {}).get("include_usage"):
            usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
            chunk = {"id": "c1", "object": "chat.completion.chunk", "model": "m", "choices": [], "usage": usage}
            exchange.piece(b"data: " + json.dumps(chunk).encode() + b"\n\n")
        exchange.piece(b"data: [DONE]\n\n")
        exchange.end()

    def embed(self, exchange: Any, body: dict[str, Any]) -> None:
        data = [
            {"object": "embedding", "index": n, "embedding": [float(len(text)), 1.0, 0.0]}
            for n, text in enumerate(body["input"])
        ]
        exchange.reply({"object": "list", "data": data, "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1}})

    def moderate(self, exchange: Any, body: dict[str, Any]) -> None:
        bad = {"flagged": True, "categories": {"violence": True, "hate": False}}
        scores = {"category_scores": {"violence": 0.9, "hate": 0.1}}
        exchange.reply({"id": "m1", "model": "omni", "results": [{**bad, **scores} for _ in body["input"]]})

    def image(self, exchange: Any, body: Any) -> None:
        if isinstance(body, dict) and body.get("prompt") == "a link":
            data = [{"url": f"{self.origin}/picture.png"}]
        else:
            count = (body.get("n") or 1) if isinstance(body, dict) else 1
            data = [{"b64_json": base64.b64encode(PNG).decode()}] * count
        exchange.reply({"created": 1, "data": data})

    def transcribe(self, exchange: Any, body: bytes) -> None:
        if b"\r\n\r\nsrt\r\n" in body:
            exchange.reply(b"1\n00:00:00,000 --> 00:00:01,000\nhello\n", content_type="text/plain")
        else:
            exchange.reply({"text": "hello world"})

    def translate(self, exchange: Any, body: bytes) -> None:
        exchange.reply({"text": "hello in English"})

    def speak(self, exchange: Any, body: dict[str, Any]) -> None:
        exchange.reply(WAV, content_type="audio/wav" if body.get("response_format") == "wav" else "audio/mpeg")

    def video(self, exchange: Any, body: Any) -> None:
        self.statuses.insert(0, self.statuses[0])
        self.show_video(exchange, body)

    def show_video(self, exchange: Any, body: Any) -> None:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        error = {"message": "too dark"} if status == "failed" else None
        job = {"id": "video_1", "object": "video", "status": status, "progress": 50, "model": "sora-2", "error": error}
        exchange.reply(job)

    def models(self, exchange: Any, body: Any) -> None:
        exchange.reply({"object": "list", "data": [{"id": "m-1", "object": "model", "owned_by": "me"}]})

    def file(self, exchange: Any, body: Any) -> None:
        exchange.reply({"id": "file-1", "object": "file", "bytes": 1, "filename": "x", "purpose": "batch"})

    def batch(self, exchange: Any, body: Any) -> None:
        counts = {"total": 2, "completed": 2, "failed": 0}
        ended = {"status": "completed", "output_file_id": "file-out", "request_counts": counts}
        begun = {"status": "in_progress"}
        exchange.reply({"id": "batch_1", "object": "batch", **(begun if exchange.method == "POST" else ended)})

    def batches(self, exchange: Any, body: Any) -> None:
        exchange.reply({"object": "list", "data": [{"id": "batch_1", "object": "batch", "status": "completed"}]})

    def content(self, exchange: Any, body: Any) -> None:
        exchange.reply(b"the bytes of " + exchange.path.encode())

    ROUTES = {
        "POST /chat/completions": chat,
        "POST /embeddings": embed,
        "POST /moderations": moderate,
        "POST /images/.*": image,
        "POST /audio/transcriptions": transcribe,
        "POST /audio/translations": translate,
        "POST /audio/speech": speak,
        "POST /videos": video,
        "GET /videos/video_1": show_video,
        "GET /models.*": models,
        "POST /files": file,
        "POST /batches.*": batch,
        "GET /batches/batch_1": batch,
        "GET /batches.*": batches,
        "GET /(videos|files)/.*/content": content,
        "GET /picture.png": lambda self, exchange, body: exchange.reply(PNG),
    }


@pytest.fixture
def stub(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[OpenAIStub]:
    """A server that speaks OpenAI's wire, and an environment in which `openai/...` means it."""
    stub = OpenAIStub()
    server = serve(stub)
    stub.origin = server.origin
    for name in ("OPENAI_API_BASE", "ANTHROPIC_API_KEY", "POLYPORT_TRANSPORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")
    yield stub
    stub.go_on.set()


Cli = Callable[..., Result]


@pytest.fixture
def cli() -> Cli:
    """Run a command line in this process: `cli("chat", "openai/m", "Hello")`; nothing of it may hold the key."""

    def run(*arguments: str, input: str | bytes | None = None, code: int = 0) -> Result:
        result = CliRunner().invoke(app, list(arguments), input=input, prog_name="polyport")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert KEY not in result.output
        assert result.exit_code == code, (result.exit_code, result.output)
        return result

    return run


@pytest.fixture
def shell(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command line in a process of its own; `env` and `path` (for PYTHONPATH) add to what it inherits."""

    def run(
        *arguments: str, input: str | None = None, env: dict[str, str] | None = None, path: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, **(env or {}), **({"PYTHONPATH": str(path)} if path else {})}
        done = subprocess.run(
            [sys.executable, "-c", "from polyport.cli import main; main()", *arguments],
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            text=True,
            env=environment,
            cwd=tmp_path,
            timeout=300,
            check=False,
        )
        assert KEY not in done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def plugin(tmp_path: Path) -> Callable[..., Path]:
    """Write an installed distribution, and return the folder it is in: `plugin("acme", entry_points, code)`."""
    folder = tmp_path / "site"

    def write(name: str, entry_points: str, code: str) -> Path:
        info = folder / f"{name.replace('-', '_')}-1.2.3.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2.3\n")
        (info / "entry_points.txt").write_text(entry_points)
        (folder / f"{name.replace('-', '_')}.py").write_text(code)
        return folder

    return write
