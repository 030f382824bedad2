"""The contract that every provider plugin is held to."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_deepseek import DeepSeek
from polyport_deepseek.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = DeepSeek
    exchanges = EXCHANGES
