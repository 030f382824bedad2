"""`python -m tests.benchmarks.gateway [names] [--seconds 5]`: the gateway beside its peers over one C upstream.

Each server has the first core to itself; the load (`wrk`, Debian: apt install wrk) and the upstream share the last.
Requests a second say how fast it is on this machine at this moment; CPU per request, read from the server's own clock,
holds also on a busy one.

    polyport        key, budget, rpm and tpm limits, SQLite ledger, metrics: everything on, one worker
    polyport-tls    the same by TLS: TLS 1.3, a certificate with an elliptic curve's key (needs openssl)
    polyport-open   the same without accounts: no master key
    echo            the server alone: an ASGI application that answers a constant
    echo-uvicorn    the same on uvicorn's own HTTP protocol
    nginx           proxy_pass to the upstream (Debian: apt install nginx-light): the limit
    litellm         its proxy with a master key, from the peers' environment
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.benchmarks.upstream import pinned, upstream

MASTER = "sk-benchmark-master"
BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "What is the capital of France?"}]}
IN_FLIGHT = (1, 16, 64)
ECHO = """
import sys, uvicorn
from polyport_gateway.protocol import Protocol
BODY = b"x" * 600
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"600")]})
    await send({"type": "http.response.body", "body": BODY})
http = "httptools" if "uvicorn" in sys.argv else Protocol
options = {"loop": "uvloop", "proxy_headers": False, "lifespan": "off", "access_log": False, "log_level": "error"}
uvicorn.run(app, port=int(sys.argv[1]), http=http, **options)
"""
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{ access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  upstream u {{ server {upstream}; keepalive 256; }}
  server {{ listen 127.0.0.1:{port}; keepalive_requests 1000000000;
    location / {{ proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; }} }} }}
"""


class Server:
    """A server under load: its process (with children), its address, and the key that callers send."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, key: str) -> None:
        self.process, self.port, self.key = process, port, key
        self.scheme = "http"

    @property
    def address(self) -> str:
        """What URLs of it begin with."""
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def cpu(self) -> float:
        """Return the CPU seconds that it has used so far."""
        ticks = 0
        for pid in self.pids():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory(self) -> float:
        """Return its resident megabytes."""
        total = 0
        for pid in self.pids():
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return total * os.sysconf("SC_PAGE_SIZE") / 1e6

    def pids(self) -> list[int]:
        """Return the process and its children."""
        found = [self.process.pid]
        for pid in found:
            children = Path(f"/proc/{pid}/task/{pid}/children")
            found += [int(child) for child in children.read_text().split()] if children.exists() else []
        return found


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@contextmanager
def running(command: list[str], port: int, folder: Path, key: str = "", core: int | None = 0) -> Iterator[Server]:
    """Run a server pinned to the first core (None: the last) until the block ends; wait until it takes connections."""
    log = (folder / "server.log").open("wb")
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "NO_PROXY": "*"}
    process = subprocess.Popen(
        [*pinned(core), *command], cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=environment
    )
    try:
        for _ in range(1200):
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended: {(folder / 'server.log').read_text()[-2000:]}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield Server(process, port, key)
    finally:
        process.terminate()
        process.wait(60)
        log.close()


def post(url: str, body: Any, key: str) -> Any:
    """POST JSON and return the JSON of the answer; whatever certificate a server on this machine shows."""
    headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=60, context=ssl._create_unverified_context()) as reply:
        return json.load(reply)


def certificate(folder: Path) -> tuple[str, str]:
    """Make a certificate that vouches for itself, and its key."""
    names = str(folder / "tls.crt"), str(folder / "tls.key")
    made = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "1", "-subj", "/CN=b"]
    subprocess.run(["openssl", "req", *made, "-out", names[0], "-keyout", names[1]], capture_output=True, check=True)
    return names


@contextmanager
def polyport(url: str, folder: Path, *, accounts: bool = True, tls: bool = False) -> Iterator[Server]:
    """Our gateway."""
    general = {"master_key": MASTER, "data_dir": str(folder / "data")} if accounts else {}
    params = {"model": "openai/gpt-4o", "api_base": f"{url}/v1", "api_key": "k"}
    config = {"model_list": [{"model_name": "gpt-4o", "params": params}], "general_settings": general}
    (folder / "config.yaml").write_text(json.dumps(config))
    port = free_port()
    command = [sys.executable, "-c", "from polyport.cli import main; main()", "serve", "--config", "config.yaml"]
    if tls:
        shown, key = certificate(folder)
        command += ["--ssl-certfile", shown, "--ssl-keyfile", key]
    with running([*command, "--port", str(port), "--log-level", "error"], port, folder) as server:
        server.scheme = "https" if tls else "http"
        if accounts:
            limits = {"max_budget": 1e6, "rpm_limit": 10**9, "tpm_limit": 10**9, "budget_duration": "1d"}
            server.key = post(f"{server.address}/key/generate", limits, MASTER)["key"]
        yield server


@contextmanager
def polyport_tls(url: str, folder: Path) -> Iterator[Server]:
    """Our gateway by TLS."""
    with polyport(url, folder, tls=True) as server:
        yield server


@contextmanager
def polyport_open(url: str, folder: Path) -> Iterator[Server]:
    """Our gateway without accounts."""
    with polyport(url, folder, accounts=False) as server:
        yield server


@contextmanager
def echo(_: str, folder: Path, *arguments: str) -> Iterator[Server]:
    """A bare ASGI application."""
    port = free_port()
    with running([sys.executable, "-c", ECHO, str(port), *arguments], port, folder) as server:
        yield server


@contextmanager
def echo_uvicorn(url: str, folder: Path) -> Iterator[Server]:
    """The same on uvicorn's own protocol."""
    with echo(url, folder, "uvicorn") as server:
        yield server


