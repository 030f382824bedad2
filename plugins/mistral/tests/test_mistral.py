"""Mistral: literal requests, literal replies, of chats, gaps, documents, vectors and verdicts."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from matrix import IMAGE_URL, PDF, PDF_URL, PNG, WEATHER, Recipe, call, called, image, result, say, show, text

from polyport import Client, errors
from polyport_mistral import Mistral
from polyport_mistral.conformance import ANSWER, ANSWER_STREAM, GAP, GAP_STREAM, READ, VECTORS, VERDICTS

HELLO = [say("Hello")]
MODEL = "mistral/mistral-small-latest"
OCR = "mistral/mistral-ocr-latest"


def body(wire):
    """Return the JSON that was sent last."""
    return json.loads(wire.last.content)


def answering(wire, **message):
    """Have Mistral answer with a message."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": "stop"}
    wire.answer = lambda _: httpx.Response(200, json={"id": "c", "model": "m", "choices": [choice]})


def test_a_chat_on_the_wire(wire, client):
    """The request in Mistral's names; reasoning apart from the answer; cached tokens counted."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER, headers={"mistral-correlation-id": "corr-1"})
    got = client.completion(MODEL, HELLO, reasoning_effort="high", seed=7, max_tokens=50, safe_prompt=True)
    assert str(wire.last.url) == "https://api.mistral.ai/v1/chat/completions"
    assert wire.last.headers["authorization"] == "Bearer sk-test"
    assert body(wire) == {
        "model": "mistral-small-latest",
        "messages": [{"role": "user", "content": "Hello"}],
        "reasoning_effort": "high",
        "random_seed": 7,
        "max_tokens": 50,
        "safe_prompt": True,
    }
    message = got.choices[0].message
    assert (message.content, message.reasoning_content) == ("It is 4.", "2 + 2 = 4")
    assert message.provider_specific_fields is None
    assert got.usage_buckets == {"input": 44, "cached_input": 40, "output": 20}
    assert got.meta.request_id == "corr-1"
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("seed", "renamed")]


def test_a_streamed_chat(wire, client):
    """Reasoning and text in pieces; usage comes unasked, and its option is not sent."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
    with client.completion(MODEL, HELLO, stream=True, stream_options={"include_usage": True}, strict=True) as stream:
        chunks = list(stream)
    assert body(wire) == {"model": "mistral-small-latest", "messages": HELLO, "stream": True}
    deltas = [chunk.choices[0].delta for chunk in chunks]
    assert "".join(delta.reasoning_content or "" for delta in deltas) == "2 + 2 = 4"
    assert "".join(delta.content or "" for delta in deltas) == "It is 4."
    assert (deltas[0].role, chunks[-1].usage.total_tokens) == ("assistant", 104)
    with pytest.raises(errors.UnsupportedParamsError, match="include_obfuscation"):
        client.completion(MODEL, HELLO, stream=True, stream_options={"include_obfuscation": True})


