"""The contract that every provider plugin is held to."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_huggingface import HuggingFace
from polyport_huggingface.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = HuggingFace
    exchanges = EXCHANGES
