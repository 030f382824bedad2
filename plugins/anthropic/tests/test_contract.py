"""The contract that every provider plugin is held to."""

from polyport.testing import ProviderContract
from polyport_anthropic import Anthropic
from polyport_anthropic.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with what Anthropic answers to it."""

    provider = Anthropic
    exchanges = EXCHANGES
