"""Replies in the caller's own dialect go out as they came, byte for byte, and are accounted for all the same."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Sequence
from typing import Any

import pytest

from polyport_gateway import config
from polyport_gateway.app import App
from polyport_gateway.gate import Asked, Caller, Free, Outcome

pytest.importorskip("polyport_openai")
pytest.importorskip("polyport_anthropic")
pytest.importorskip("polyport_gemini")
pytest.importorskip("polyport_groq")
pytest.importorskip("polyport_cohere")
pytest.importorskip("polyport_mistral")

FRAME = b'"id":"c1","object":"chat.completion.chunk","created":1,"model":"gpt-x","own":1.50,"usage":null'
WORDS = [
    b'data: {%s,"choices":[{"index":0,"delta":{"content":"w%d","deep":{"x":1e2}}}]}\n\n' % (FRAME, n) for n in range(5)
]
LAST = b'data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}\n\n'
USED = b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}\n\n'
DONE = b"data: [DONE]\n\n"
CHAT = {"model": "gpt", "messages": [{"role": "user", "content": "hi"}], "stream": True}
BILLED = {"input": 7, "output": 3}


class Noting(Free):
    """A gate and its admissions, which write settlements down where they come on the wire."""

    def __init__(self, wire: list[Any]) -> None:
        super().__init__(Caller(id="k"))
        self.wire = wire

    async def identify(self, token: str | None, client: str | None = None) -> Caller:
        return self.caller

    def admit_now(self, asked: Asked) -> None:
        """Each has to wait."""

    async def admit(self, asked: Asked) -> Noting:
        return self

    def settle_now(self, outcome: Outcome) -> bool:
        """Each has to wait."""
        return False

    async def settle(self, outcome: Outcome) -> None:
        self.wire.append(outcome)

    async def aclose(self) -> None: ...


def call(pieces: Sequence[bytes], body: Any = CHAT, path: str = "/v1/chat/completions", **settings: Any) -> list[Any]:
    """Return what goes over the wire, settlements in their place, when a provider's reply is these pieces."""
    wire: list[Any] = []

    served: list[Any] = []

    async def provider(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError):
            await answer(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
        await reader.readexactly(int(length.split(b":")[1]))
        kind = b"text/event-stream" if body.get("stream") or "alt=sse" in path else b"application/json"
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ntransfer-encoding: chunked\r\n\r\n" % kind)
        for piece in pieces:
            writer.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            await writer.drain()
            await asyncio.sleep(0.002)
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def run() -> None:
        server = await asyncio.start_server(provider, "127.0.0.1", 0)
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        models = [
            {"model_name": name, "params": {"model": f"{provider}/{model}", "api_base": base + more, "api_key": "sk-u"}}
            for name, provider, model, more in (
                ("gpt", "openai", "gpt-4o", "/v1"),
                ("claude", "anthropic", "claude-sonnet-4-5", ""),
                ("flash", "gemini", "gemini-2.5-flash", ""),
                ("command", "cohere", "command-a-03-2025", ""),
                ("llama", "groq", "llama-3.3-70b-versatile", "/v1"),
                ("small", "mistral", "mistral-small-2603", "/v1"),
            )
        ]
        app = App(
            config.read({"model_list": models, "router_settings": {"num_retries": 0}, **settings}), gate=Noting(wire)
        )
        requests = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
        waiting = asyncio.Event()

        async def receive() -> Any:
            if requests:
                return requests.pop()
            await waiting.wait()
            return None

        async def send(message: Any) -> None:
            wire.append(message)

        headers = [(b"authorization", b"Bearer sk-1")]
        scope = {
            "type": "http",
            "method": "POST",
            "path": path.partition("?")[0],
            "query_string": path.partition("?")[2].encode(),
            "headers": headers,
            "client": None,
        }
        await app(scope, receive, send)
        await app.aclose()
        await asyncio.gather(*served)
        server.close()
        await server.wait_closed()

    asyncio.run(run())
    return wire


def body_of(wire: list[Any]) -> bytes:
    """Return the reply's body."""
    return b"".join(one.get("body", b"") for one in wire if isinstance(one, dict))


def outcome(wire: list[Any]) -> Outcome:
    """Return the one settlement."""
    (found,) = (one for one in wire if isinstance(one, Outcome))
    return found


@pytest.mark.parametrize("wanted", [True, False])
def test_a_stream_goes_out_as_it_came(wanted: bool) -> None:
    """Unknown fields and numbers as they were written; the usage only for who asked; [DONE] after the settlement."""
    asked = {**CHAT, "stream_options": {"include_usage": True}} if wanted else CHAT
    wire = call([*WORDS, LAST, USED, DONE], asked)
    assert body_of(wire) == b"".join([*WORDS, LAST, *([USED] if wanted else []), DONE])
    assert (outcome(wire).usage, outcome(wire).nano) == (BILLED, 47_500)
    assert wire.index(outcome(wire)) == len(wire) - 2
    assert wire[-1]["body"] == DONE


def test_pieces_may_be_cut_anywhere() -> None:
    """What is no whole event yet waits for its rest."""
    stream = b"".join([*WORDS, LAST, USED, DONE])
    wire = call([stream[start : start + 37] for start in range(0, len(stream), 37)])
    assert body_of(wire) == b"".join([*WORDS, LAST, DONE])
    assert outcome(wire).usage == BILLED


def test_an_error_before_the_first_content_is_a_reply() -> None:
    """Nothing of the stream went out, so another deployment could have answered."""
    role = b'data: {%s,"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n' % FRAME
    wire = call([role, b'data: {"error":{"message":"no room","code":429}}\n\n'])
    start = next(one for one in wire if isinstance(one, dict))
    assert start["status"] == 429
    assert b"no room" in body_of(wire)


def test_an_error_in_the_middle_is_told_in_the_stream() -> None:
    """After what came before it, in the same read or not; and a stream that is cut off is one, too."""
    for tail in ([b'data: {"error":{"message":"lost it"}}\n\n'], [WORDS[2][:40]]):
        for pieces in ([*WORDS, *tail], [b"".join([*WORDS, *tail])]):
            wire = call(pieces)
            assert body_of(wire).startswith(b"".join(WORDS))
            assert json.loads(body_of(wire).split(b"data: ")[-1])["error"]["message"]
            assert outcome(wire).status >= 500
            assert outcome(wire).estimated


def test_guardrails_still_see_every_chunk() -> None:
    """With one that masks, nothing is passed on unread."""
    pytest.importorskip("polyport_guardrails")
    mask = {"guardrail": "regex", "mode": "post_call", "pattern": "w3", "action": "mask", "default_on": True}
    wire = call([*WORDS, LAST, USED, DONE], guardrails=[{"guardrail_name": "g", "litellm_params": mask}])
    assert b"w3" not in body_of(wire)
    assert b"[PATTERN]" in body_of(wire)
    assert body_of(wire).count(b"w4") == 1


USAGE = b'"usage" : {"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}'
ANSWER = b'{"id":"c", "choices" : [{"index":0,"message":{"content":"w3","deep":{"x":1e2}}}], %s, "own":1.50 }\n' % USAGE
VECTORS = b'{"data":[{"index":0,"embedding":[0.10,1e-3],"own":1.50}], "usage":{"prompt_tokens":7,"total_tokens":7} }'
RESPONSE = (
    b'{"id":"r","object":"response","status":"completed","output":[],"own":1.50,"created_at":1, "model":"gpt-4o",'
    b' "usage":{"input_tokens":7,"output_tokens":3,"total_tokens":10}}'
)
MESSAGE = (
    b'{"id":"m","type":"message","role":"assistant","model":"claude-sonnet-4-5","content":[{"type":"text","text":"hi",'
    b'"own":1.50}], "stop_reason":"end_turn","usage":{"input_tokens":7,"output_tokens":3}}'
)
ASKED = {"messages": CHAT["messages"]}


@pytest.mark.parametrize(
    ("path", "asked", "reply", "used"),
    [
        ("/v1/chat/completions", {"model": "gpt", **ASKED}, ANSWER, BILLED),
        ("/v1/embeddings", {"model": "gpt", "input": "hi"}, VECTORS, {"input": 7}),
        ("/v1/responses", {"model": "gpt", "input": "hi"}, RESPONSE, BILLED),
        ("/v1/messages", {"model": "claude", "max_tokens": 9, **ASKED}, MESSAGE, BILLED),
    ],
)
def test_whole_replies_go_out_as_they_came(path: str, asked: Any, reply: bytes, used: dict[str, int]) -> None:
    """Each in its own shape, with what it used taken from it."""
    wire = call([reply], asked, path)
    assert body_of(wire) == reply
    assert outcome(wire).usage == used


def test_a_masked_answer_is_not_the_one_that_came() -> None:
    """What a guardrail changed is what goes out."""
    pytest.importorskip("polyport_guardrails")
    mask = {"guardrail": "regex", "mode": "post_call", "pattern": "w3", "action": "mask", "default_on": True}
    wire = call([ANSWER], {"model": "gpt", **ASKED}, guardrails=[{"guardrail_name": "g", "litellm_params": mask}])
    assert json.loads(body_of(wire))["choices"][0]["message"]["content"] == "[PATTERN]"
    assert b"w3" not in body_of(wire)


EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {"id": "m", "type": "message", "role": "assistant", "content": [],
     "model": "claude-sonnet-4-5", "stop_reason": None, "usage": {"input_tokens": 7, "output_tokens": 1}}},
    {"type": "ping"},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    *({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": word}} for word in "abc"),
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}, "own": [1.50]},
    {"type": "message_stop"},
]  # fmt: skip


