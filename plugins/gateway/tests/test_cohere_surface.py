"""The official `cohere` SDK with only base URL and key changed, over providers of three dialects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import httpx
import pytest

from .cohere_events import assembled
from .services import listening
from .test_official_clients import ANSWERS, KEY, PICTURE, TOOL, Handler, Vendors
from .waiting import until

cohere = pytest.importorskip("cohere")
pytest.importorskip("tokenizers", reason="the cohere SDK needs it, and fastavro")
conformance = pytest.importorskip("polyport_cohere.conformance")
pytest.importorskip("polyport_openai")
pytest.importorskip("polyport_anthropic")

HELLO = [{"role": "user", "content": "Hello?"}]
DOCUMENT = {"id": "d1", "data": {"title": "Penguins", "snippet": "They live at the South Pole."}}
MODELS = ("gpt", "claude", "command")


def chat(body: Any) -> Any:
    """Answer as Cohere does: with a thought, a text, a citation, a plan and a call."""
    return ("text/event-stream", conformance.STREAM) if body.get("stream") else conformance.REPLY


def embed(body: Any) -> Any:
    """Return two numbers of each type for each input."""
    inputs = body.get("texts") or body.get("inputs") or body["images"]
    vectors = {name: [[1, 0]] * len(inputs) for name in body["embedding_types"]}
    return {"id": "e1", "embeddings": vectors, "texts": body.get("texts") or [], "own": 1.5,
            "meta": {"api_version": {"version": "2"}, "billed_units": {"input_tokens": 4}},
            "response_type": "embeddings_by_type"}  # fmt: skip


class Coheres(Handler):
    """Cohere, beside the other vendors."""

    answers = (
        ("POST /v2/chat", chat),
        ("POST (/v2)?/embed", embed),
        ("POST /v2/audio/transcriptions", lambda _: {"text": "hi"}),
        ("POST /tokenize", lambda _: {"tokens": [1, 2], "token_strings": ["He", "llo"], "own": 1.5}),
        ("POST /detokenize", lambda _: {"text": "Hello"}),
        *ANSWERS,
    )


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    """The vendors."""
    with listening(Vendors(Coheres)) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(vendors: Vendors, start: Callable[..., Any]) -> Any:
    """A gateway in front of them."""
    models = {
        "gpt": ("openai/gpt-4o", "/v1"), "claude": ("anthropic/claude-sonnet-4-5", ""),
        "command": ("cohere/command-a-reasoning-08-2025", ""), "vectors": ("openai/text-embedding-3-small", "/v1"),
        "embed": ("cohere/embed-v4.0", ""), "sound": ("openai/whisper-1", "/v1"),
        "hear": ("cohere/cohere-transcribe-03-2026", ""),
    }  # fmt: skip
    listed = [
        {"model_name": name, "params": {"model": model, "api_key": "sk-u", "api_base": vendors.address + more}}
        for name, (model, more) in models.items()
    ]
    mixed = [{**one, "model_name": "mixed"} for one in (listed[0], listed[2])]
    return start({
        "model_list": [*listed, *mixed], "general_settings": {"master_key": KEY}, "router_settings": {"num_retries": 0},
    })  # fmt: skip


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """What the SDKs send with: they close nothing by themselves."""
    with httpx.Client(timeout=120) as client:
        yield client


@pytest.fixture
def client(gateway: Any, http: httpx.Client) -> Any:
    """The SDK of the second version."""
    return cohere.ClientV2(api_key=KEY, base_url=gateway.url, httpx_client=http)


def ask(gateway: Any, path: str, body: Any) -> httpx.Response:
    """Send what the SDK has no words for."""
    return httpx.post(gateway.url + path, json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=120)


def streamed(events: Iterable[Any]) -> Any:
    """Return what the SDK's events come to, put together."""
    return read(assembled([json.loads(event.json(exclude_none=True)) for event in events]))


def whole(reply: Any) -> Any:
    """Return a reply as plain data, without its id."""
    told = json.loads(reply.json(exclude_none=True))
    told.pop("id")
    return read(told)


