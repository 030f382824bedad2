"""Replies: what Gemini says beside text and calls, and what a message's own fields cannot hold."""

from __future__ import annotations

import base64

import pytest

from polyport import Client
from polyport.errors import (
    AuthenticationError,
    BadRequestError,
    ContentPolicyViolationError,
    ContextWindowExceededError,
    InvalidResponseError,
    RateLimitError,
    ServiceUnavailableError,
)
from polyport.testing import Reply, Wire
from polyport_gemini.partial import put

USER = [{"role": "user", "content": "Hello"}]
USAGE = {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5}


def client(wire):
    """A client over a wire."""
    return Client(http=wire, api_key="AIza-test", num_retries=0)


def reply(*parts, finish="STOP", **fields):
    """A reply of these parts."""
    candidate = {"content": {"parts": list(parts)}, "finishReason": finish, **fields}
    return {"candidates": [candidate], "usageMetadata": USAGE, "responseId": "r-1"}


def test_a_signed_call_carries_its_signature_where_googles_own_endpoint_has_it(said):
    """A call's signature is in `extra_content`, and a call without an id has one that is the same every time."""
    part = {"functionCall": {"name": "now", "args": {"zone": "UTC"}}, "thoughtSignature": "c2ln"}
    first, again = said(reply(part)), said(reply(part))
    (call,) = first.choices[0].message.tool_calls
    assert call.extra_content == {"google": {"thought_signature": "c2ln"}}
    assert call.id == again.choices[0].message.tool_calls[0].id
    assert first.choices[0].finish_reason == "tool_calls"
    assert first.choices[0].message.provider_specific_fields is None