def test_anthropics_events_go_out_as_they_came() -> None:
    """Pings, too; the last event waits for the settlement; input that is told at the start counts."""
    events = [b"event: %s\ndata: %s\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in EVENTS]
    wire = call(events, {**CHAT, "model": "claude", "max_tokens": 9}, "/v1/messages")
    assert body_of(wire) == b"".join(events)
    assert wire[-1]["body"] == events[-1]
    assert outcome(wire).usage == BILLED
    assert outcome(wire).nano == 7 * 3000 + 3 * 15000


# --- Gemini's ---

FLASH = "/v1beta/models/flash:"
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
COUNTED = (
    b'"usageMetadata" : {"promptTokenCount":7,"candidatesTokenCount":2,"thoughtsTokenCount":1,"totalTokenCount":10}'
)
GROUNDED = b'"groundingMetadata":{"webSearchQueries":["q"]}, "own":1.50'
GENERATED = (
    b'{"candidates" : [{"index":0,"content":{"role":"model","parts":[{"text":"Well","thoughtSignature":"c2ln"}]},'
    b'"finishReason":"STOP",%s}],\n %s,"modelVersion":"gemini-2.5-flash","responseId":"r"}\n' % (GROUNDED, COUNTED)
)


def piece(part: bytes, *more: bytes) -> bytes:
    """Return an event of Gemini's."""
    told = b",".join([b'"content":{"role":"model","parts":[%s]}' % part, b'"index":0', *more[:1]])
    frame = b",".join([b'"candidates":[{%s}]' % told, b'"responseId":"r"', b'"own":1.50', *more[1:]])
    return b"data: {%s}\n\n" % frame


PIECES = [
    piece(b'{"text":"Hm.","thought":true}'), piece(b'{"text":""}'), piece(b'{"text":"Well"}'),
    piece(b'{"functionCall":{"name":"look","args":{"at":1e2}},"thoughtSignature":"c2ln"}'),
    piece(b'{"text":", hello"}', b'"finishReason":"STOP",' + GROUNDED, COUNTED),
]  # fmt: skip
#: Thoughts are billed as what was written.
THOUGHT = {"input": 7, "output": 2, "reasoning": 1}


def test_geminis_replies_go_out_as_they_came() -> None:
    """With what only Gemini tells: grounding, signatures, its own counts; accounted for all the same."""
    wire = call([GENERATED], CONTENTS, f"{FLASH}generateContent")
    assert body_of(wire) == GENERATED
    assert (outcome(wire).usage, outcome(wire).nano) == (THOUGHT, 7 * 300 + 3 * 2500)


def test_geminis_events_go_out_as_they_came() -> None:
    """Also those that come to nothing elsewhere, wherever the stream is cut; the stream ends after its settlement."""
    stream = b"".join(PIECES)
    for cuts in (PIECES, [stream[start : start + 61] for start in range(0, len(stream), 61)]):
        wire = call(cuts, CONTENTS, f"{FLASH}streamGenerateContent?alt=sse")
        assert body_of(wire) == stream
        assert (outcome(wire).usage, outcome(wire).nano) == (THOUGHT, 7 * 300 + 3 * 2500)
        assert wire[-1] == {"type": "http.response.body", "body": b"", "more_body": False}
        assert wire.index(outcome(wire)) == len(wire) - 2


def test_a_masked_answer_of_geminis_is_not_the_one_that_came() -> None:
    """What a guardrail changed is what goes out, whole or streamed."""
    pytest.importorskip("polyport_guardrails")
    mask = {"guardrail": "regex", "mode": "post_call", "pattern": "Well", "action": "mask", "default_on": True}
    rails = [{"guardrail_name": "g", "litellm_params": mask}]
    for reply, method in ([GENERATED], "generateContent"), (PIECES, "streamGenerateContent?alt=sse"):
        sent = body_of(call(reply, CONTENTS, f"{FLASH}{method}", guardrails=rails))
        assert b"[PATTERN]" in sent
        assert b"Well" not in sent


def test_geminis_events_are_decoded_for_who_speaks_another_dialect() -> None:
    """They are no chunks of OpenAI's, nor OpenAI's Gemini's."""
    chunks = body_of(call(PIECES, {**CHAT, "model": "flash"}))
    assert b"candidates" not in chunks
    assert b'"content":"Well"' in chunks
    asked = {**CONTENTS, "generationConfig": {"maxOutputTokens": 9}}
    told = body_of(call([*WORDS, LAST, USED, DONE], asked, "/v1beta/models/gpt:streamGenerateContent?alt=sse"))
    assert b'"choices"' not in told
    assert b'"text":"w4"' in told


def test_an_error_among_geminis_events_is_told() -> None:
    """Before the first content as a reply, after it in the stream."""
    failed = b'data: {"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}\n\n'
    path = f"{FLASH}streamGenerateContent?alt=sse"
    start = next(one for one in call([failed], CONTENTS, path) if isinstance(one, dict))
    assert start["status"] == 503
    wire = call([PIECES[2], failed], CONTENTS, path)
    assert body_of(wire).startswith(PIECES[2])
    assert b"overloaded" in body_of(wire)
    assert outcome(wire).status == 503


# --- Cohere's ---

COUNTS = (
    b'"usage" : {"billed_units":{"input_tokens":5,"output_tokens":2},"tokens":{"input_tokens":7,"output_tokens":3}}'
)
REPLIED = (
    b'{"id":"r", "finish_reason" : "COMPLETE","message":{"role":"assistant","content":[{"type":"text","text":"Well",'
    b'"own":1.50}],"citations":[{"start":0,"end":4,"text":"Well","sources":[],"type":"TEXT_CONTENT"}]},'
    b'\n %s,"own":1e2}\n' % COUNTS
)


def told(kind: bytes, rest: bytes) -> bytes:
    """Return an event of Cohere's."""
    return b'event: %s\ndata: {"type" : "%s",%s}\n\n' % (kind, kind, rest)


TURNS = [
    told(b"message-start", b'"id":"r","delta":{"message":{"role":"assistant","content":[],"tool_calls":[]}}'),
    told(b"content-start", b'"index":0,"delta":{"message":{"content":{"type":"text","text":""}}}'),
    *(told(b"content-delta", b'"index":0,"delta":{"message":{"content":{"text":"%s","own":1.50}}}' % word)
      for word in (b"Well", b", ", b"hello")),
    told(b"citation-start", b'"index":0,"delta":{"message":{"citations":{"start":0,"end":4,"text":"Well"}}}'),
    told(b"citation-end", b'"index":0'),
    told(b"debug", b'"prompt":"unknown here"'),
    told(b"content-end", b'"index":0'),
    told(b"message-end", b'"delta":{"finish_reason":"COMPLETE",%s}' % COUNTS),
    DONE,
]  # fmt: skip
COMMAND = {**ASKED, "model": "command"}
#: What is charged is less than what was read and written.
CHARGED = 5 * 2500 + 2 * 10000


def test_coheres_replies_go_out_as_they_came() -> None:
    """With its citations and its two counts; what is charged for is accounted for."""
    wire = call([REPLIED], COMMAND, "/v2/chat")
    assert body_of(wire) == REPLIED
    assert (outcome(wire).usage, outcome(wire).nano) == (BILLED, CHARGED)


def test_coheres_events_go_out_as_they_came() -> None:
    """Also those that come to nothing elsewhere, wherever the stream is cut; its end waits for the settlement."""
    stream = b"".join(TURNS)
    for cuts in (TURNS, [stream[start : start + 61] for start in range(0, len(stream), 61)]):
        wire = call(cuts, {**COMMAND, "stream": True}, "/v2/chat")
        assert body_of(wire) == stream
        assert (outcome(wire).usage, outcome(wire).nano) == (BILLED, CHARGED)
        assert wire[-1]["body"] == TURNS[-2] + DONE
        assert wire.index(outcome(wire)) == len(wire) - 2


def test_a_masked_answer_of_coheres_is_not_the_one_that_came() -> None:
    """What a guardrail changed is what goes out, whole or streamed, in the same events."""
    pytest.importorskip("polyport_guardrails")
    mask = {"guardrail": "regex", "mode": "post_call", "pattern": "Well", "action": "mask", "default_on": True}
    rails = [{"guardrail_name": "g", "litellm_params": mask}]
    for reply, asked in ([REPLIED], COMMAND), (TURNS, {**COMMAND, "stream": True}):
        wire = call(reply, asked, "/v2/chat", guardrails=rails)
        assert b"[PATTERN]" in body_of(wire)
        assert b"Well" not in body_of(wire)
        assert b'"finish_reason":"COMPLETE"' in body_of(wire)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/v2/chat", {**ASKED, "documents": [{"data": {"snippet": "a secret"}}]}),
        ("/v2/chat", {"messages": [{"role": "user", "content": "a secret"}]}),
        ("/v1/chat", {"message": "x", "chat_history": [{"role": "CHATBOT", "message": "a secret"}]}),
        ("/v1/chat", {"message": "x", "documents": [{"snippet": "a secret"}]}),
        ("/v2/embed", {"texts": ["a secret"], "input_type": "search_query"}),
        ("/v1/tokenize", {"text": "a secret"}),
        ("/v1/detokenize", {"tokens": [1]}),
    ],
)
@pytest.mark.parametrize("model", ["command", "gpt"])
def test_guardrails_see_what_cohere_is_asked(path: str, asked: Any, model: str) -> None:
    """Documents, history, inputs; tokens, which none can read, are refused. It is told in Cohere's shape."""
    pytest.importorskip("polyport_guardrails")
    block = {"guardrail": "regex", "mode": "pre_call", "pattern": "secret", "action": "block", "default_on": True}
    rails = [{"guardrail_name": "g", "litellm_params": block}]
    body = json.loads(body_of(call([], {**asked, "model": model}, path, guardrails=rails)))
    assert set(body) == {"message", "id"}
    assert "guardrail" in body["message"].lower()