def read(told: Any) -> Any:
    """Return a reply with the arguments of its calls read: how JSON is spaced is the vendor's affair."""
    for call in told["message"].get("tool_calls", ()):
        call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    return told


# --- chat ---


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("more", [{}, {"tools": [TOOL]}, {"documents": [DOCUMENT, "Ice is cold."]}])
def test_a_chat_whole_and_streamed_is_the_same(client: Any, model: str, more: Any) -> None:
    """Over each dialect: text, or a call of a tool; and the usage in both of Cohere's counts."""
    asked = {"model": model, "messages": HELLO, **more}
    told = whole(client.chat(**asked))
    assert streamed(client.chat_stream(**asked)) == told
    if model != "command":
        calls = told["message"].get("tool_calls")
        assert told["finish_reason"] == ("TOOL_CALL" if "tools" in more else "COMPLETE")
        assert [one["function"]["arguments"] for one in calls or ()] == [{"at": "sea"}] * bool(calls)
        assert ("content" in told["message"]) == ("tools" not in more)
        assert told["usage"]["tokens"] == {"input_tokens": 7, "output_tokens": 3}
        assert told["usage"]["billed_units"] == {"input_tokens": 7, "output_tokens": 3}


def test_what_others_have_too_goes_to_them(client: Any, vendors: Vendors) -> None:
    """Under their names: sampling, stops, formats, choices, strict tools, pictures."""
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    picture = {"role": "user", "content": [{"type": "text", "text": "What is it?"}, PICTURE]}
    client.chat(
        model="gpt",
        messages=[{"role": "system", "content": "Be brief."}, picture],
        temperature=0.5, p=0.9, seed=3, max_tokens=20, stop_sequences=["x"], frequency_penalty=0.1,
        presence_penalty=0.2, logprobs=True, tools=[TOOL], strict_tools=True, tool_choice="REQUIRED",
        response_format={"type": "json_object", "json_schema": schema},
    )  # fmt: skip
    sent = vendors.last
    assert sent["messages"] == [{"role": "system", "content": "Be brief."}, picture]
    assert {name: sent[name] for name in ("temperature", "top_p", "seed", "max_tokens", "stop", "tool_choice")} == {
        "temperature": 0.5, "top_p": 0.9, "seed": 3, "max_tokens": 20, "stop": ["x"], "tool_choice": "required",
    }  # fmt: skip
    assert (sent["frequency_penalty"], sent["presence_penalty"], sent["logprobs"]) == (0.1, 0.2, True)
    assert sent["tools"][0]["function"]["strict"] is True
    assert sent["response_format"]["json_schema"]["schema"] == schema
    assert "stream_options" not in sent


def test_tools_go_round(client: Any, vendors: Vendors) -> None:
    """A call, its result as documents, and the answer; over another vendor the documents are JSON."""
    for model in ("gpt", "claude"):
        first = client.chat(model=model, messages=HELLO, tools=[TOOL])
        (call,) = first.message.tool_calls
        document = {"type": "document", "document": {"id": "r1", "data": {"seen": "a ship"}}}
        turns = [*HELLO, first.message, {"role": "tool", "tool_call_id": call.id, "content": [document]}]
        last = client.chat(model=model, messages=turns, tools=[TOOL])
        assert last.message.content[0].text == "Well, hello"
        assert "a ship" in json.dumps(vendors.last)
        assert call.id in json.dumps(vendors.last["messages"][-1])


