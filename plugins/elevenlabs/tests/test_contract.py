"""The contract that every provider plugin is held to."""

from __future__ import annotations

from polyport.testing import ProviderContract
from polyport_elevenlabs import ElevenLabs
from polyport_elevenlabs.conformance import EXCHANGES


class TestContract(ProviderContract):
    """Each hook with a recorded answer."""

    provider = ElevenLabs
    exchanges = EXCHANGES
