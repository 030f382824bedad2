"""The contract that every provider plugin is held to, over recorded bodies."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_gemini import Gemini
from polyport_gemini.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = Gemini
    exchanges = EXCHANGES
