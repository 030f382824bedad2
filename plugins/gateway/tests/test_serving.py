"""The process: callers that leave, signals, reloads, health, what comes over the wire that is no request."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from .conftest import AUTHORIZED, CHAT, KEY
from .waiting import until


def post(gateway: Any, body: Any = CHAT, path: str = "/v1/chat/completions", **headers: str) -> httpx.Response:
    """Ask."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(gateway.url + path, content=content, headers={**AUTHORIZED, **headers}, timeout=60)


def test_who_leaves_ends_the_providers_work(gateway: Any, well: Any) -> None:
    """The provider's stream is cut when the caller hangs up, so that nobody pays for what nobody reads."""
    well.slow = 1.0
    with httpx.stream(
        "POST", f"{gateway.url}/v1/chat/completions", json={**CHAT, "stream": True}, headers=AUTHORIZED, timeout=60
    ) as r:
        next(r.iter_bytes())
    assert well.broken.wait(60)


def refuses(gateway: Any) -> bool:
    """Whether it takes no new connection."""
    try:
        return httpx.get(f"{gateway.url}/health", timeout=60).status_code != 200
    except httpx.TransportError:
        return True


def test_health_needs_no_key(gateway: Any) -> None:
    """Alive and ready, by every usual name."""
    for path in ("/health", "/health/liveliness", "/health/readiness", "/livez", "/readyz"):
        assert httpx.get(gateway.url + path, timeout=60).status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [(b"{", 400, "no JSON"), (b"[]", 400, "JSON object"), (b"", 400, "$.model"), (b"\xff{}", 400, "JSON"),
     (b'{"model":' + b"[" * 100_000, 400, "JSON"),
     (b"{}", 400, "$.model"), (b'{"model": 3, "messages": []}', 400, "$.model"),
     (b'{"model": "gpt", "messages": [], "timeout": "x"}', 400, "timeout"),
     *((b'{"model": "gpt", "messages": [], "%s": "x"}' % name, 400, name.decode()) for name in (
         b"self", b"function", b"relay", b"attempt"))],
)  # fmt: skip
def test_what_is_no_request_is_told_so(gateway: Any, well: Any, body: bytes, status: int, says: str) -> None:
    """A 400 that names the place; nothing is sent."""
    told = post(gateway, body)
    assert (told.status_code, says in told.json()["error"]["message"]) == (status, True), told.text
    assert not well.asked


def test_bodies_are_bounded(start: Callable[..., Any], upstream: Any) -> None:
    """One that says it is too large is not read, and one that lies is cut off."""
    from_config = {
        "model_list": [{"model_name": "gpt", "params": {"model": "openai/gpt-4o", "api_base": upstream.url}}]
    }
    gateway = start({**from_config, "general_settings": {"max_request_size_mb": 0.001}})
    assert post(gateway, b" " * 2000).status_code == 413
    assert (
        httpx.post(f"{gateway.url}/v1/chat/completions", content=iter([b" " * 600] * 4), timeout=60).status_code == 413
    )
    assert post(gateway, b"{}", **{"content-encoding": "gzip"}).status_code == 415


def test_uploads_of_strangers_are_not_read(gateway: Any) -> None:
    """The key is looked at before half a gigabyte is."""
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as stranger:
        stranger.sendall(b"POST /v1/files HTTP/1.1\r\nhost: x\r\ncontent-length: 400000000\r\n\r\n")
        assert b" 401 " in stranger.recv(1000)


def test_wrong_addresses_and_methods(gateway: Any) -> None:
    """404 and 405, with what there is."""
    assert httpx.get(f"{gateway.url}/v1/embeddings", timeout=60).headers["allow"] == "POST"
    assert httpx.get(f"{gateway.url}/nothing", timeout=60).json()["error"]["code"] == "not_found"
    broken = post(gateway, b"--x\r\nbroken", "/v1/files", **{"content-type": "multipart/form-data; boundary=x"})
    assert broken.status_code == 400


def test_running_streams_finish_after_sigterm(start: Callable[..., Any], upstream: Any, well: Any) -> None:
    """No new request is taken, the ones on their way get their last byte, and the process ends well."""
    gateway = start(config(upstream))
    well.slow = 0.3
    with httpx.stream(
        "POST", f"{gateway.url}/v1/chat/completions", json={**CHAT, "stream": True}, headers=AUTHORIZED, timeout=60
    ) as r:
        pieces = r.iter_bytes()
        first = next(pieces)
        gateway.process.send_signal(signal.SIGTERM)
        until(lambda: refuses(gateway), "no new request is taken")
        assert (first + b"".join(pieces)).endswith(b"data: [DONE]\n\n")
    assert gateway.process.wait(60) in (0, -signal.SIGTERM)


