"""The contract that every provider plugin is held to."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_groq import Groq
from polyport_groq.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = Groq
    exchanges = EXCHANGES
