"""ElevenLabs. https://elevenlabs.io/docs/api-reference/introduction"""

from __future__ import annotations

from typing import Any

from polyport.auth import ApiKey
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_elevenlabs import errors
from polyport_elevenlabs.models import Models
from polyport_elevenlabs.speech import Speech
from polyport_elevenlabs.transcription import Transcriptions

__all__ = ["ElevenLabs"]


class ElevenLabs(Speech, Transcriptions, Models):
    """ElevenLabs' API. Regions with residency are other hosts, given by `api_base`."""

    auth = ApiKey(header="xi-api-key", env=("ELEVENLABS_API_KEY", "ELEVEN_API_KEY"))
    base_url = "https://api.elevenlabs.io"
    base_env = ("ELEVENLABS_API_BASE", "ELEVENLABS_BASE_URL")

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Narrow by ElevenLabs' codes: a spent quota, an unknown voice, a text that is too long or refused."""
        return errors.refine(error, body)
