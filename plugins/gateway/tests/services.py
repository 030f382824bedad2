"""Real servers of a test's own: over HTTP in this process; PostgreSQL and Redis, as Debian packages them."""

from __future__ import annotations

import glob
import http.server
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from local_server import LocalServer as Local, free_port

Server = TypeVar("Server", bound=Local)


class Answering(http.server.BaseHTTPRequestHandler):
    """Has `serve` answer whatever is asked, and writes no log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: object) -> None: ...

    def parse_request(self) -> bool:
        if not super().parse_request():
            return False
        setattr(self, f"do_{self.command}", self.serve)
        return True

    def serve(self) -> None:
        """Answer one request."""
        raise NotImplementedError

    def body(self) -> bytes:
        """Return what came with it."""
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        """Answer completely, with JSON unless the headers say otherwise."""
        self.send_response(status)
        for name, value in ({"content-type": "application/json"} | headers).items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class PostgreSQL:
    """A PostgreSQL on a port of its own. It runs as `postgres` where we are root, which it refuses to be."""

    def __init__(self, folder: str, programs: str) -> None:
        self._programs, self._folder = programs, folder
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user)
        self.port = free_port()
        self.url = f"postgresql://keeper@127.0.0.1:{self.port}/postgres"
        self._run("initdb", "-U", "keeper", "-A", "trust", "-E", "UTF8", "--locale", "C")

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = f"-c listen_addresses=127.0.0.1 -c port={self.port} -c unix_socket_directories="
        self._run("pg_ctl", "-w", "-l", f"{self._folder}.log", "-o", options, "start")

    def stop(self) -> None:
        """Stop it at once, as a machine that goes down would."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    def _run(self, program: str, *arguments: str) -> None:
        command = [str(Path(self._programs) / program), "-D", f"{self._folder}/data", *arguments]
        command = [f"{self._folder}/log" if one == f"{self._folder}.log" else one for one in command]
        done = subprocess.run(
            command, user=self._user, cwd=self._folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


class Redis:
    """A Redis on a port of its own, which keeps nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = f"--port {self.port} --bind 127.0.0.1 --save --appendonly no --dir {self.folder}".split()
        options.insert(options.index("--save") + 1, "")
        self.process = subprocess.Popen(["redis-server", *options], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if "Ready to accept connections" in line:
                return
        raise AssertionError("redis-server did not start")

    def stop(self) -> None:
        """Stop it at once, and all it knew is gone."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            assert self.process.stdout is not None
            self.process.stdout.close()
            self.process = None


@contextmanager
def listening(server: Server) -> Iterator[Server]:
    """Have a server answer, in a thread of its own."""
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def postgres() -> Iterator[PostgreSQL]:
    """Run a PostgreSQL; skip the test where there is none."""
    programs = sorted(glob.glob("/usr/lib/postgresql/*/bin"))
    if not programs:
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        made = PostgreSQL(folder, programs[-1])
        made.start()
        try:
            yield made
        finally:
            made.stop()


@contextmanager
def redis(folder: Path) -> Iterator[Redis]:
    """Run a Redis; skip the test where there is none."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    made = Redis(folder)
    made.start()
    try:
        yield made
    finally:
        made.stop()