def test_thoughts_of_another_vendor_go_back_signed(client: Any, vendors: Vendors) -> None:
    """Anthropic takes its thoughts back with their signature alone; whole or streamed, Cohere's SDK keeps it."""
    asked = {"model": "claude", "messages": HELLO, "tools": [TOOL], "max_tokens": 4000}
    thinking = {"type": "enabled", "token_budget": 1024}
    first = client.chat(**asked, thinking=thinking)
    assert streamed(client.chat_stream(**asked, thinking=thinking)) == whole(first)
    assert vendors.last["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert first.message.content[0].thinking == "Hm."
    result = {"role": "tool", "tool_call_id": first.message.tool_calls[0].id, "content": "a ship"}
    client.chat(**{**asked, "messages": [*HELLO, first.message, result]}, thinking=thinking)
    assert vendors.last["messages"][1]["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}


def test_documents_are_told_before_the_question(gateway: Any, vendors: Vendors) -> None:
    """To a vendor without documents; and the reply says that nothing is cited."""
    answer = ask(gateway, "/v2/chat", {"model": "gpt", "messages": HELLO, "documents": [DOCUMENT]})
    assert answer.headers["x-polyport-adaptations"] == "documents emulated"
    first, question = vendors.last["messages"][-1]["content"]
    assert (json.loads(first["text"].splitlines()[-1]), question["text"]) == (DOCUMENT, "Hello?")
    assert "documents" not in vendors.last


OWN: dict[str, Any] = {
    "citation_options": {"mode": "FAST"}, "safety_mode": "STRICT", "priority": 2, "documents": [DOCUMENT],
    "brand_new": {"a": 1},
}  # fmt: skip


def test_what_only_cohere_has_goes_to_cohere(gateway: Any, vendors: Vendors) -> None:
    """As it is, what came after this was written included; earlier answers with their plan and citations."""
    turns = [
        *HELLO,
        {**conformance.MESSAGE, "role": "assistant"},
        {"role": "tool", "tool_call_id": "now_1", "content": [{"type": "document", "document": DOCUMENT}]},
    ]
    thinking = {"type": "enabled", "token_budget": 99}
    answer = ask(gateway, "/v2/chat", {"model": "command", "messages": turns, **OWN, "thinking": thinking, "k": 3})
    assert "x-polyport-adaptations" not in answer.headers
    assert {name: vendors.last[name] for name in OWN} == OWN
    assert (vendors.last["thinking"], vendors.last["k"]) == (thinking, 3)
    assert vendors.last["messages"] == turns


@pytest.mark.parametrize("model", ["gpt", "mixed"])
@pytest.mark.parametrize("name", [name for name in OWN if name != "documents"])
def test_what_only_cohere_has_is_named_of_others(gateway: Any, vendors: Vendors, model: str, name: str) -> None:
    """Refused, or with drop_params left out and told; also of a model that another vendor may answer for."""
    asked = {"model": model, "messages": HELLO, name: OWN[name]}
    refused = ask(gateway, "/v2/chat", asked)
    assert refused.status_code == 400
    assert name in refused.json()["message"]
    dropped = ask(gateway, "/v2/chat", {**asked, "drop_params": True})
    assert f"{name} dropped" in dropped.headers["x-polyport-adaptations"]
    assert name not in vendors.last


def test_what_asks_for_nothing_is_left_out(gateway: Any) -> None:
    """No citations, the first place in the queue, no documents: so it is everywhere."""
    asked = {"citation_options": {"mode": "OFF"}, "priority": 0, "documents": [], "strict_tools": False}
    answer = ask(gateway, "/v2/chat", {"model": "gpt", "messages": HELLO, **asked, "response_format": {"type": "text"}})
    assert (answer.status_code, "x-polyport-adaptations" in answer.headers) == (200, False)


def test_citations_of_earlier_answers_are_told_to_be_left_out(gateway: Any, vendors: Vendors) -> None:
    """Another vendor has no place for them; the plan is reasoning."""
    turns = [*HELLO, conformance.MESSAGE, {"role": "tool", "tool_call_id": "now_1", "content": "noon"}]
    answer = ask(gateway, "/v2/chat", {"model": "gpt", "messages": turns})
    assert "messages dropped" in answer.headers["x-polyport-adaptations"]
    assert "citations" not in json.dumps(vendors.last)
    assert vendors.last["messages"][1]["content"] == "Hi, ünïcode"


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"messages": HELLO}, "$.model"),
        ({"model": "gpt"}, "$.messages"),
        ({"model": "gpt", "messages": ["x"]}, "$.messages[0]"),
        ({"model": "gpt", "messages": [{"role": "wizard"}]}, "$.messages[0]"),
        ({"model": "gpt", "messages": [{"role": "user", "content": 3}]}, "$.messages[0].content"),
        ({"model": "gpt", "messages": [{"role": "tool", "content": "x"}]}, "$.messages[0].tool_call_id"),
        (
            {"model": "gpt", "messages": [{"role": "user", "content": [{"type": "hologram"}]}]},
            "$.messages[0].content[0]",
        ),
        ({"model": "gpt", "messages": HELLO, "tool_choice": "auto"}, "$.tool_choice"),
        ({"model": "gpt", "messages": HELLO, "tools": {}}, "$.tools"),
        ({"model": "gpt", "messages": HELLO, "thinking": 3}, "$.thinking"),
        ({"model": "gpt", "messages": HELLO, "documents": {}}, "$.documents"),
        ({"model": "gpt", "messages": HELLO, "response_format": {"type": "xml"}}, "$.response_format"),
    ],
)
def test_malformed_requests_are_refused_by_their_path(gateway: Any, asked: Any, path: str) -> None:
    """In Cohere's shape."""
    refused = ask(gateway, "/v2/chat", asked)
    assert refused.status_code == 400
    assert path in refused.json()["message"]


