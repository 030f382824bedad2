"""Chat over `generateContent`."""

from __future__ import annotations

from polyport.flow import Flow, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport.wire.dates import created_at
from polyport_gemini.body import to_body
from polyport_gemini.reply import to_completion
from polyport_gemini.sound import as_asked
from polyport_gemini.stream import WIRE, ContentEvents
from polyport_gemini.wire import ContentWire


class Chat(ContentWire):
    """POST {model}:generateContent and :streamGenerateContent. https://ai.google.dev/api/generate-content"""

    def wire_of(self, model: str) -> str:
        """All of them are Gemini's."""
        return WIRE

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Answer a conversation."""
        body = yield from to_body(request, self.door)
        if request.stream:
            reply = yield self.ask(request, "streamGenerateContent", body, stream=True)
            decoder = ContentEvents(request.model, include_usage=request.wants_usage, created=created_at(reply.headers))
            return Streaming(reply, decoder)
        reply = yield self.ask(request, "generateContent", body)
        return as_asked(to_completion(reply, request.model), request).relay(WIRE)