def test_coheres_events_are_decoded_for_who_speaks_another_dialect() -> None:
    """They are no chunks of OpenAI's, nor OpenAI's Cohere's."""
    chunks = body_of(call(TURNS, {**CHAT, "model": "command"}))
    assert b"content-delta" not in chunks
    assert b'"content":"Well"' in chunks
    events = body_of(call([*WORDS, LAST, USED, DONE], CHAT, "/v2/chat"))
    assert b'"choices"' not in events
    assert b'"text":"w4"' in events
    assert events.endswith(DONE)


def test_an_error_among_coheres_events_is_told() -> None:
    """Before the first content as a reply, after it as the end of the message."""
    failed = told(b"message-end", b'"delta":{"finish_reason":"ERROR","error":"gone"}')
    asked = {**COMMAND, "stream": True}
    start = next(one for one in call([TURNS[0], failed], asked, "/v2/chat") if isinstance(one, dict))
    assert start["status"] == 500
    for tail in (failed, b'data: {"message":"gone"}\n\n', TURNS[2][:40]):
        wire = call([*TURNS[:3], tail], asked, "/v2/chat")
        last = json.loads(body_of(wire).split(b"data: ")[-1])
        assert (last["type"], last["delta"]["finish_reason"]) == ("message-end", "ERROR")
        assert last["delta"]["error"]
        assert outcome(wire).status >= 500


