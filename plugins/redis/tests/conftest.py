"""A real Redis on 127.0.0.1, started for the tests and stopped after them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_server import free_port

#: Another program than the one on the path, such as a Redis 8 that knows vectors.
PROGRAM = os.environ.get("POLYPORT_REDIS_SERVER") or shutil.which("redis-server")


class Server:
    """A Redis that keeps nothing on disk. It can be stopped and started again on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        options = {"port": str(self.port), "bind": "127.0.0.1", "dir": str(self.folder), "save": "", "appendonly": "no"}
        command = [str(PROGRAM), *(word for name, value in options.items() for word in (f"--{name}", value))]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        said = []
        while line := self._process.stdout.readline():
            said.append(line)
            if "Ready to accept connections" in line:
                return
        raise AssertionError("".join(said))

    def pause(self) -> None:
        """Have it answer nobody, and forget nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Have it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A running Redis; without one installed, these tests are skipped."""
    if PROGRAM is None:
        pytest.skip("redis-server is not installed: apt-get install redis-server")
    made = Server(tmp_path)
    made.start()
    yield made
    made.stop()
