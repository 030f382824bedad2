"""Google's Gemini API. https://ai.google.dev/api

`to_body`, `to_completion` and `ContentEvents` translate `generateContent` for other doors to Gemini, too.
"""

from __future__ import annotations

from typing import Any, ClassVar

from polyport.auth import AnyOf, ApiKey, Auth, Bearer
from polyport.errors import APIError
from polyport.flow import HttpReply
from polyport.hookspecs import hookimpl
from polyport_gemini import errors
from polyport_gemini.batches import Batches
from polyport_gemini.body import to_body
from polyport_gemini.chat import Chat
from polyport_gemini.embed import Embeddings
from polyport_gemini.images import Images
from polyport_gemini.reply import to_completion
from polyport_gemini.speech import Speech
from polyport_gemini.stream import ContentEvents
from polyport_gemini.tokens import Models, Tokens
from polyport_gemini.transcription import Transcriptions
from polyport_gemini.video import Videos

__all__ = ["ContentEvents", "Gemini", "to_body", "to_completion"]

#: A key goes into a header of its own, a token of OAuth's (`ya29. ...`) into Authorization.
NAMES = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
AUTH = AnyOf(ApiKey(header="x-goog-api-key", env=NAMES), by_prefix={"ya29.": Bearer(env=NAMES)})


class Gemini(Chat, Tokens, Embeddings, Images, Speech, Transcriptions, Videos, Batches, Models):
    """The Gemini API, with a key of Google AI Studio's."""

    auth: ClassVar[Auth] = AUTH
    base_url = "https://generativelanguage.googleapis.com"
    base_env = ("GOOGLE_GEMINI_BASE_URL", "GEMINI_API_BASE")

    @hookimpl
    def refine_error(self, error: APIError, reply: HttpReply, body: Any) -> APIError | None:
        """Tell a bad key, an overlong prompt and a refusal by policy from other 400s."""
        return errors.refine(error, body)
