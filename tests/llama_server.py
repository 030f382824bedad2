"""A real, independent server on 127.0.0.1 that speaks OpenAI's and Anthropic's dialects: llama.cpp's own.

    with serving() as url: ...

Runs in a process of its own, with SmolLM2 from the local plugin's cache (pulled if need be).
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

PROGRAM = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.hostnames, params.port = ["127.0.0.1"], 0
params.verbosity, params.n_ctx, params.n_parallel = -1, 4096, 1
params.warmup = params.fit_params = False
params.cache_ram_mib = 0
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = 1  # two would spin against the tests themselves
server = xllamacpp.Server(params)
print(server.listening_address, flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def serving() -> Iterator[str]:
    """Serve until the block ends and give the base URL, without a path."""
    from polyport_local.weights import pull

    command = [sys.executable, "-c", PROGRAM, str(pull("smollm2"))]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            url = server.stdout.readline().strip()
            _wait_for(f"{url}/health")
            yield url
        finally:
            server.stdin.close()
            server.kill()


def _wait_for(url: str) -> None:
    for _ in range(3000):
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        time.sleep(0.1)
    raise TimeoutError(f"{url} did not become healthy within five minutes")
