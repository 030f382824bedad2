"""What a worker has in memory: it imports what its configuration needs, and not the command line that began it."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from polyport_gateway import config
from polyport_gateway.app import App
from polyport_gateway.assembly import app_of
from polyport_gateway.exchange import WATCH_AFTER
from polyport_gateway.store import AT_ONCE, Store

from .conftest import KEY, Gateway, Upstream, config_for

MODELS = [{"model_name": "gpt", "litellm_params": {"model": "openai/gpt-4o", "api_key": "sk-upstream"}}]
#: Starts a gateway as a server does, and prints what is imported then.
SCRIPT = """
import asyncio, json, sys
from polyport_gateway import assembly, config, server

async def main():
    app = assembly.app_of(config.load(sys.argv[1]))
    for hook in app.starting:
        await hook()
    print(json.dumps(sorted(sys.modules)))
    await app.aclose()

asyncio.run(main())
"""
#: What serves nobody who asks for models over HTTP.
NEEDLESS = {
    "typer",
    "rich",
    "pydantic",
    "httpx",
    "httpcore",
    "trio",
    "anyio",
    "alembic",
    "asyncpg",
    "redis",
    "jwt",
    "sqlalchemy.orm",
}


def imported(folder: Path, **general: object) -> set[str]:
    """Return the modules of a gateway that has started in a folder."""
    path = folder / "config.yaml"
    path.write_text(
        json.dumps({"model_list": MODELS, "general_settings": {"data_dir": str(folder / "data"), **general}})
    )
    environment = {name: value for name, value in os.environ.items() if name != "POLYPORT_TRANSPORT"}
    command = [sys.executable, "-c", SCRIPT, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_a_worker_with_accounts_imports_nothing_needless(tmp_path: Path) -> None:
    """On SQLite, at the first start, which makes the tables, and at the second."""
    for _ in range(2):
        found = imported(tmp_path, master_key="sk-master-1234")
        assert {"aiosqlite", "prometheus_client"} <= found
        assert not NEEDLESS & found
        assert "sqlalchemy.dialects.postgresql" not in found


def test_a_worker_without_accounts_imports_no_database(tmp_path: Path) -> None:
    """Although its configuration may speak of what accounts have."""
    found = imported(tmp_path, default_key_params={"max_budget": 5}, ledger_retention_days=30)
    assert "polyport_gateway.app" in found
    assert not {"sqlalchemy", "aiosqlite", "greenlet", "polyport_gateway.store"} & found
    assert not NEEDLESS & found


def test_the_process_of_the_command_line_becomes_the_one_that_serves(tmp_path: Path) -> None:
    """Under the same id, and without the command line's libraries; what threads free goes back to one heap."""
    (tmp_path / "config.yaml").write_text(json.dumps({"model_list": MODELS}))
    gateway = Gateway(tmp_path, "--config", "config.yaml")
    try:
        process = Path(f"/proc/{gateway.process.pid}")
        if not process.exists():
            pytest.skip("there is no /proc to look at the process by")
        assert not re.search("pydantic", (process / "maps").read_text())
        assert b"MALLOC_ARENA_MAX=1\0" in (process / "environ").read_bytes()
        assert gateway.says("serving gpt: openai/gpt-4o")
    finally:
        assert gateway.stop() == 0


@pytest.mark.parametrize(
    ("text", "told"),
    [("{}", "model_list"), ('{"model_list": [], "modle": 1}', "modle"), ("", "config.yaml")],
    ids=["no models", "unknown key", "no file"],
)
def test_a_configuration_that_cannot_be_used_is_one_line_and_a_code(tmp_path: Path, text: str, told: str) -> None:
    """As the command line tells of any error, though another process has taken its place."""
    if text:
        (tmp_path / "config.yaml").write_text(text)
    command = [sys.executable, "-c", "from polyport.cli import main; main()", "serve", "--config", "config.yaml"]
    done = subprocess.run(
        [*command, "--port", "0"], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Error: ")
    assert told in done.stderr
    assert done.stderr.count("\n") == 1


def test_many_that_ask_sqlite_share_few_connections(tmp_path: Path) -> None:
    """Each connection has a thread and pages of its own; who finds none free waits for one."""

    async def main() -> int:
        store = Store(f"sqlite:///{tmp_path / 'gateway.db'}")
        before = threading.active_count()
        await store.migrate()
        assert await asyncio.gather(*(store.revision() for _ in range(50))) == [0] * 50
        threads = threading.active_count() - before
        await store.aclose()
        return threads

    assert 1 <= asyncio.run(main()) <= AT_ONCE


class Caller:
    """A connection that asks once, by ASGI, and waits for the answer."""

    def __init__(self, **fields: Any) -> None:
        self.body = json.dumps({"model": "gpt", "messages": [{"role": "user", "content": "hi"}], **fields}).encode()
        self.asked = False
        self.sent: list[Any] = []
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        """Return the request, and then nothing until the end."""
        if not self.asked:
            self.asked = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        """Take a part of the answer."""
        self.sent.append(message)

    async def ask(self, app: App) -> int:
        """Return the status of the answer."""
        headers = [(b"authorization", f"Bearer {KEY}".encode()), (b"content-type", b"application/json")]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
                 "headers": headers, "client": ("127.0.0.1", 1), "scheme": "http", "http_version": "1.1"}  # fmt: skip
        await app(scope, self.receive, self.send)
        return int(self.sent[0]["status"])


@pytest.mark.parametrize("stream", [False, True])
def test_a_request_leaves_no_cycles_of_objects(tmp_path: Path, well: Upstream, stream: bool) -> None:
    """However long it took: what it held is gone with it, and does not wait for Python's collector."""
    given = config_for(well)
    given["general_settings"]["data_dir"] = str(tmp_path)

    async def main() -> list[str]:
        app = app_of(config.read(given))
        for hook in app.starting:
            await hook()
        await Caller(stream=stream).ask(app)
        well.slow = 2 * WATCH_AFTER
        gc.collect()
        gc.disable()
        try:
            assert await asyncio.gather(*(Caller(stream=stream).ask(app) for _ in range(5))) == [200] * 5
            await asyncio.sleep(0)
            gc.set_debug(gc.DEBUG_SAVEALL)
            gc.collect()
            return sorted({type(one).__qualname__ for one in gc.garbage if type(one).__module__.startswith("polyport")})
        finally:
            gc.set_debug(0)
            gc.garbage.clear()
            gc.enable()
            await app.aclose()

    assert asyncio.run(main()) == []
