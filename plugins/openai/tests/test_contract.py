"""The contract that every provider plugin is held to."""

from polyport.testing import ProviderContract
from polyport_openai import OpenAI
from polyport_openai.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with what OpenAI answers to it."""

    provider = OpenAI
    exchanges = EXCHANGES