def test_errors_are_coheres(client: Any, gateway: Any, http: httpx.Client) -> None:
    """Its SDK raises its own classes, with a message to read; a wrong key is told as any other."""
    with pytest.raises(cohere.NotFoundError) as unknown:
        client.chat(model="nope", messages=HELLO)
    assert "nope" in unknown.value.body["message"]
    with pytest.raises(cohere.NotFoundError):
        list(client.chat_stream(model="nope", messages=HELLO))
    stranger = cohere.ClientV2(api_key="sk-wrong", base_url=gateway.url, httpx_client=http)
    with pytest.raises(cohere.UnauthorizedError):
        stranger.chat(model="gpt", messages=HELLO)


def test_the_asynchronous_sdk(gateway: Any) -> None:
    """Whole and streamed."""

    async def run() -> tuple[str, str]:
        async with httpx.AsyncClient(timeout=120) as http:
            client = cohere.AsyncClientV2(api_key=KEY, base_url=gateway.url, httpx_client=http)
            events = [event async for event in client.chat_stream(model="gpt", messages=HELLO)]
            answer = await client.chat(model="gpt", messages=HELLO)
            return answer.message.content[0].text, streamed(events)["message"]["content"][0]["text"]

    assert asyncio.run(run()) == ("Well, hello", "Well, hello")


# --- the first version's chat ---

FIRST_TOOL = {
    "name": "look",
    "description": "Look.",
    "parameter_definitions": {
        "at": {"type": "str", "description": "Where", "required": True},
        "times": {"type": "List[int]"}, "how": {"type": "Mood"}, "far": {"type": "bool"},
    },
}  # fmt: skip


@pytest.fixture
def first(gateway: Any, http: httpx.Client) -> Any:
    """The SDK of the first version."""
    return cohere.Client(api_key=KEY, base_url=gateway.url, httpx_client=http)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("more", [{}, {"tools": [FIRST_TOOL]}, {"documents": [{"title": "Penguins"}]}])
def test_the_first_chat_whole_and_streamed_is_the_same(first: Any, model: str, more: Any) -> None:
    """The last event has what the whole reply is; the others tell of it piece by piece."""
    told = json.loads(first.chat(model=model, message="Hello?", **more).json(exclude_none=True))
    events = [
        json.loads(event.json(exclude_none=True)) for event in first.chat_stream(model=model, message="Hello?", **more)
    ]
    kinds = [event["event_type"] for event in events]
    assert (kinds[0], kinds[-1]) == ("stream-start", "stream-end")
    assert [event["is_finished"] for event in events] == [False] * (len(events) - 1) + [True]
    last = events[-1]["response"]
    for name in ("response_id", "generation_id"):
        assert last.pop(name)
        assert told.pop(name)
    assert last == told
    assert "".join(event["text"] for event in events if event["event_type"] == "text-generation") == (
        "" if model != "command" and "tools" in more else told["text"]
    )
    called = [one for event in events if event["event_type"] == "tool-calls-generation" for one in event["tool_calls"]]
    assert called == told.get("tool_calls", [])
    if model == "command":
        assert (told["citations"][0]["document_ids"], told["documents"][0]["title"]) == (["doc-0"], "A")
        assert told["thinking"] == "A greeting."
        return
    assert (told["finish_reason"], told["meta"]["tokens"]) == ("COMPLETE", {"input_tokens": 7, "output_tokens": 3})
    turn = {"role": "CHATBOT", "message": told["text"]} | ({"tool_calls": called} if called else {})
    assert told["chat_history"] == [{"role": "USER", "message": "Hello?"}, turn]
    assert called == ([{"name": "look", "parameters": {"at": "sea"}}] if "tools" in more else [])


