"""The contract that every provider plugin is held to, over literal bodies."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_jina import Jina
from polyport_jina.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a literal answer."""

    provider = Jina
    exchanges = EXCHANGES