# --- look-alikes' ---

GROQ_FIRST = b'data: {%s,"choices":[{"index":0,"delta":{"role":"assistant"}}],"x_groq":{"id":"q"}}\n\n' % FRAME
GROQ_LAST = b'data: {%s,"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"id":"q"}}\n\n' % FRAME
THINKING = b'data: {%s,"choices":[{"index":0,"delta":{"reasoning":"Hm.","channel":"analysis"}}]}\n\n' % FRAME


def test_groqs_text_goes_out_as_it_came() -> None:
    """Reasoning under OpenAI's look-alikes' name, and usage where it is looked for."""
    wire = call([GROQ_FIRST, THINKING, *WORDS, GROQ_LAST, USED, DONE], {**CHAT, "model": "llama"})
    sent = body_of(wire)
    assert b"".join(WORDS) in sent
    assert b'"reasoning_content":"Hm."' in sent
    assert outcome(wire).usage == BILLED
    assert outcome(wire).nano == 7 * 590 + 3 * 790
    early = b'data: {%s,"choices":[],"x_groq":{"id":"q","error":"gone"}}\n\n' % FRAME
    wire = call([GROQ_FIRST, *WORDS, early], {**CHAT, "model": "llama"})
    assert b"ended the stream early: gone" in body_of(wire)


def test_mistrals_text_goes_out_as_it_came() -> None:
    """Chunks of content, and reasons to finish, are in OpenAI's words."""
    thinking = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]
    first = b'data: {%s,"choices":[{"index":0,"delta":{"content":%s}}]}\n\n' % (FRAME, json.dumps(thinking).encode())
    ended = b'data: {%s,"choices":[{"index":0,"delta":{"content":""},"finish_reason":"model_length"}],%s}\n\n' % (
        FRAME.replace(b',"usage":null', b""),
        b'"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}',
    )
    wire = call([first, *WORDS, ended, DONE], {**CHAT, "model": "small"})
    sent = body_of(wire)
    assert b"".join(WORDS) in sent
    assert b'"reasoning_content":"Hm."' in sent
    assert b'"role":"assistant"' in sent
    assert b'"finish_reason":"length"' in sent
    assert outcome(wire).usage == BILLED