def test_an_answer_goes_back(wire, client):
    """What came out of a call goes back in, reasoning as a chunk before the text, and nothing is adapted."""
    wire.answer = lambda _: httpx.Response(200, content=ANSWER)
    first = client.completion(MODEL, HELLO).choices[0].message
    client.completion(MODEL, [*HELLO, first, say("Sure?")], strict=True)
    assert body(wire)["messages"][1] == {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": [{"type": "text", "text": "2 + 2 = 4"}]},
            {"type": "text", "text": "It is 4."},
        ],
    }


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
ODD = {
    "cut off": [{**THOUGHT, "closed": False}, {"type": "text", "text": "Yes."}],
    "signed": [{**THOUGHT, "signature": "c2ln"}, {"type": "text", "text": "Yes."}],
    "twice": [THOUGHT, {"type": "text", "text": "Ye"}, THOUGHT, {"type": "text", "text": "s."}],
    "referring": [{"type": "text", "text": "Ye"}, {"type": "reference", "reference_ids": [0, "b"]},
                  {"type": "text", "text": "s."}],
    "with a tool": [{"type": "thinking", "thinking": [{"type": "tool_reference", "tool": "web", "title": "T"}]},
                    {"type": "text", "text": "Yes."}],
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_chunks_that_say_more_go_back_as_they_came(wire, client, name):
    """Signatures, references and the order of chunks; not where the text was changed since."""
    answering(wire, content=ODD[name])
    message = client.completion(MODEL, HELLO).choices[0].message
    assert message.content == "Yes."
    client.completion(MODEL, [*HELLO, message, say("Sure?")], strict=True)
    assert body(wire)["messages"][1] == {"role": "assistant", "content": ODD[name]}
    changed = {**message.to_dict(), "content": "No.", "annotations": None}
    client.completion(MODEL, [*HELLO, changed, say("Sure?")])
    sent = body(wire)["messages"][1]["content"]
    assert sent == "No." or sent[-1] == {"type": "text", "text": "No."}


def test_chunks_survive_other_shapes(wire, client):
    """Through OpenAI's responses and Anthropic's messages and back, nothing is lost."""
    answering(wire, content=ODD["signed"])
    model = {"model": MODEL}
    output = [dict(item) for item in client.responses(input="Hello", **model).output]
    client.responses(input=[say("Hello"), *output, say("Sure?")], **model)
    assert body(wire)["messages"][1]["content"] == ODD["signed"]
    said = client.messages(messages=HELLO, max_tokens=9, **model).to_dict()["content"]
    client.messages(messages=[*HELLO, {"role": "assistant", "content": said}, say("Sure?")], max_tokens=9, **model)
    assert body(wire)["messages"][1]["content"] == ODD["signed"]


def test_references_are_annotations(wire, client):
    """With their place in the text; in a stream they come where they stand."""
    answering(wire, content=ODD["referring"])
    message = client.completion(MODEL, HELLO).choices[0].message
    assert message.annotations == [{"type": "reference", "reference_ids": [0, "b"], "index": 2}]
    delta = {"index": 0, "delta": {"content": ODD["referring"]}, "finish_reason": "stop"}
    wire.answer = lambda _: httpx.Response(200, text=f"data: {json.dumps({'choices': [delta]})}\n\n")
    with client.completion(MODEL, HELLO, stream=True) as stream:
        [chunk] = list(stream)
    assert chunk.choices[0].delta.annotations == [{"type": "reference", "reference_ids": [0, "b"]}]


def test_a_signature_in_a_stream_goes_back(wire, client):
    """It is kept with the piece that ends the thinking."""
    delta = {"index": 0, "delta": {"content": ODD["signed"]}, "finish_reason": "stop"}
    wire.answer = lambda _: httpx.Response(200, text=f"data: {json.dumps({'choices': [delta]})}\n\n")
    with client.completion(MODEL, HELLO, stream=True) as stream:
        [chunk] = list(stream)
    said = chunk.choices[0].delta.to_dict()
    answering(wire, content="Ok")
    client.completion(MODEL, [*HELLO, said, say("Sure?")], strict=True)
    assert body(wire)["messages"][1]["content"] == ODD["signed"]


def test_thinking_of_others(wire, client):
    """What can be read goes along, what they signed does not; a model that does not think is sent neither."""
    answering(wire, content="Ok")
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}]
    messages = [*HELLO, {"role": "assistant", "content": "Yes.", "thinking_blocks": blocks}, say("Sure?")]
    got = client.completion(MODEL, messages)
    assert body(wire)["messages"][1]["content"] == [THOUGHT, {"type": "text", "text": "Yes."}]
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("messages.thinking_blocks", "dropped")]
    messages[1] = {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    got = client.completion("mistral/codestral-latest", messages)
    assert body(wire)["messages"][1] == {"role": "assistant", "content": "Yes."}
    assert [a.parameter for a in got.meta.adaptations] == ["messages.reasoning_content"]
    messages[1]["provider_specific_fields"] = {"mistral_chunks": ODD["signed"]}
    client.completion("mistral/codestral-latest", messages)
    assert body(wire)["messages"][1] == {"role": "assistant", "content": "Yes."}


def test_ids_of_calls(wire, client):
    """Mistral's own stay; others become nine letters and digits, the same for a call and its result."""
    answering(wire, content="Ok")
    calls = called(call("aX2gaLIyo", "now"), call("call_1", "now"))
    messages = [*HELLO, calls, result("aX2gaLIyo", "12:00"), {**result("call_1", "12:00"), "name": "now"}]
    client.completion(MODEL, messages, tools=[WEATHER])
    sent = body(wire)["messages"]
    assert [one["id"] for one in sent[1]["tool_calls"]] == ["aX2gaLIyo", "BU2HUL5e5"]
    assert [message["tool_call_id"] for message in sent[2:]] == ["aX2gaLIyo", "BU2HUL5e5"]
    assert sent[3]["name"] == "now"


def test_tools(wire, client):
    """A call comes whole in one piece of a stream; functions without parameters get some; no tools are none."""
    piece = {"role": "assistant", "tool_calls": [
        {"id": "yBvJuId6u", "function": {"name": "now", "arguments": "{}"}},
        {"id": "ihQrVBDfy", "function": {"name": "get_weather", "arguments": '{"town": "Bath"}'}},
    ]}  # fmt: skip
    chunk = {"id": "c", "choices": [{"index": 0, "delta": piece, "finish_reason": "tool_calls"}]}
    wire.answer = lambda _: httpx.Response(200, text=f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n")
    tools = [WEATHER, {"type": "function", "function": {"name": "now"}}]
    with client.completion(MODEL, HELLO, tools=tools, tool_choice="required", stream=True) as stream:
        [got] = list(stream)
    assert [(one.index, one.type) for one in got.choices[0].delta.tool_calls] == [(0, "function"), (1, "function")]
    assert body(wire)["tools"][1]["function"] == {"name": "now", "parameters": {"type": "object", "properties": {}}}
    assert body(wire)["tool_choice"] == "required"
    answering(wire, content="Ok")
    client.completion(MODEL, HELLO, tools=[])
    assert "tools" not in body(wire)


def test_what_can_be_shown(wire, client):
    """Images as they are; files as documents by URL, data or id; audio as base64 alone."""
    answering(wire, content="Ok")
    audio = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
    documents = [{"file_url": PDF_URL}, {"file_data": PDF, "filename": "a.pdf"}, {"file_id": "f-1"}]
    parts = [text("Look"), image(IMAGE_URL), image(PNG), *({"type": "file", "file": d} for d in documents), audio]
    client.completion(MODEL, show(*parts), strict=True)
    assert body(wire)["messages"][0]["content"] == [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": IMAGE_URL}},
        {"type": "image_url", "image_url": {"url": PNG}},
        {"type": "document_url", "document_url": PDF_URL},
        {"type": "document_url", "document_url": PDF, "document_name": "a.pdf"},
        {"type": "file", "file_id": "f-1"},
        {"type": "input_audio", "input_audio": "UklGRg=="},
    ]


def test_an_answer_that_is_begun(wire, client):
    """A last message of the assistant's is a prefix, unless it says that it is none."""
    answering(wire, content="{}")
    client.completion(MODEL, [*HELLO, {"role": "assistant", "content": "{"}], strict=True)
    assert body(wire)["messages"][-1] == {"prefix": True, "role": "assistant", "content": "{"}
    client.completion(MODEL, [*HELLO, {"role": "assistant", "content": "{", "prefix": False}])
    assert body(wire)["messages"][-1]["prefix"] is False


def test_a_schema_is_native(wire, client):
    """A class becomes a strict JSON schema, and the answer an instance."""
    answering(wire, content='{"title": "Soup", "minutes": 5, "steps": [], "note": null}')
    got = client.completion(MODEL, HELLO, response_format=Recipe, strict=True)
    sent = body(wire)["response_format"]
    assert (sent["type"], sent["json_schema"]["name"], sent["json_schema"]["strict"]) == ("json_schema", "Recipe", True)
    assert got.parsed == Recipe(title="Soup", minutes=5, steps=[])


@pytest.mark.parametrize(("given", "sent"), [("auto", "auto"), ("default", "standard_only"), ("priority", "auto")])
def test_tiers(wire, client, given, sent):
    """OpenAI's are Mistral's where there is one."""
    answering(wire, content="Ok")
    client.completion(MODEL, HELLO, service_tier=given)
    assert body(wire)["service_tier"] == sent


def test_efforts(wire, client):
    """A model that thinks or does not is asked for the nearest; others are asked as they are."""
    answering(wire, content="Ok")
    got = client.completion(MODEL, HELLO, reasoning_effort="low")
    assert body(wire)["reasoning_effort"] == "high"
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("reasoning_effort", "clamped")]
    client.completion("mistral/mistral-large-4", HELLO, reasoning_effort="low", strict=True)
    assert body(wire)["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    "given", [{"logit_bias": {"1": 1}}, {"user": "u"}, {"store": True}, {"service_tier": "flex"}, {"verbosity": "low"}]
)
def test_what_mistral_cannot_do(wire, client, given):
    """It is refused with the reason."""
    with pytest.raises(errors.UnsupportedParamsError, match=next(iter(given))):
        client.completion(MODEL, HELLO, **given)


# --- gaps, documents --------------------------------------------------------------------------------------


def test_a_gap_is_filled(wire, client):
    """Between a prompt and a suffix, whole or streamed; one text a call."""
    wire.answer = lambda _: httpx.Response(200, content=GAP)
    model, given = "mistral/codestral-latest", {"suffix": "    return 1", "max_tokens": 64, "seed": 1}
    got = client.text_completion(["def fib(a):"], model, **given)
    assert str(wire.last.url) == "https://api.mistral.ai/v1/fim/completions"
    assert body(wire) == {
        "model": "codestral-latest",
        "prompt": "def fib(a):",
        "suffix": "    return 1",
        "max_tokens": 64,
        "random_seed": 1,
    }
    assert (got.object, got.choices[0].text, got.usage.total_tokens) == (
        "text_completion", "    if a < 2: return a\n", 17
    )  # fmt: skip
    wire.answer = lambda _: httpx.Response(200, content=GAP_STREAM)
    with client.text_completion("def fib(a):", model, stream=True) as stream:
        chunks = list(stream)
    assert "".join(chunk.choices[0].text for chunk in chunks) == "    if a < 2: return a\n"
    assert (chunks[-1].choices[0].finish_reason, chunks[-1].usage.completion_tokens) == ("length", 9)
    for prompt in (["a", "b"], [1, 2]):
        with pytest.raises(errors.BadRequestError, match=r"\$\.prompt"):
            client.text_completion(prompt, model)


def test_a_document_is_read(wire, client):
    """Its markdown is the answer, its pages are kept; streamed it is one chunk."""
    wire.answer = lambda _: httpx.Response(200, content=READ)
    messages = show({"type": "file", "file": {"file_url": PDF_URL}})
    got = client.completion(OCR, messages, pages=[0, 1], include_image_base64=False, strict=True)
    assert str(wire.last.url) == "https://api.mistral.ai/v1/ocr"
    assert body(wire) == {
        "model": "mistral-ocr-latest",
        "document": {"type": "document_url", "document_url": PDF_URL},
        "pages": [0, 1],
        "include_image_base64": False,
    }
    assert (got.text, got.model, got.usage) == ("# A title\n\nThe end.", "mistral-ocr-2512", None)
    assert [p["index"] for p in got.choices[0].message.provider_specific_fields["pages"]] == [0, 1]
    assert got.extra == {"usage_info": {"pages_processed": 2, "doc_size_bytes": 9}}
    with client.completion(OCR, messages, stream=True) as stream:
        assert [chunk.choices[0].delta.content for chunk in stream] == [got.text]


def test_a_document_is_read_into_a_schema(wire, client):
    """What is asked for stands in a schema, and the words say how to fill it; words alone are not for a reader."""
    reply = {**json.loads(READ), "document_annotation": '{"title": "A", "minutes": 1, "steps": [], "note": null}'}
    wire.answer = lambda _: httpx.Response(200, json=reply)
    messages = show(text("Only the soup"), image(IMAGE_URL))
    got = client.completion(OCR, messages, response_format=Recipe)
    assert got.parsed == Recipe(title="A", minutes=1, steps=[])
    assert body(wire)["document_annotation_prompt"] == "Only the soup"
    assert body(wire)["document_annotation_format"]["json_schema"]["name"] == "Recipe"
    got = client.completion(OCR, messages)
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("messages", "dropped")]
    with pytest.raises(errors.UnsupportedParamsError, match="temperature"):
        client.completion(OCR, messages, temperature=0)
    with pytest.raises(errors.BadRequestError, match="one document"):
        client.completion(OCR, HELLO)


