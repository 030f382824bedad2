"""The contract that every provider plugin is held to."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_stability import Stability
from polyport_stability.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = Stability
    exchanges = EXCHANGES
