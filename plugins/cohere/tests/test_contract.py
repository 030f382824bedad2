"""The contract that every provider plugin is held to, over literal bodies."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_cohere import Cohere
from polyport_cohere.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a literal answer."""

    provider = Cohere
    exchanges = EXCHANGES
