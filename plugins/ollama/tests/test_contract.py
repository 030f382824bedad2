"""The contract that every provider plugin is held to."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_ollama import Ollama
from polyport_ollama.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = Ollama
    exchanges = EXCHANGES
