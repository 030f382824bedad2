"""Chat: a literal request beside the literal JSON it becomes, feature by feature."""

from __future__ import annotations

import msgspec
import pytest
from matrix import ASKED, NOW, PNG, WEATHER, result, say, show, text

from polyport import Client
from polyport.errors import BadRequestError, UnsupportedParamsError
from polyport.testing import Reply, Wire

KEY = "AIza-not-a-real-key"
USER = [say("Hello")]
HI = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "Hi"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 2, "totalTokenCount": 5},
}
SCHEMA = {"type": "object", "properties": {"a": {"$ref": "#/$defs/b"}}, "$defs": {"b": {"type": "integer"}}}


def client(wire, **options):
    """A client over a wire."""
    return Client(http=wire, **{"api_key": KEY, "num_retries": 0, **options})


def test_the_request_goes_to_the_models_method_with_the_key_in_a_header():
    """The model stands in the path, the key in `x-goog-api-key`, and nothing of either in the body."""
    wire = Wire(HI)
    with client(wire) as asking:
        asking.completion("gemini/gemini-2.5-flash", USER)
    (sent,) = wire.requests
    assert sent.url == "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"
    assert sent.headers["x-goog-api-key"] == KEY
    assert sent.json == {"contents": [{"role": "user", "parts": [{"text": "Hello"}]}]}


def test_a_stream_is_asked_for_by_another_method():
    """Streams come from streamGenerateContent, as server-sent events."""
    wire = Wire(b"data: " + msgspec.json.encode(HI) + b"\r\n\r\n")
    with client(wire) as asking:
        chunks = list(asking.completion("gemini/gemini-2.5-flash", USER, stream=True))
    assert wire.requests[0].path == "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    assert wire.requests[0].query == {"alt": "sse"}
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None, None, "stop"]
    assert chunks[-1].usage.total_tokens == 5


def test_tuned_models_tokens_versions_and_bare_names():
    """A name with a path is taken as it is, api_version replaces v1beta, a token of OAuth's goes to Authorization."""
    wire = Wire(HI)
    with client(wire, api_key="ya29.token", api_version="v1alpha") as asking:
        asking.completion("gemini/tunedModels/mine", USER)
        asking.completion("gemini-2.5-flash", USER)
    assert wire.requests[0].path == "/v1alpha/tunedModels/mine:generateContent"
    assert wire.requests[0].headers["authorization"] == "Bearer ya29.token"
    assert wire.requests[1].path == "/v1alpha/models/gemini-2.5-flash:generateContent"


def test_every_parameter_has_its_place(sent, adapted):
    """Parameters go into the generation config under Gemini's names."""
    given = {
        "temperature": 0.2, "top_p": 0.9, "top_k": 40, "n": 2, "max_completion_tokens": 9, "stop": "END", "seed": 7,
        "presence_penalty": 0.5, "frequency_penalty": 0.1, "logprobs": True, "top_logprobs": 3,
    }  # fmt: skip
    assert sent(**given)["generationConfig"] == {
        "temperature": 0.2, "topP": 0.9, "topK": 40, "candidateCount": 2, "maxOutputTokens": 9,
        "stopSequences": ["END"], "seed": 7, "presencePenalty": 0.5, "frequencyPenalty": 0.1,
        "responseLogprobs": True, "logprobs": 3,
    }  # fmt: skip
    assert adapted(**given) == []


@pytest.mark.parametrize("name", ["logit_bias", "prediction", "verbosity", "service_tier"])
def test_what_gemini_lacks_is_refused_or_dropped(ask, name):
    """What changes the answer is an error, and with drop_params it is left out and recorded."""
    value = {"logit_bias": {"1": 5}, "prediction": {"type": "content", "content": "x"}, "verbosity": "low"}.get(
        name, "x"
    )
    with pytest.raises(UnsupportedParamsError, match=name):
        ask(**{name: value})
    body, adapted, _ = ask(**{name: value}, drop_params=True)
    assert (body.keys(), adapted) == ({"contents"}, [(name, "dropped")])


def test_hints_are_dropped_and_recorded(adapted):
    """Who the user is changes nothing of the answer; that Gemini is not told so is recorded."""
    given = {"user": "u", "safety_identifier": "s", "prompt_cache_key": "k", "metadata": {"a": "b"}}
    assert adapted(**given) == [(name, "dropped") for name in given]


def test_structured_output_is_native(ask):
    """A schema is sent as JSON Schema, references and all; a class gives an instance."""
    shape = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
    body, adapted, _ = ask(response_format=shape)
    assert body["generationConfig"] == {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA}
    assert adapted == []
    body, _, _ = ask(response_format={"type": "json_object"})
    assert body["generationConfig"] == {"responseMimeType": "application/json"}

    class Town(msgspec.Struct):
        name: str

    answer = {**HI, "candidates": [{"content": {"parts": [{"text": '{"name": "Bath"}'}]}, "finishReason": "STOP"}]}
    assert ask(response_format=Town, reply=answer)[2].parsed == Town("Bath")