# --- vectors, verdicts ------------------------------------------------------------------------------------


def test_vectors(wire, client):
    """Their size and type in Mistral's names; text only."""
    wire.answer = lambda _: httpx.Response(200, content=VECTORS)
    got = client.embedding("mistral/codestral-embed", ["a", "b"], dimensions=2, output_dtype="float")
    assert str(wire.last.url) == "https://api.mistral.ai/v1/embeddings"
    assert body(wire) == {"model": "codestral-embed", "input": ["a", "b"], "output_dimension": 2,
                          "output_dtype": "float"}  # fmt: skip
    assert [item.embedding for item in got.data] == [[0.5, -0.25], [0.25, 0.5]]
    wire.answer = lambda _: httpx.Response(200, json={"data": [{"index": 0, "embedding": [-128, 127]}], "model": "m"})
    assert client.embedding("mistral/codestral-embed", "a", output_dtype="int8").data[0].embedding == [-128, 127]
    with pytest.raises(errors.UnsupportedParamsError, match="token ids"):
        client.embedding("mistral/codestral-embed", [1, 2])


JUDGED = [
    ("a", "/v1/moderations", "a"),
    (["a", "b"], "/v1/moderations", ["a", "b"]),
    ([text("a"), text("b")], "/v1/moderations", ["a\nb"]),
    (HELLO, "/v1/chat/moderations", HELLO),
    ([HELLO, [say("Bye")]], "/v1/chat/moderations", [HELLO, [say("Bye")]]),
]


