"""The contract that every provider plugin is held to, over bodies from fal's documentation."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_fal import Fal
from polyport_fal.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a documented answer."""

    provider = Fal
    exchanges = EXCHANGES
    name = "fal_ai"
