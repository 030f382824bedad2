"""The contract that every provider plugin is held to."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_azure import Azure
from polyport_azure.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = Azure
    exchanges = EXCHANGES