def test_functions_and_googles_own_tools(ask):
    """Functions share one tool; Google's own keep theirs, in OpenAI's, Anthropic's or Gemini's spelling."""
    given = [WEATHER, NOW, {"type": "web_search"}, {"code_execution": {}}, {"type": "urlContext"}]
    body, adapted, _ = ask("gemini-3.5-flash", tools=given, tool_choice="required")
    functions, *others = body["tools"]
    assert [one["name"] for one in functions["functionDeclarations"]] == ["get_weather", "now"]
    assert functions["functionDeclarations"][0]["parametersJsonSchema"] == WEATHER["function"]["parameters"]
    assert "parametersJsonSchema" not in functions["functionDeclarations"][1]
    assert others == [{"googleSearch": {}}, {"codeExecution": {}}, {"urlContext": {}}]
    assert body["toolConfig"] == {
        "functionCallingConfig": {"mode": "ANY"},
        "includeServerSideToolInvocations": True,
    }
    assert adapted == []


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("auto", {"mode": "AUTO"}),
        ("none", {"mode": "NONE"}),
        ({"type": "function", "function": {"name": "now"}}, {"mode": "ANY", "allowedFunctionNames": ["now"]}),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "name": "now"}]},
            },
            {"mode": "VALIDATED", "allowedFunctionNames": ["now"]},
        ),
    ],
)
def test_tool_choice(sent, choice, config):
    """Which tools may be called, and whether one must be."""
    assert sent(tools=[NOW], tool_choice=choice)["toolConfig"]["functionCallingConfig"] == config


def test_one_call_at_a_time_cannot_be_had(ask):
    """parallel_tool_calls=False is refused; without tools it means nothing."""
    with pytest.raises(UnsupportedParamsError, match="one call at a time"):
        ask(tools=[NOW], parallel_tool_calls=False)
    assert ask(parallel_tool_calls=False)[1] == []


def test_web_search_options(sent, adapted):
    """A search is offered; how much of it is read cannot be said."""
    assert sent(web_search_options={})["tools"] == [{"googleSearch": {}}]
    asked = {"web_search_options": {"search_context_size": "low"}, "drop_params": True}
    assert adapted(**asked) == [("web_search_options", "dropped")]