def test_code_that_google_ran_is_kept_and_goes_back(said, sent):
    """Parts without a place in OpenAI's shape are kept, and the next turn sends them unchanged."""
    parts = [
        {"executableCode": {"language": "PYTHON", "code": "print(1)"}},
        {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
        {"text": "It is 1.", "thoughtSignature": "c2ln"},
    ]
    message = said(reply(*parts)).choices[0].message
    assert (message.content, message.provider_specific_fields["gemini_parts"]) == ("It is 1.", parts)
    assert sent(messages=[*USER, message, *USER])["contents"][1] == {"role": "model", "parts": parts}
    changed = {**message.to_dict(), "content": "It is 2."}
    assert sent(messages=[*USER, changed, *USER])["contents"][1]["parts"] == [{"text": "It is 2."}]


def test_grounding_becomes_annotations_that_count_characters(said):
    """Gemini counts bytes; an annotation's place is in characters of the text."""
    grounding = {
        "groundingChunks": [{"web": {"uri": "https://a.example", "title": "A"}},
                            {"retrievedContext": {"title": "T", "text": "quoted"}}],
        "groundingSupports": [{"segment": {"startIndex": 6, "endIndex": 12}, "groundingChunkIndices": [0, 1, 9]}],
    }  # fmt: skip
    message = said(reply({"text": "Füße ünïc."}, groundingMetadata=grounding)).choices[0].message
    web, own = message.annotations
    assert web == {"type": "url_citation",
                   "url_citation": {"url": "https://a.example", "title": "A", "start_index": 4,
                                    "end_index": 8}}  # fmt: skip
    assert own["document_citation"]["cited_text"] == "quoted"
    assert message.provider_specific_fields["grounding_metadata"] == grounding


def test_log_probabilities(said):
    """Log probabilities have OpenAI's form."""
    result = {
        "chosenCandidates": [{"token": "Hi", "logProbability": -0.1}],
        "topCandidates": [
            {"candidates": [{"token": "Hi", "logProbability": -0.1}, {"token": "Ho", "logProbability": -3}]}
        ],
    }
    (token,) = said(reply({"text": "Hi"}, logprobsResult=result)).choices[0].logprobs["content"]
    assert (token["token"], token["logprob"], token["bytes"]) == ("Hi", -0.1, [72, 105])
    assert [top["token"] for top in token["top_logprobs"]] == ["Hi", "Ho"]


def test_pictures_and_sound(said):
    """What a model draws is in `images`, what it says aloud in `audio`, as a WAV where one was asked for."""
    picture = {"inlineData": {"mimeType": "image/png", "data": "iVBO"}}
    message = said(reply({"text": "Here"}, picture)).choices[0].message
    assert message.images[0]["image_url"]["url"] == "data:image/png;base64,iVBO"
    pcm = base64.b64encode(b"\0\1" * 4).decode()
    spoken = reply({"inlineData": {"mimeType": "audio/L16;rate=24000", "data": pcm}})
    asked = {"modalities": ["audio"], "audio": {"voice": "Kore", "format": "wav"}}
    sound = base64.b64decode(said(spoken, **asked).choices[0].message.audio.data)
    assert (sound[:4], sound[-8:]) == (b"RIFF", b"\0\1" * 4)
    assert said(spoken).choices[0].message.audio.data == pcm


@pytest.mark.parametrize(
    ("finish", "word"),
    [("STOP", "stop"), ("MAX_TOKENS", "length"), ("SAFETY", "content_filter"), ("RECITATION", "content_filter"),
     ("MALFORMED_FUNCTION_CALL", "stop"), (1, "stop"), (2, "length"), (3, "content_filter")],
)  # fmt: skip
def test_finish_reasons(said, finish, word):
    """Gemini's reasons in OpenAI's words; what those do not say is kept."""
    choice = said(reply({"text": "x"}, finish=finish, finishMessage="because")).choices[0]
    assert choice.finish_reason == word
    kept = choice.message.provider_specific_fields or {}
    assert kept.get("finish_reason") == (finish if finish in ("SAFETY", "RECITATION", "MALFORMED_FUNCTION_CALL") else
                                         "SAFETY" if finish == 3 else None)  # fmt: skip
    assert choice.message.refusal == ("because" if word == "content_filter" else None)


def test_a_blocked_prompt_is_an_error_streamed_or_not(said):
    """A prompt that the filters refuse has no answer and no error status: it is a ContentPolicyViolationError."""
    body = {"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": "m"}
    with pytest.raises(ContentPolicyViolationError, match="PROHIBITED_CONTENT"):
        said(body)
    with pytest.raises(ContentPolicyViolationError), client(Wire(sse(body))) as asking:
        list(asking.completion("gemini/gemini-x", USER, stream=True))


def test_an_answer_without_candidates_is_no_reply(said):
    """A reply must have an answer, or say why not."""
    with pytest.raises(InvalidResponseError, match="candidates"):
        said({"usageMetadata": {"promptTokenCount": 3}})


def sse(*events):
    """Write events as an event stream."""
    import json

    return b"".join(b"data: " + json.dumps(event).encode() + b"\r\n\r\n" for event in events)


def test_an_error_in_a_stream(said):
    """An error that comes in a stream is of the class that its status says."""
    error = {"error": {"code": 503, "message": "The model is overloaded.", "status": "UNAVAILABLE"}}
    with client(Wire(sse(reply({"text": "Hi"}, finish=None), error))) as asking:
        stream = asking.completion("gemini/gemini-x", USER, stream=True)
        with pytest.raises(ServiceUnavailableError, match="overloaded"):
            list(stream)


def test_a_call_whose_arguments_are_streamed():
    """Arguments that come bit by bit, by JSONPath, are told when they are complete; the signature with the name."""
    events = [
        {"functionCall": {"name": "plan", "willContinue": True}, "thoughtSignature": "c2ln"},
        {"functionCall": {"partialArgs": [{"jsonPath": "$.stops[0].town", "stringValue": "Ba", "willContinue": True}],
                          "willContinue": True}},
        {"functionCall": {"partialArgs": [{"jsonPath": "$.stops[0].town", "stringValue": "th"},
                                          {"jsonPath": "$.days", "numberValue": 2},
                                          {"jsonPath": "$['by car']", "boolValue": True}], "willContinue": True}},
        {"functionCall": {}},
        {"functionCall": {"name": "now", "args": {}}},
    ]  # fmt: skip
    body = sse(*[reply(part, finish=None) for part in events], reply(finish="STOP"))
    with client(Wire(body)) as asking:
        chunks = list(asking.completion("gemini/gemini-x", USER, stream=True))
    pieces = [call for chunk in chunks for choice in chunk.choices for call in choice.delta.tool_calls or []]
    assert [(piece.index, piece.function.name) for piece in pieces] == [(0, "plan"), (0, None), (1, "now")]
    assert pieces[1].function.arguments == '{"stops":[{"town":"Bath"}],"days":2,"by car":true}'
    assert pieces[0].extra_content == {"google": {"thought_signature": "c2ln"}}
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


def test_a_path_that_does_not_fit_what_is_there_changes_nothing():
    """A JSONPath into a text, or into nothing, is passed over."""
    whole = {"a": "x"}
    put(whole, "$.a.b", 1)
    put(whole, "$", 2)
    assert whole == {"a": "x"}


def error(code, message, status, *details):
    """An error of Google's."""
    body = {"error": {"code": code, "message": message, "status": status, "details": list(details)}}
    return Reply.of(body, status=code)


INVALID_KEY = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.07s"}


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (error(400, "API key not valid.", "INVALID_ARGUMENT", INVALID_KEY), AuthenticationError),
        (error(400, "The input token count (1250074) exceeds the maximum number of tokens allowed (1048576).",
               "INVALID_ARGUMENT"), ContextWindowExceededError),
        (error(400, "This prompt contains words that violate Google's Responsible AI practices.",
               "INVALID_ARGUMENT"), ContentPolicyViolationError),
        (error(400, "Please use a valid role: user, model.", "INVALID_ARGUMENT"), BadRequestError),
        (error(429, "Quota exceeded", "RESOURCE_EXHAUSTED", RETRY), RateLimitError),
    ],
)  # fmt: skip
def test_errors_are_of_their_class(answer, kind):
    """Google says INVALID_ARGUMENT to many things; the message and the details tell them apart."""
    with client(Wire(answer)) as asking, pytest.raises(kind) as caught:
        asking.completion("gemini/gemini-x", USER)
    assert type(caught.value) is kind
    assert caught.value.retry_after == (34.07 if kind is RateLimitError else None)