def test_the_first_chat_goes_on(first: Any, vendors: Vendors) -> None:
    """By its own history: what was asked, called, answered; the preamble first; Python's types as JSON's."""
    asked = first.chat(model="gpt", message="Hello?", preamble="Be brief.", tools=[FIRST_TOOL], k=None, p=0.5)
    schema = vendors.last["tools"][0]["function"]["parameters"]
    assert schema["required"] == ["at"]
    assert schema["properties"] == {
        "at": {"type": "string", "description": "Where"}, "times": {"type": "array", "items": {"type": "integer"}},
        "how": {"description": "(Mood)"}, "far": {"type": "boolean"},
    }  # fmt: skip
    assert (vendors.last["messages"][0], vendors.last["top_p"]) == ({"role": "system", "content": "Be brief."}, 0.5)
    results = [{"call": asked.tool_calls[0], "outputs": [{"seen": "a ship"}]}]
    told = first.chat(
        model="gpt", message="", chat_history=asked.chat_history, tools=[FIRST_TOOL], tool_results=results
    )
    assert told.text == "Well, hello"
    user, called, answered = vendors.last["messages"]
    assert (user["content"], called["tool_calls"][0]["function"]["name"]) == ("Hello?", "look")
    assert answered["tool_call_id"] == called["tool_calls"][0]["id"]
    assert json.loads(answered["content"]) == [{"seen": "a ship"}]
    assert [turn.role for turn in told.chat_history] == ["USER", "CHATBOT", "TOOL", "CHATBOT"]
    again = first.chat(model="gpt", message="And?", chat_history=told.chat_history)
    assert [one["role"] for one in vendors.last["messages"]] == ["user", "assistant", "tool", "assistant", "user"]
    assert again.text == "Well, hello"


def test_results_in_one_step_bring_their_calls(first: Any, vendors: Vendors) -> None:
    """The question, what was called, what came of it: nobody said that before."""
    call = {"name": "look", "parameters": {"at": "sea"}}
    results = [{"call": call, "outputs": [{"seen": 1}]}, {"call": call, "outputs": [{"seen": 2}]}]
    first.chat(model="gpt", message="Hello?", tools=[FIRST_TOOL], tool_results=results)
    user, called, *answered = vendors.last["messages"]
    assert user["content"] == "Hello?"
    assert [one["id"] for one in called["tool_calls"]] == [one["tool_call_id"] for one in answered]
    assert [json.loads(one["content"])[0]["seen"] for one in answered] == [1, 2]


