"""OpenAI's wire format, which dozens of providers share. https://platform.openai.com/docs/api-reference

Each capability is a class; a look-alike inherits those its provider has and says in `quirks` how it differs:

    class Groq(OpenAICompatible, Transcriptions, Speech, Files, Batches):
        auth = Bearer(env="GROQ_API_KEY")
        base_url = "https://api.groq.com/openai/v1"
        quirks = Quirks(unsupported={"chat": {"logprobs": "Groq does not return them"}})

`OpenAICompatible` has what nearly every look-alike has: chat, text completion, embeddings and the list of models.
"""

from __future__ import annotations

from polyport.dialects.openai_audio import Speech, Transcribe, Transcriptions, Translate
from polyport.dialects.openai_chat import Chat, Completions
from polyport.dialects.openai_errors import refine, stream_error
from polyport.dialects.openai_events import ChatEvents, Events, ResponseEvents, ResultEvents
from polyport.dialects.openai_files import Batches, Files, Models
from polyport.dialects.openai_images import Edits, Generations, Images, Variations
from polyport.dialects.openai_messages import History
from polyport.dialects.openai_responses import Respond, Responses
from polyport.dialects.openai_vectors import Embeddings, Moderations, Rerank
from polyport.dialects.openai_videos import Videos
from polyport.dialects.openai_wire import PLAIN, Quirks, Wire, to_body

__all__ = [
    "PLAIN",
    "Batches",
    "Chat",
    "ChatEvents",
    "Completions",
    "Edits",
    "Embeddings",
    "Events",
    "Files",
    "Generations",
    "History",
    "Images",
    "Models",
    "Moderations",
    "OpenAICompatible",
    "Quirks",
    "Rerank",
    "Respond",
    "ResponseEvents",
    "Responses",
    "ResultEvents",
    "Speech",
    "Transcribe",
    "Transcriptions",
    "Translate",
    "Variations",
    "Videos",
    "Wire",
    "refine",
    "stream_error",
    "to_body",
]


class OpenAICompatible(Chat, Completions, Embeddings, Models):
    """A provider that speaks OpenAI's wire."""
