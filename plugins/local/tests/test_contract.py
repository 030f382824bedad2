"""The contract that every provider is held to."""

import pytest

from polyport.testing import ProviderContract
from polyport_local import Local
from polyport_local.conformance import EXCHANGES
from polyport_local.engines import Engines, Load


@pytest.fixture(scope="module", autouse=True)
def loaded(gguf):
    """Keep the models in memory: every check closes its provider."""
    engines = Engines()
    engines.llama("smollm2", Load(n_ctx=512)).complete({"prompt": "x", "max_tokens": 1})
    engines.e5("e5").embed(["x"])
    engines.whisper("whisper-tiny.en")
    yield
    engines.close()


class TestContract(ProviderContract):
    provider = Local
    exchanges = EXCHANGES