def test_what_the_first_version_had_alone(gateway: Any, first: Any, vendors: Vendors) -> None:
    """Is refused by name, even of Cohere's models; what asks for nothing is not."""
    refused = ask(gateway, "/v1/chat", {"model": "command", "message": "x", "conversation_id": "x"})
    assert (refused.status_code, "$.conversation_id" in refused.json()["message"]) == (400, True)
    gone = {"prompt_truncation": "AUTO", "max_input_tokens": 9, "force_single_step": True, "search_queries_only": True,
            "connectors": [{"id": "web-search"}]}  # fmt: skip
    for name, value in gone.items():
        asked = {"model": "command", "message": "x", name: value}
        refused = ask(gateway, "/v1/chat", asked)
        assert (refused.status_code, name in refused.json()["message"]) == (400, True)
        dropped = ask(gateway, "/v1/chat", {**asked, "drop_params": True})
        assert f"{name} dropped" in dropped.headers["x-polyport-adaptations"]
    first.chat(model="command", message="x", connectors=[], prompt_truncation="OFF", safety_mode="NONE",
               citation_quality="fast", documents=[{"title": "A"}, {"id": "7", "title": "B"}])  # fmt: skip
    assert (vendors.last["safety_mode"], vendors.last["citation_options"]) == ("OFF", {"mode": "FAST"})
    assert vendors.last["documents"] == [
        {"id": "doc_0", "data": {"title": "A"}},
        {"id": "7", "data": {"title": "B"}},
    ]


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"message": "x"}, "$.model"),
        ({"model": "gpt"}, "$.message"),
        ({"model": "gpt", "message": 3}, "$.message"),
        ({"model": "gpt", "message": "x", "preamble": 3}, "$.preamble"),
        ({"model": "gpt", "message": "x", "chat_history": [{"role": "user"}]}, "$.chat_history[0]"),
        ({"model": "gpt", "message": "x", "chat_history": 3}, "$.chat_history"),
        ({"model": "gpt", "message": "x", "tools": [{}]}, "$.tools[0]"),
        ({"model": "gpt", "message": "x", "tools": [{"name": "a", "parameter_definitions": 3}]}, "$.tools[0]"),
        ({"model": "gpt", "message": "x", "tool_results": [{}]}, "$.tool_results[0]"),
        ({"model": "gpt", "message": "x", "documents": ["x"]}, "$.documents[0]"),
        ({"model": "gpt", "message": "x", "first_version": {}}, "$.first_version"),
    ],
)
def test_malformed_first_chats_are_refused_by_their_path(gateway: Any, asked: Any, path: str) -> None:
    """In Cohere's shape."""
    refused = ask(gateway, "/v1/chat", asked)
    assert refused.status_code == 400
    assert path in refused.json()["message"]


# --- vectors ---

TYPES = ["float", "int8", "uint8", "binary", "ubinary", "base64"]
#: What 0.5 and -1 are in each: 64 and -127 of 127; a bit for the first.
IN_TYPES = {
    "float": [0.5, -1.0], "int8": [64, -127], "uint8": [192, 1], "binary": [0], "ubinary": [128],
    "base64": "AAAAPwAAgL8=",
}  # fmt: skip
URL = PICTURE["image_url"]["url"]


def test_vectors_of_another_vendor_in_every_type(client: Any, vendors: Vendors) -> None:
    """Floats as they come, the other types made of them; what they are for is said where somebody can be told."""
    told = client.embed(
        model="vectors", texts=["a", "b"], input_type="search_query", embedding_types=TYPES, output_dimension=2
    )
    found = json.loads(told.json(by_alias=True))["embeddings"]
    assert {name: found[name] for name in TYPES} == {name: [vector] * 2 for name, vector in IN_TYPES.items()}
    assert (told.texts, told.meta.billed_units.input_tokens) == (["a", "b"], 2)
    assert vendors.last == {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 2}


def test_what_vectors_lack_is_told(gateway: Any, vendors: Vendors) -> None:
    """In a header: what was made here, and what could not be passed on."""
    asked = {"model": "vectors", "texts": ["a"], "input_type": "search_query", "embedding_types": ["int8"]}
    answer = ask(gateway, "/v2/embed", asked)
    assert answer.headers["x-polyport-adaptations"] == "embedding_types emulated; input_type dropped"
    assert answer.headers["x-polyport-cost"]
    assert answer.json()["embeddings"] == {"int8": [[64, -127]]}
    refused = ask(gateway, "/v2/embed", {**asked, "truncate": "START"})
    assert (refused.status_code, "truncate" in refused.json()["message"]) == (400, True)
    dropped = ask(gateway, "/v2/embed", {**asked, "truncate": "START", "drop_params": True})
    assert "truncate dropped" in dropped.headers["x-polyport-adaptations"]
    strict = ask(gateway, "/v2/embed", {**asked, "embedding_types": ["float"], "strict": True})
    assert (strict.status_code, "input_type" in strict.json()["message"]) == (400, True)


