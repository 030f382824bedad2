"""The contract that every provider plugin is held to, over bodies from ModelsLab's documentation."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_modelslab import ModelsLab
from polyport_modelslab.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a documented answer."""

    provider = ModelsLab
    exchanges = EXCHANGES