@pytest.mark.parametrize(
    ("model", "wish", "config"),
    [
        ("gemini-3.5-flash", {"reasoning_effort": "minimal"}, {"thinkingLevel": "MINIMAL", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", {"reasoning_effort": "minimal"}, {"thinkingLevel": "LOW", "includeThoughts": True}),
        ("gemini-3.1-pro-preview", {"reasoning_effort": "none"}, {"thinkingLevel": "LOW"}),
        ("gemini-flash-latest", {"reasoning_effort": "high"}, {"thinkingLevel": "HIGH", "includeThoughts": True}),
        ("gemini-2.5-flash", {"reasoning_effort": "low"}, {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, {"thinkingBudget": 128}),
        ("gemini-2.5-pro", {"thinking": {"type": "enabled", "budget_tokens": 99}},
         {"thinkingBudget": 99, "includeThoughts": True}),
        ("gemini-2.5-pro", {"thinking": {"type": "disabled"}}, {"thinkingBudget": 128}),
        ("gemini-2.5-pro", {"thinking_config": {"thinking_budget": -1}}, {"thinkingBudget": -1}),
        ("gemini-3.5-flash", {"thinking": {"thinkingLevel": "HIGH"}}, {"thinkingLevel": "HIGH"}),
    ],
)  # fmt: skip
def test_thinking(sent, model, wish, config):
    """An effort is a level for newer models and a budget for those of generation 2.5."""
    assert sent(model, **wish)["generationConfig"]["thinkingConfig"] == config


def test_a_model_that_does_not_think(ask):
    """Generation 2.0 cannot be made to think; not thinking is what it does."""
    with pytest.raises(UnsupportedParamsError, match="does not think"):
        ask("gemini-2.0-flash", reasoning_effort="low")
    assert "generationConfig" not in ask("gemini-2.0-flash", reasoning_effort="none")[0]


def test_gemini_s_own_parameters(sent):
    """Safety settings, caches and the like, in either spelling; what is not known goes out as it came."""
    body = sent(
        safety_settings=[{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        cachedContent="cachedContents/1",
        media_resolution="MEDIA_RESOLUTION_LOW",
        image_config={"aspect_ratio": "16:9"},
        labels={"my_team": "a"},
        some_new_thing=1,
    )
    assert body["safetySettings"] == [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}]
    assert (body["cachedContent"], body["labels"], body["some_new_thing"]) == ("cachedContents/1", {"my_team": "a"}, 1)
    assert body["generationConfig"] == {
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
        "imageConfig": {"aspectRatio": "16:9"},
    }


@pytest.mark.parametrize(
    ("part", "piece"),
    [
        ({"type": "image_url", "image_url": PNG}, {"inlineData": {"mimeType": "image/png", "data": PNG[22:]}}),
        ({"type": "image_url", "image_url": "https://x.example/a.jpg?b=c"},
         {"fileData": {"fileUri": "https://x.example/a.jpg?b=c", "mimeType": "image/jpeg"}}),
        ({"type": "input_audio", "input_audio": {"data": "UklG", "format": "mp3"}},
         {"inlineData": {"mimeType": "audio/mp3", "data": "UklG"}}),
        ({"type": "video_url", "video_url": {"url": "https://www.youtube.com/watch?v=9hE5-98ZeCg"}},
         {"fileData": {"fileUri": "https://www.youtube.com/watch?v=9hE5-98ZeCg", "mimeType": "video/mp4"}}),
        ({"type": "video_url", "video_url": "gs://bucket/a.webm"},
         {"fileData": {"fileUri": "gs://bucket/a.webm", "mimeType": "video/webm"}}),
        ({"type": "file", "file": {"file_id": "abc-1", "format": "application/pdf"}},
         {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc-1",
                       "mimeType": "application/pdf"}}),
        ({"type": "file", "file": {"file_data": "data:text/plain,Hello%20you", "filename": "a.txt"}},
         {"inlineData": {"mimeType": "text/plain", "data": "SGVsbG8geW91"}}),
        ({"type": "gemini", "fileData": {"fileUri": "gs://b/a.mp4"}, "videoMetadata": {"fps": 2}},
         {"fileData": {"fileUri": "gs://b/a.mp4"}, "videoMetadata": {"fps": 2}}),
    ],
)  # fmt: skip
def test_media(sent, part, piece):
    """Pictures, sound, video and documents, by address or whole."""
    assert sent(messages=show(text("Look"), part))["contents"][0]["parts"] == [{"text": "Look"}, piece]


def test_a_file_whose_type_cannot_be_told_is_fetched():
    """Gemini must be told a file's type: where its address does not tell it, the file is fetched, without the key."""

    def answer(sent):
        if sent.url == "https://x.example/picture":
            assert "x-goog-api-key" not in sent.headers
            return Reply(content=b"\x89PNG\r\n\x1a\n", headers={"content-type": "image/png"})
        return HI

    wire = Wire(answer)
    with client(wire) as asking:
        got = asking.completion(
            "gemini/gemini-2.5-flash", show({"type": "image_url", "image_url": "https://x.example/picture"})
        )
    assert wire.requests[1].json["contents"][0]["parts"] == [
        {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    ]
    assert [a.action for a in got.meta.adaptations] == ["emulated"]


def test_tool_results(sent):
    """Results of calls made together stand in one turn; pictures in them as the generation of the model takes them."""
    history = [*ASKED, result("call_1", '{"sky": "grey"}')]
    assert sent("gemini-3.5-flash", history)["contents"][2] == {
        "role": "user",
        "parts": [{"functionResponse": {"id": "call_1", "name": "get_weather", "response": {"sky": "grey"}}}],
    }
    seen = [*ASKED, result("call_1", [text("A map"), {"type": "image_url", "image_url": PNG}])]
    picture = {"inlineData": {"mimeType": "image/png", "data": PNG[22:]}}
    nested = sent("gemini-3.5-flash", seen)["contents"][2]["parts"]
    assert [part["functionResponse"]["parts"] for part in nested] == [[picture]]
    beside = sent("gemini-2.5-flash", seen)["contents"][2]["parts"]
    assert beside[0]["functionResponse"]["response"] == {"output": "A map"}
    assert beside[1] == picture


def test_functions_of_the_older_shape(sent):
    """function_call and its result have no ids, and none is made up."""
    history = [
        say("x"),
        {"role": "assistant", "content": None, "function_call": {"name": "now", "arguments": "{}"}},
        {"role": "function", "name": "now", "content": "noon"},
    ]
    _, call, answer = sent("gemini-2.5-flash", history, functions=[NOW["function"]], function_call="auto")["contents"]
    assert call["parts"] == [{"functionCall": {"name": "now", "args": {}}}]
    assert answer["parts"] == [{"functionResponse": {"name": "now", "response": {"output": "noon"}}}]


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([{"role": "system", "content": "x"}], "besides the instructions"),
        ([say("x"), result("nobody", "y")], "No tool was called with the id 'nobody'"),
        (show({"type": "file", "file": {"filename": "a"}}), "needs file_data"),
        (show({"type": "hologram", "hologram": 1}), "no part of type 'hologram'"),
        (show({"type": "image_url", "image_url": "ftp://x/y.png"}), "reads http"),
    ],
)
def test_histories_that_gemini_cannot_take(ask, messages, why):
    """What cannot be sent is an error that says what and where."""
    with pytest.raises(BadRequestError, match=why):
        ask(messages=messages)
