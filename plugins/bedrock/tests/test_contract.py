"""The contract that every provider plugin is held to, over recorded bodies."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_bedrock import Bedrock
from polyport_bedrock.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = Bedrock
    exchanges = EXCHANGES
