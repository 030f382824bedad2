"""fal: a thousand models behind one queue. https://fal.ai/docs/documentation/model-apis/inference/queue

A model's name is its endpoint id, `fal_ai/fal-ai/flux/dev`; the owner `fal-ai/` may be left out. What each takes is a
table, `apps.json`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from polyport.auth import Auth
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_fal import errors
from polyport_fal.credentials import FalKey
from polyport_fal.images import Images
from polyport_fal.speech import Speech
from polyport_fal.transcription import Transcriptions
from polyport_fal.video import Videos

__all__ = ["Fal"]


class Fal(Images, Speech, Transcriptions, Videos):
    """fal's queue: every call is a job that is submitted, waited for and fetched."""

    auth: ClassVar[Auth] = FalKey()
    base_url = "https://queue.fal.run"
    request_id_headers = ("x-fal-request-id", "x-request-id")

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Say what fal's typed errors say, and tell a refusal by policy and an overlong prompt from other 422s."""
        return errors.refine(error, reply)
