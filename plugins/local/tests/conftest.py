"""The models the tests use, each loaded once. All are real; the chat model is pulled into the cache if need be."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from polyport.errors import APIConnectionError
from polyport_local import weights
from polyport_local.e5 import E5
from polyport_local.espeak import Espeak
from polyport_local.llama import Llama, Settings
from polyport_local.whisper import Whisper


@pytest.fixture(scope="session")
def gguf() -> Path:
    """The weights of SmolLM2, out of the cache; fetched once where they are not there."""
    try:
        return weights.pull("smollm2")
    except APIConnectionError as error:
        pytest.skip(f"the weights of SmolLM2 are not in {weights.folder()} and cannot be fetched: {error}")


@pytest.fixture(scope="session")
def smollm2(gguf: Path) -> Iterator[Llama]:
    """The chat model."""
    row = weights.known("smollm2")
    model = Llama(Settings(gguf, context=1024, chat_template=row.chat_template), name="smollm2", sampling=row.sampling)
    yield model
    model.close()


@pytest.fixture(scope="session")
def e5() -> Iterator[E5]:
    """The embedding model."""
    model = E5()
    yield model
    model.close()


@pytest.fixture(scope="session")
def whisper() -> Iterator[Whisper]:
    """The listener."""
    model = Whisper()
    yield model
    model.close()


@pytest.fixture(scope="session")
def espeak() -> Iterator[Espeak]:
    """The speaker."""
    model = Espeak()
    yield model
    model.close()
