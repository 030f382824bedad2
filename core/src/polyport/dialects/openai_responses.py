"""The Responses API on OpenAI's wire."""

from __future__ import annotations

from polyport.dialects.openai_events import ResponseEvents
from polyport.dialects.openai_wire import Wire, segment, with_query
from polyport.flow import Flow, Streaming
from polyport.hookspecs import hookimpl
from polyport.provider import decode
from polyport.types.batch import FileDeleted
from polyport.types.responses import Item, Response, ResponseIdRequest, ResponsesRequest


class Respond(Wire):
    """POST /responses. https://platform.openai.com/docs/api-reference/responses/create"""

    @hookimpl
    def respond(self, request: ResponsesRequest) -> Flow[Response | Streaming[Item]]:
        """Answer; with `background` the response is queued, to be retrieved later."""
        body = self.body(request, "respond")
        if not request.stream:
            body.pop("stream_options", None)
        reply = yield self.post("/responses", json=body, stream=request.stream)
        if request.stream:
            return Streaming(reply, ResponseEvents())
        return decode(reply, Response).relay()


class Responses(Respond):
    """/responses of a provider that keeps them. https://platform.openai.com/docs/api-reference/responses"""

    @hookimpl
    def retrieve_response(self, request: ResponseIdRequest) -> Flow[Response | Streaming[Item]]:
        """Fetch a response; with `stream`, its events after number `starting_after`."""
        query = {
            "include": request.include,
            "stream": request.stream,
            "starting_after": request.starting_after,
            **self.extras(request),
        }
        path = with_query(f"/responses/{segment(request.response_id)}", query)
        reply = yield self.get(path, stream=request.stream)
        if request.stream:
            return Streaming(reply, ResponseEvents())
        return decode(reply, Response)

    @hookimpl
    def cancel_response(self, request: ResponseIdRequest) -> Flow[Response]:
        """Cancel a background response."""
        reply = yield self.post(f"/responses/{segment(request.response_id)}/cancel")
        return decode(reply, Response)

    @hookimpl
    def delete_response(self, request: ResponseIdRequest) -> Flow[FileDeleted]:
        """Delete a stored response."""
        reply = yield self.delete(f"/responses/{segment(request.response_id)}")
        return decode(reply, FileDeleted)
