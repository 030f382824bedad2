"""The contract that every provider plugin is held to, over recorded bodies."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_vertex import Vertex
from polyport_vertex.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = Vertex
    name = "vertex_ai"
    exchanges = EXCHANGES