def test_coheres_vectors_come_as_they_are(gateway: Any, client: Any, vendors: Vendors) -> None:
    """In the types that were asked for, with what only Cohere takes and tells."""
    asked = {"model": "embed", "texts": ["a"], "input_type": "search_query", "embedding_types": ["int8", "float"],
             "truncate": "START", "max_tokens": 9, "priority": 1, "output_dimension": 256}  # fmt: skip
    assert ask(gateway, "/v2/embed", asked).json() == embed(asked)
    assert vendors.last == {**asked, "model": "embed-v4.0"}
    told = client.embed(model="embed", images=[URL], input_type="image", embedding_types=["float"])
    assert told.embeddings.float_ == [[1, 0]]
    assert URL in json.dumps(vendors.last)
    parts = [{"type": "text", "text": "a"}, PICTURE]
    client.embed(model="embed", inputs=[{"content": parts}], input_type="search_query", embedding_types=["float"])
    assert vendors.last["inputs"] == [{"content": parts}]


def test_more_vectors_than_cohere_takes_at_once(gateway: Any) -> None:
    """Are asked for in several calls, and told as one."""
    asked = {"model": "embed", "texts": ["a"] * 100, "input_type": "search_query", "embedding_types": ["int8", "float"]}
    told = ask(gateway, "/v2/embed", asked).json()
    assert {name: len(vectors) for name, vectors in told["embeddings"].items()} == {"int8": 100, "float": 100}
    assert told["meta"]["billed_units"] == {"input_tokens": 8}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # the SDK calls pydantic by names that have gone
@pytest.mark.parametrize("model", ["vectors", "embed"])
def test_vectors_of_the_first_version(gateway: Any, http: httpx.Client, model: str) -> None:
    """Bare floats, unless types are asked for; many texts in batches of the SDK's."""
    client = cohere.Client(api_key=KEY, base_url=gateway.url, httpx_client=http)
    told = client.embed(model=model, texts=["a"] * 100)
    first = [0.5, -1.0] if model == "vectors" else [1, 0]
    assert (told.response_type, told.embeddings) == ("embeddings_floats", [first] * 100)
    typed = client.embed(model=model, texts=["a"], embedding_types=["ubinary"])
    assert typed.embeddings.ubinary == [[128] if model == "vectors" else [1, 0]]
    assert [one.embedding for one in client.embed_stream(model=model, texts=["a", "b"])] == [first] * 2


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ({"texts": ["a"]}, "$.model"),
        ({"model": "vectors"}, "$.texts"),
        ({"model": "vectors", "texts": ["a"], "images": [URL]}, "$.texts"),
        ({"model": "vectors", "texts": [3]}, "$.texts"),
        ({"model": "vectors", "texts": [URL]}, "$.images"),
        ({"model": "vectors", "images": ["https://example.com/a.png"]}, "$.images"),
        ({"model": "vectors", "images": [URL]}, "$.input[0]"),
        ({"model": "vectors", "inputs": [{"content": []}]}, "$.inputs[0].content"),
        ({"model": "vectors", "inputs": [{"content": [{"type": "text", "text": "a"}, PICTURE]}]}, "$.inputs[0]"),
        ({"model": "vectors", "texts": ["a"], "embedding_types": ["int4"]}, "$.embedding_types"),
        ({"model": "vectors", "texts": ["a"], "embedding_types": []}, "$.embedding_types"),
    ],
)
def test_malformed_inputs_are_refused_by_their_path(gateway: Any, asked: Any, path: str) -> None:
    """Pictures, too, of a model that has no eyes."""
    refused = ask(gateway, "/v2/embed", asked)
    assert refused.status_code == 400
    assert path in refused.json()["message"]


# --- speech ---


@pytest.mark.parametrize("model", ["sound", "hear"])
def test_speech_is_written_down(client: Any, model: str) -> None:
    """Cohere's models or another vendor's."""
    told = client.audio.transcriptions.create(model=model, language="en", file=("a.wav", b"RIFF0000WAVE"))
    assert told.text == "hi"


# --- tokens ---


def test_coheres_models_cut_texts_at_cohere(gateway: Any, first: Any, vendors: Vendors) -> None:
    """And what it says comes as it is; the SDK falls back to asking, as no tokenizer can be had from here."""
    told = first.tokenize(text="Hello", model="command")
    assert (told.tokens, told.token_strings, told.own) == ([1, 2], ["He", "llo"], 1.5)
    assert vendors.asked[-1][1:] == ("/tokenize", {"model": "command-a-reasoning-08-2025", "text": "Hello"})
    assert first.detokenize(tokens=[1, 2], model="command").text == "Hello"
    assert vendors.last == {"model": "command-a-reasoning-08-2025", "tokens": [1, 2]}


