"""`python -m tests.benchmarks [--quick]`: speeds and sizes beside named peers, with the ratios that count.

Peers live in a virtual environment of their own, made on first use in the user's cache. Absolute figures move with the
machine; the ratios, taken in one run, hold.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.upstream import upstream

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEERS = ("openai", "litellm", "httpx", "pyreqwest")
#: What is installed of them: LiteLLM's proxy, too, for `python -m tests.benchmarks.gateway`.
PACKAGES = ("openai", "litellm[proxy]", "httpx", "pyreqwest")
OURS = ("polyport", "polyport[fast]")
ROUNDS = 3

Figures = dict[str, dict[str, dict[str, float]]]


def main(quick: bool) -> None:
    """Measure everything and print the tables; `quick` takes one round of each."""
    peers = peer_python()
    figures: Figures = {}
    with upstream() as url:
        for kind in ("import", "ready", "sync", "async", "stream"):
            for name in (*OURS, *PEERS):
                if kind == "import" and name == "polyport[fast]":
                    continue
                python = sys.executable if name in OURS else peers
                measured = [measure(python, name, kind, url) for _ in range(1 if quick else ROUNDS)]
                figures.setdefault(kind, {})[name] = median(measured)
    figures["core"] = {"polyport": own()}
    figures["install"] = {"polyport": installed()}
    report(figures)


def measure(python: str, name: str, kind: str, url: str) -> dict[str, float]:
    """Run one measurement in a process of its own, on the first core; the upstream has the last."""
    pin = ["taskset", "-c", "0"] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []
    done = subprocess.run(
        [*pin, python, str(HERE / "measure.py"), name, kind, url], capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{name} {kind}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def own() -> dict[str, float]:
    """Return what polyport itself costs, by kind of call, in microseconds."""
    command = [sys.executable, "-m", "tests.benchmarks.own", "--json"]
    found: dict[str, float] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return found


def median(rounds: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def peer_python(name: str = "benchmark-peers", peers: Sequence[str] = PACKAGES) -> str:
    """Return the Python of an environment with peers, made if there is none yet (all of them: some 600 MB)."""
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "polyport" / name
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Installing {', '.join(peers)} into {folder} ...", file=sys.stderr)
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), *peers], check=True)
    return str(python)


def installed() -> dict[str, float]:
    """Return megabytes and distributions of a fresh environment with polyport and polyport-openai."""
    with tempfile.TemporaryDirectory() as folder:
        python = Path(folder) / "bin" / "python"
        subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, folder], check=True)
        packages = [str(ROOT / "core"), str(ROOT / "plugins/openai")]
        subprocess.run(["uv", "pip", "install", "--quiet", "--python", str(python), *packages], check=True)
        site = next((Path(folder) / "lib").glob("python*/site-packages"))
        size = sum(file.stat().st_size for file in site.rglob("*") if file.is_file() and not file.is_symlink())
        compiled = {file.relative_to(site).parts[0] for file in site.rglob("*.so")}
        return {
            "mb": size / 1e6,
            "distributions": len(list(site.glob("*.dist-info"))),
            "compiled": len(compiled - {"msgspec"}),
        }


# --- the table --------------------------------------------------------------------------------------------

COLUMNS = (
    ("import", "ms", "import, ms"),
    ("import", "mb", "RSS after import, MB"),
    ("ready", "ms", "import and a first call, ms"),
    ("ready", "mb", "RSS after it, MB"),
    ("sync", "us", "one sync call, µs (p50)"),
    ("async", "per_s", "async, 64 in flight, calls/s"),
    ("stream", "us", "stream, CPU µs a chunk"),
)


def report(figures: Figures) -> None:
    """Print the figures by client, then the targets of the project with what was reached."""
    names = [*OURS, *PEERS]
    print(f"| | {' | '.join(names)} |")
    print(f"|---|{'---|' * len(names)}")
    for kind, unit, title in COLUMNS:
        cells = [figures[kind][name][unit] if name in figures[kind] else None for name in names]
        print(f"| {title} | {' | '.join('–' if cell is None else number(cell) for cell in cells)} |")
    print()
    print("| target | here | |")
    print("|---|---|---|")
    for title, value, holds in targets(figures):
        print(f"| {title} | {value} | {'✓' if holds else '✗'} |")


def targets(figures: Figures) -> list[tuple[str, str, bool]]:
    """Return (target, what was measured, whether it holds)."""
    imports, sync, aio, stream = (figures[kind] for kind in ("import", "ready", "sync", "async", "stream"))
    size, core = figures["install"]["polyport"], figures["core"]["polyport"]["sync"]
    bare = figures["core"]["polyport"]["bare"]
    import_ratio = imports["litellm"]["ms"] / imports["polyport"]["ms"]
    raw = sync["polyport"]["us"] / sync["httpx"]["us"]
    fast = sync["polyport[fast]"]["us"] / sync["pyreqwest"]["us"]
    faster = sync["litellm"]["us"] / sync["polyport[fast]"]["us"]
    rate, fast_rate = aio["polyport"]["per_s"], aio["polyport[fast]"]["per_s"]
    chunk = stream["polyport[fast]"]["us"]
    return [
        ("import ≤ 1/40 of litellm's, ≤ 60 ms", f"1/{import_ratio:.0f}, {number(imports['polyport']['ms'])} ms",
         import_ratio >= 40 and imports["polyport"]["ms"] <= 60),
        ("RSS after import ≤ 25 MB", f"{number(imports['polyport']['mb'])} MB", imports["polyport"]["mb"] <= 25),
        ("installed ≤ 10 MB, ≤ 12 distributions, nothing compiled but msgspec",
         f"{number(size['mb'])} MB, {size['distributions']:.0f}, {size['compiled']:.0f} more compiled",
         size["mb"] <= 10 and size["distributions"] <= 12 and size["compiled"] == 0),
        ("core's own cost of a call ≤ 30 µs", f"{number(core)} µs, {core / bare:.1f} × bare msgspec", core <= 30),
        ("sync call over httpx no slower than raw httpx", f"{raw:.2f} ×", raw <= 1.0),
        ("sync call over reqwest ≤ 1.5 × raw pyreqwest", f"{fast:.2f} ×", fast <= 1.5),
        ("sync call over reqwest ≥ 20 × faster than litellm", f"{faster:.1f} ×", faster >= 20),
        ("async, 64 in flight, httpx ≥ 1000/s", f"{number(rate)}/s, {rate / aio['httpx']['per_s']:.1f} × stock httpx",
         rate >= 1000),
        ("async, 64 in flight, reqwest ≥ 7000/s",
         f"{number(fast_rate)}/s, {fast_rate / aio['litellm']['per_s']:.0f} × litellm", fast_rate >= 7000),
        ("streamed chunk ≤ 8 µs", f"{number(chunk)} µs, {stream['litellm']['us'] / chunk:.0f} × less than litellm",
         chunk <= 8),
    ]  # fmt: skip


def number(value: float) -> str:
    """Return a figure as short as it is still telling."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round of each")
    main(parser.parse_args().quick)
