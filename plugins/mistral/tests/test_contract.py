"""The contract that every provider plugin is held to."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_mistral import Mistral
from polyport_mistral.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = Mistral
    exchanges = EXCHANGES