def test_openais_tokenizers_are_at_hand(gateway: Any, first: Any) -> None:
    """Where they are installed; a token that there is not is told."""
    pytest.importorskip("bpe_openai")
    told = first.tokenize(text="hello wörld", model="gpt")
    assert "".join(told.token_strings) == "hello wörld"
    assert first.detokenize(tokens=told.tokens, model="gpt").text == "hello wörld"
    answer = ask(gateway, "/v1/detokenize", {"model": "gpt", "tokens": [10**12]})
    assert (answer.status_code, "$.tokens" in answer.json()["message"]) == (400, True)
    assert "x-polyport-cost" not in answer.headers


@pytest.mark.parametrize(
    ("path", "asked", "word"),
    [
        ("/v1/tokenize", {"model": "claude", "text": "x"}, "polyport[tokens]"),
        ("/v1/detokenize", {"model": "claude", "tokens": [1]}, "polyport[tokens]"),
        ("/v1/tokenize", {"model": "gpt"}, "$.text"),
        ("/v1/tokenize", {"model": "gpt", "text": "x" * 65537}, "$.text"),
        ("/v1/tokenize", {"text": "x"}, "$.model"),
        ("/v1/detokenize", {"model": "gpt", "tokens": ["x"]}, "$.tokens"),
        ("/v1/detokenize", {"model": "gpt", "tokens": [True]}, "$.tokens"),
    ],
)
def test_tokens_that_nobody_knows_are_refused(gateway: Any, path: str, asked: Any, word: str) -> None:
    """Not guessed."""
    refused = ask(gateway, path, asked)
    assert refused.status_code == 400
    assert word in refused.json()["message"]


def test_what_is_not_served_says_why(gateway: Any, client: Any) -> None:
    """To who may call; a stranger is told nothing."""
    with pytest.raises(cohere.NotImplementedError) as told:
        client.datasets.get_usage()
    assert "data sets" in told.value.body["message"]
    assert httpx.get(f"{gateway.url}/v1/datasets/usage", timeout=60).status_code == 401
    assert ask(gateway, "/v1/check-api-key", {}).json() == {"valid": True}


# --- accounts ---


def test_all_of_it_is_accounted_for(gateway: Any, http: httpx.Client) -> None:
    """On the key that asked: chats of both versions, streams, vectors; limits are told in Cohere's shape."""
    admin = {"authorization": f"Bearer {KEY}"}
    made = http.post(f"{gateway.url}/key/generate", json={"models": ["gpt", "vectors"], "rpm_limit": 5}, headers=admin)
    key = made.json()["key"]
    second = cohere.ClientV2(api_key=key, base_url=gateway.url, httpx_client=http, max_retries=0)
    first = cohere.Client(api_key=key, base_url=gateway.url, httpx_client=http, max_retries=0)
    second.chat(model="gpt", messages=HELLO)
    list(second.chat_stream(model="gpt", messages=HELLO))
    list(first.chat_stream(model="gpt", message="Hello?"))
    second.embed(model="vectors", texts=["a"], input_type="search_query", embedding_types=["float"])
    with pytest.raises(cohere.ForbiddenError):
        second.chat(model="command", messages=HELLO)
    with pytest.raises(cohere.TooManyRequestsError) as limited:
        for _ in range(5):
            second.chat(model="gpt", messages=HELLO)
    assert "message" in limited.value.body
    assert "retry-after" in limited.value.headers
    wanted = {"key": made.json()["key_id"], "status": 200, "limit": "all"}

    def rows() -> list[Any]:
        found: list[Any] = http.get(f"{gateway.url}/spend/logs", params=wanted, headers=admin).json()["results"]
        return found

    until(lambda: len(rows()) >= 4, "all that was answered is in the ledger")
    spent = [(one["operation"], one["prompt"], one["completion"]) for one in rows()]
    assert spent.count(("completion", 7, 3)) >= 3
    assert ("embedding", 2, 0) in spent
