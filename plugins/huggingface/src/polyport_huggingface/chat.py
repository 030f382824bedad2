"""Chat by the router or an endpoint, and text completion.

https://huggingface.co/docs/inference-providers/tasks/chat-completion, https://huggingface.co/docs/text-generation-inference
"""

from __future__ import annotations

from typing import Any

from polyport.bridges.completions import over_chat
from polyport.dialects.openai import Chat, Completions, History
from polyport.flow import Flow, Streaming
from polyport.hookspecs import hookimpl
from polyport.types.chat import ChatRequest
from polyport.types.completion import TextCompletion, TextCompletionRequest
from polyport_huggingface.naming import dedicated, read


class HubChat(Chat):
    """POST /v1/chat/completions. The router finds the provider by itself."""

    def chat_body(self, request: ChatRequest, history: History) -> dict[str, Any]:
        """Return the body; the provider stands after the model's name."""
        body = super().chat_body(request, history)
        if request.n not in (None, 1):
            request.unsupported("n", "one answer a call is what there is")
            del body["n"]
        if not dedicated(request):
            body["model"] = str(read(request.model))
        return body


class HubCompletions(HubChat, Completions):
    """POST /v1/completions, which endpoints have; by the router a text is continued over chat."""

    @hookimpl
    def complete_text(self, request: TextCompletionRequest) -> Flow[TextCompletion | Streaming[TextCompletion]]:
        """Continue a text."""
        if dedicated(request):
            return (yield from super().complete_text(request))
        return (yield from over_chat(request, self.chat))