@pytest.mark.parametrize(("given", "path", "sent"), JUDGED)
def test_verdicts(wire, client, given, path, sent):
    """Of texts and of conversations; whether anything was flagged is told."""
    wire.answer = lambda _: httpx.Response(200, content=VERDICTS)
    got = client.moderation(given, "mistral/mistral-moderation-2603")
    assert (wire.last.url.path, body(wire)) == (path, {"model": "mistral-moderation-2603", "input": sent})
    assert [verdict.flagged for verdict in got.results] == [True, False]


def test_images_are_not_judged(wire, client):
    """They are refused."""
    with pytest.raises(errors.UnsupportedParamsError, match="images"):
        client.moderation([image(PNG)], "mistral/mistral-moderation-2603")


# --- errors -----------------------------------------------------------------------------------------------

DETAIL = [
    {"type": "extra_forbidden", "loc": ["body", "messages", 0, "user", "name"], "msg": "Extra inputs", "input": 1}
]
ERRORS = [
    (401, {"detail": "Unauthorized"}, errors.AuthenticationError, "Unauthorized"),
    (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
     errors.NotFoundError, "Invalid model: x"),
    (400, {"object": "error", "message": "Prompt contains 66385 tokens, too large for model with 32768 maximum context"
           " length", "type": "invalid_request_error", "code": "3051"}, errors.ContextWindowExceededError, "Prompt"),
    (400, {"object": "error", "message": "Tool call id was x", "type": "invalid_function_call", "code": "3280"},
     errors.BadRequestError, "Tool call"),
    (403, {"error": {"message": "Content blocked by guardrail", "status": 403}, "guardrails": {}},
     errors.ContentPolicyViolationError, "guardrail"),
    (403, {"message": "No access"}, errors.PermissionDeniedError, "No access"),
    (422, {"object": "error", "message": {"detail": DETAIL}, "type": "invalid_request_error"},
     errors.UnprocessableEntityError, r"Extra inputs at body\.messages\.0\.user\.name"),
    (422, {"detail": DETAIL}, errors.UnprocessableEntityError, r"Extra inputs at body\.messages\.0\.user\.name"),
    (429, {"object": "error", "message": "Requests rate limit exceeded", "type": "rate_limited", "code": "1300"},
     errors.RateLimitError, "rate limit"),
]  # fmt: skip


