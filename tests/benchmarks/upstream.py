"""The C upstream of the benchmarks: compiled into a temporary folder, pinned to a core of its own, stopped at the end.

    with upstream() as url:
        httpx.post(f"{url}/v1/chat/completions", json={...})

On one core the client and the provider would share it; `taskset`, where there is one, gives the upstream the last
core this process may use. Run the client on the others (`taskset -c 0 python ...`).
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SOURCE = Path(__file__).with_name("upstream.c")


@contextmanager
def upstream(core: int | None = None) -> Iterator[str]:
    """Serve on a free port and give the base URL, `http://127.0.0.1:<port>`.

    `core` is the core to pin it to; by default the machine's last. Raises FileNotFoundError where there is no C
    compiler.
    """
    with tempfile.TemporaryDirectory(prefix="polyport-upstream-") as folder:
        command = [*pinned(core), str(compile_into(Path(folder)))]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdin is not None
            assert server.stdout is not None
            try:
                yield f"http://127.0.0.1:{int(server.stdout.readline())}"
            finally:
                server.stdin.close()  # the server ends with its stdin


def compile_into(folder: Path) -> Path:
    """Compile the server into `folder` and return the program."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise FileNotFoundError("the benchmark's upstream needs a C compiler: install gcc (Debian: apt install gcc)")
    program = folder / "upstream"
    subprocess.run([compiler, "-O2", "-std=c11", "-o", str(program), str(SOURCE)], check=True)
    return program


def pinned(core: int | None) -> list[str]:
    """Return the start of a command line that keeps a program on `core`, or nothing where that cannot be done."""
    cores = os.cpu_count() or 1
    if shutil.which("taskset") is None or cores < 2:
        return []
    return ["taskset", "-c", str(cores - 1 if core is None else core)]
