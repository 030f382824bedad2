"""Chat over Converse and ConverseStream."""

from __future__ import annotations

from polyport.flow import Flow, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.chat import ChatCompletion, ChatCompletionChunk, ChatRequest
from polyport_bedrock.body import to_body
from polyport_bedrock.reply import to_completion
from polyport_bedrock.stream import ConverseEvents
from polyport_bedrock.wire import ID, BedrockWire, created_at


class Chat(BedrockWire):
    """POST /model/{id}/converse and /converse-stream."""

    @hookimpl
    def chat(self, request: ChatRequest) -> Flow[ChatCompletion | Streaming[ChatCompletionChunk]]:
        """Answer a conversation."""
        body = yield from to_body(request)
        if not request.stream:
            return to_completion((yield self.ask(request, "converse", body)), request.model)
        reply = yield self.ask(request, "converse-stream", body, stream=True)
        decoder = ConverseEvents(
            request.model,
            id=reply.headers.get(ID, ""),
            created=created_at(reply.headers),
            include_usage=request.wants_usage,
        )
        return Streaming(reply, decoder)