@pytest.mark.parametrize(("status", "reply", "kind", "said"), ERRORS)
def test_errors(wire, client, status, reply, kind, said):
    """Each is what its status, type or words say; only a rate limit is worth asking again."""
    wire.answer = lambda _: httpx.Response(status, json=reply)
    with pytest.raises(errors.APIError, match=said) as caught:
        client.completion(MODEL, HELLO)
    assert (type(caught.value), caught.value.status_code) == (kind, status)
    assert caught.value.retryable is (status == 429)
    assert caught.value.body == reply


def test_an_error_in_place_of_an_answer(wire, client):
    """In a stream, and in the body of a success."""
    error = {"object": "error", "message": "Overloaded", "type": "server_error", "param": None, "code": "3700"}
    wire.answer = lambda _: httpx.Response(200, text=f"data: {json.dumps(error)}\n\n")
    with (
        pytest.raises(errors.InternalServerError, match="Overloaded"),
        client.completion(MODEL, HELLO, stream=True) as s,
    ):
        list(s)
    wire.answer = lambda _: httpx.Response(200, json=error)
    with pytest.raises(errors.InternalServerError, match="Overloaded"):
        client.completion(MODEL, HELLO)


def test_asynchronously(wire):
    """The same flows under the asynchronous driver."""

    async def main() -> None:
        providers = {"mistral": Mistral}
        async with Client(http=httpx.MockTransport(wire), api_key="sk-test", providers=providers) as client:
            wire.answer = lambda _: httpx.Response(200, content=ANSWER)
            assert (await client.acompletion(MODEL, HELLO)).text == "It is 4."
            wire.answer = lambda _: httpx.Response(200, content=ANSWER_STREAM)
            stream = await client.acompletion(MODEL, HELLO, stream=True)
            assert [chunk.usage.total_tokens async for chunk in stream if chunk.usage] == [104]

    asyncio.run(main())
