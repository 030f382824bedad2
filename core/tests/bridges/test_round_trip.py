"""The bridges over real plugins and recorded replies: what came out goes back in, to the last block."""

from __future__ import annotations

import httpx
import msgspec
import pytest
from anthropic.types import Message as SDKMessage, RawMessageStreamEvent
from openai.types.responses import Response as SDKResponse, ResponseStreamEvent
from pydantic import TypeAdapter

from polyport import Client

RESPONSE_EVENT = TypeAdapter(ResponseStreamEvent)
MESSAGE_EVENT = TypeAdapter(RawMessageStreamEvent)
CLAUDE = "anthropic/claude-sonnet-4-0"
ASK = {"role": "user", "content": "x"}


def replies(recorded, provider, endpoint):
    """The recorded replies that a client would see: (is it a stream, what a server would send)."""
    for record in recorded(provider, endpoint):
        body = record["response"]["body"] or {}
        if record["response"]["status"] == 200 and not record.get("shortened"):
            if "sse" in body:
                yield True, body["sse"].encode()
            elif isinstance(body.get("json"), dict):
                yield False, msgspec.json.encode(body["json"])


class Server:
    """A server in memory: answers with `content`, remembers what was `sent`; `client` calls it."""

    def __init__(self):
        self.content = b""
        self.sent = None
        self.client = Client(http=httpx.MockTransport(self.serve), api_key="k", num_retries=0)

    def serve(self, request):
        self.sent = msgspec.json.decode(request.content)
        return httpx.Response(200, content=self.content)

    def serving(self, content):
        """Answer with this from now on; returns the client."""
        self.content = content
        return self.client


@pytest.fixture
def server():
    """A server whose client is closed at the end."""
    made = Server()
    with made.client:
        yield made


EMPTY_MESSAGE = b'{"id":"m","type":"message","role":"assistant","content":[],"stop_reason":"end_turn","usage":{}}'
EMPTY_COMPLETION = b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":""}}]}'


def test_claudes_replies_survive_the_responses_api(recorded, server):
    """Each recorded message becomes a valid response, and its items bring Anthropic the same blocks again."""
    pytest.importorskip("polyport_anthropic")
    seen = 0
    for streamed, content in replies(recorded, "anthropic", "messages"):
        reply = server.serving(content).responses(model=CLAUDE, input="x", stream=streamed or None)
        if streamed:
            *_, last = [RESPONSE_EVENT.validate_python(dict(event)) and event for event in reply]
            output = last["response"]["output"]
        else:
            SDKResponse.model_validate(reply.to_dict())
            output = reply.output
        calls = [item["call_id"] for item in output if item["type"] == "function_call"]
        answers = [{"type": "function_call_output", "call_id": call, "output": "ok"} for call in calls]
        server.serving(EMPTY_MESSAGE).responses(model=CLAUDE, input=[ASK, *output, *(answers or [ASK])])
        if not streamed:
            back = [message["content"] for message in server.sent["messages"] if message["role"] == "assistant"]
            assert blocks(back[0] if back else []) == blocks(msgspec.json.decode(content)["content"])
        seen += 1
    assert seen > 300


def blocks(content):
    """Blocks without what says nothing: nulls, empty texts, who called."""
    found = [{"type": "text", "text": content}] if isinstance(content, str) else content
    kept = [{k: v for k, v in block.items() if v is not None and k != "caller"} for block in found]
    return [block for block in kept if block != {"type": "text", "text": ""}]


def test_openais_replies_survive_the_messages_api(recorded, server):
    """Each recorded completion becomes a valid message, and its blocks bring OpenAI the same message again."""
    pytest.importorskip("polyport_openai")
    seen = 0
    for streamed, content in replies(recorded, "openai", "chat"):
        params = {"model": "openai/gpt-4o", "messages": [ASK], "max_tokens": 9}
        reply = server.serving(content).messages(**params, stream=streamed or None)
        if streamed:
            for event in reply:
                MESSAGE_EVENT.validate_python(dict(event))
            continue
        SDKMessage.model_validate(reply.to_dict())
        message = msgspec.json.decode(content)["choices"][0]["message"]
        if message.get("refusal") or message.get("audio") or not reply.content:
            continue
        results = [
            {"type": "tool_result", "tool_use_id": block["id"], "content": "ok"}
            for block in reply.content
            if block["type"] == "tool_use"
        ]
        turns = [ASK, {"role": "assistant", "content": reply.content}, {"role": "user", "content": results or "x"}]
        server.serving(EMPTY_COMPLETION).messages(**params | {"messages": turns})
        back = server.sent["messages"][1]
        assert (back["content"] or "") == (message.get("content") or "")
        assert calls_of(back) == calls_of(message)
        seen += 1
    assert seen > 200


def calls_of(message):
    """A message's calls, their arguments read."""
    calls = message.get("tool_calls") or []
    return [(c["id"], c["function"]["name"], msgspec.json.decode(c["function"]["arguments"])) for c in calls]