@contextmanager
def nginx(url: str, folder: Path) -> Iterator[Server]:
    """A C proxy that only passes on."""
    port = free_port()
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, upstream=url.removeprefix("http://"), port=port))
    with running(["nginx", "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")], port, folder) as server:
        yield server


@contextmanager
def litellm(url: str, folder: Path) -> Iterator[Server]:
    """LiteLLM's proxy."""
    from tests.benchmarks.__main__ import peer_python

    port = free_port()
    params = {"model": "openai/gpt-4o", "api_base": f"{url}/v1", "api_key": "k"}
    config = {"model_list": [{"model_name": "gpt-4o", "litellm_params": params}]}
    (folder / "config.yaml").write_text(json.dumps({**config, "general_settings": {"master_key": MASTER}}))
    program = Path(peer_python()).with_name("litellm")
    command = [str(program), "--config", "config.yaml", "--port", str(port), "--num_workers", "1"]
    with running(command, port, folder, MASTER) as server:
        yield server


SERVERS: dict[str, Callable[[str, Path], Any]] = {
    "polyport": polyport,
    "polyport-tls": polyport_tls,
    "polyport-open": polyport_open,
    "echo": echo,
    "echo-uvicorn": echo_uvicorn,
    "nginx": nginx,
    "litellm": litellm,
}


def load(server: Server, folder: Path, in_flight: int, seconds: float, *, stream: bool = False) -> dict[str, float]:
    """Put a server under load and return requests a second, p50 in ms, CPU µs a request, MB, and failures."""
    script = folder / "load.lua"
    body = json.dumps({**BODY, "stream": True} if stream else BODY)
    script.write_text(
        f'wrk.method = "POST"\nwrk.body = [[{body}]]\nwrk.headers["content-type"] = "application/json"\n'
        f'wrk.headers["authorization"] = "Bearer {server.key or "k"}"\n'
    )
    url = f"{server.address}/v1/chat/completions"
    command = [*pinned(None), "wrk", "-t1", f"-c{in_flight}", f"-d{seconds:.0f}s", "--latency", "-s", str(script), url]
    before = server.cpu()
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    used = server.cpu() - before
    count = int(re.search(r"(\d+) requests in", told)[1])  # type: ignore[index]
    failed = re.search(r"Non-2xx or 3xx responses: (\d+)", told)
    p50 = re.search(r"50%\s+([\d.]+)(us|ms|s)", told)
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    return {
        "per_second": float(re.search(r"Requests/sec:\s+([\d.]+)", told)[1]),  # type: ignore[index]
        "p50_ms": float(p50[1]) * scale[p50[2]] if p50 else float("nan"),
        "cpu_us": used / max(1, count) * 1e6,
        "mb": server.memory(),
        "failed": float(failed[1]) if failed else 0.0,
    }


def measure(name: str, url: str, seconds: float) -> list[str]:
    """Return the table's rows of one server."""
    rows = []
    with tempfile.TemporaryDirectory(prefix="polyport-gateway-") as place, SERVERS[name](url, Path(place)) as server:
        load(server, Path(place), 4, 1)  # warm
        for in_flight in IN_FLIGHT:
            rows.append(row(f"{name}, {in_flight} in flight", load(server, Path(place), in_flight, seconds)))
        if not name.startswith("echo"):
            rows.append(row(f"{name}, 16 streams", load(server, Path(place), 16, seconds, stream=True)))
    return rows


def row(name: str, found: dict[str, float]) -> str:
    """Return a line of the table."""
    return (
        f"| {name} | {found['per_second']:.0f} | {found['p50_ms']:.2f} | {found['cpu_us']:.0f} "
        f"| {1e6 / max(1, found['cpu_us']):.0f} | {found['mb']:.0f} | {found['failed']:.0f} |"
    )


def main() -> None:
    """Measure the servers that are named, or all that can be run here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", choices=[*SERVERS, []])
    parser.add_argument("--seconds", type=float, default=5)
    arguments = parser.parse_args()
    if shutil.which("wrk") is None:
        raise SystemExit("the load comes from wrk: install it (Debian: apt install wrk)")
    names = arguments.names or [name for name in SERVERS if name != "nginx" or shutil.which("nginx")]
    print(
        "| server | requests/s | p50 ms | CPU µs/request | 1/CPU | MB | failed |\n"
        "| --- | --: | --: | --: | --: | --: | --: |"
    )
    with upstream() as url:
        for name in names:
            for line in measure(name, url, arguments.seconds):
                print(line, flush=True)


if __name__ == "__main__":
    main()