def test_a_reload_takes_a_good_configuration_and_no_bad_one(
    start: Callable[..., Any], upstream: Any, well: Any, tmp_path: Path
) -> None:
    """SIGHUP: a wrong file is told in the log and changes nothing; a right one is served from then on."""
    path = tmp_path / "config.yaml"
    given = config(upstream)
    path.write_text(yaml.safe_dump(given))
    gateway = start(path)
    path.write_text("model_list: [{model_nam: x}]")
    gateway.process.send_signal(signal.SIGHUP)
    assert gateway.says("was not reloaded")
    assert gateway.says("did you mean 'model_name'")
    assert post(gateway).status_code == 200
    given["model_list"][0]["model_name"] = "renamed"
    path.write_text(yaml.safe_dump(given))
    gateway.process.send_signal(signal.SIGHUP)
    assert gateway.says("was reloaded")
    assert post(gateway).status_code == 404
    assert post(gateway, {**CHAT, "model": "renamed"}).status_code == 200


def test_workers_share_a_port_and_are_replaced(start: Callable[..., Any], upstream: Any, well: Any) -> None:
    """A worker that is killed is replaced while the others serve; SIGTERM ends all of them."""
    gateway = start(config(upstream), "--workers", "2")

    def started() -> list[str]:
        return [line for line in gateway.said if "Started server process" in line]

    until(lambda: len(started()) == 2, "both serve")
    worker = int(started()[0].partition("[")[2].partition("]")[0])
    assert post(gateway).status_code == 200
    os.kill(worker, signal.SIGKILL)  # it has been there for a moment only
    assert gateway.says("another takes its place")
    assert [post(gateway).status_code for _ in range(20)] == [200] * 20
    assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("count", "work", "starts", "code", "says"),
    [
        pytest.param(2, "os._exit(3)", 2, 3, "", id="none is ever ready"),
        pytest.param(1, "ready(); os._exit(3)", 4, 3, "Error: 4 workers ended as soon as they served", id="all are"),
        pytest.param(1, "first and ready(); os._exit(3)", 4, 3, "the last one with 3", id="only the first is"),
        pytest.param(1, "ready(); signal.raise_signal(signal.SIGKILL)", 4, 9, "the last one with -9", id="killed"),
    ],
)
def test_workers_that_end_one_after_another_end_the_gateway(
    tmp_path: Path, count: int, work: str, starts: int, code: int, says: str
) -> None:
    """One that served is replaced, however short; where none lasts, the gateway ends with an error that says so."""
    script = f"""
import os, signal, time
from polyport_gateway.server import Workers
def work(ready):
    first = not os.path.exists("starts")
    with open("starts", "a") as file:
        file.write("x")
    while len(open("starts").read()) < {count}:
        time.sleep(0.01)
    {work}
raise SystemExit(Workers({count}, work).run())
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, done.stderr
    assert (tmp_path / "starts").read_text() == "x" * starts
    assert says in done.stderr


def test_a_caller_that_says_nothing_holds_nobody_up(gateway: Any, well: Any) -> None:
    """Half a request does not keep others from being served."""
    host, port = gateway.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        answers: list[int] = []
        threads = [threading.Thread(target=lambda: answers.append(post(gateway).status_code)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [200] * 8


def test_with_a_database_keys_are_made_and_used(
    start: Callable[..., Any], upstream: Any, well: Any, tmp_path: Path
) -> None:
    """`polyport serve` with database_url has accounts: a key may do what it was made for, and spends what is noted."""
    given = config(upstream)
    given["general_settings"]["database_url"] = f"sqlite:///{tmp_path}/gateway.db"
    gateway = start(given)
    made = post(gateway, {"models": ["gpt"]}, "/key/generate")
    assert made.status_code == 200, made.text
    key = {"authorization": f"Bearer {made.json()['key']}"}
    assert post(gateway, CHAT, **key).status_code == 200
    assert httpx.get(f"{gateway.url}/v1/models", headers=key, timeout=60).json()["data"][0]["id"] == "gpt"
    assert post(gateway, CHAT, authorization="Bearer sk-nobody").status_code == 401
    assert gateway.stop() == 0


def config(upstream: Any) -> dict[str, Any]:
    """A configuration with one model."""
    params = {"model": "openai/gpt-4o", "api_base": upstream.url, "api_key": "sk-u"}
    return {"model_list": [{"model_name": "gpt", "params": params}], "general_settings": {"master_key": KEY}}
