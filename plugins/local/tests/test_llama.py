"""A real model answers: chat, streams, JSON schemas, tools, completion, embeddings, and what happens when one stops."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from polyport.errors import BadRequestError, ContextWindowExceededError, InvalidResponseError, NotFoundError
from polyport_local.llama import Llama, Settings

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
WEATHER = [{"role": "user", "content": "What is the weather in Paris?"}]
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "get_weather",
            "description": "Get the weather of a city",
            "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        },
    },
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add two numbers",
            "parameters": {
                "type": "object",
                "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
                "required": ["a", "b"],
            },
        },
    },
]


def resident() -> int:
    """Return this process's memory in MB."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 1_000_000


def text_of(chunks: list[dict]) -> str:
    """Return all the text of a stream."""
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


def test_a_question_is_answered_and_counted(smollm2):
    """At temperature 0 the model knows its capitals, and usage counts both sides."""
    reply = smollm2.chat({"messages": FRANCE, "temperature": 0})
    assert reply["choices"][0]["message"]["content"] == "The capital of France is Paris."
    assert reply["choices"][0]["finish_reason"] == "stop"
    assert reply["model"] == "smollm2"
    usage = reply["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] > 16


def test_two_and_two_are_four(smollm2):
    """The system prompt is the user's alone, and content may come in parts."""
    parts = [{"type": "text", "text": "What is "}, {"type": "text", "text": "2+2?"}]
    reply = smollm2.chat({"messages": [{"role": "user", "content": parts}], "temperature": 0, "max_tokens": 12})
    assert "4" in reply["choices"][0]["message"]["content"]


def test_a_stream_gives_the_same_text_in_openai_chunks(smollm2):
    """Role first, one id, one finish reason, usage at the end because it was asked for."""
    asked = {"messages": FRANCE, "temperature": 0, "stream_options": {"include_usage": True}}
    chunks = list(smollm2.stream(asked))
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert text_of(chunks) == "The capital of France is Paris."
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert [c["choices"][0]["finish_reason"] for c in chunks if c["choices"]].count("stop") == 1
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == 8


def test_usage_is_not_streamed_unless_asked_for(smollm2):
    """Without include_usage no chunk is without choices."""
    assert all(chunk["choices"] for chunk in smollm2.stream({"messages": FRANCE, "max_tokens": 3}))


def test_closing_a_stream_stops_the_generation(smollm2):
    """A closed stream's thread is gone within a token's time, and the model answers the next at once."""
    stream = smollm2.stream({"messages": [{"role": "user", "content": "Tell me a long story."}], "max_tokens": 900})
    next(stream)
    next(stream)
    begun = time.process_time()  # the processor's time: a busy machine takes no more of it
    stream.close()
    stream.join()
    assert time.process_time() - begun < 4
    assert list(stream) == []


def test_closing_a_stream_stops_while_the_prompt_is_read(smollm2):
    """Nobody waits for a long prompt that nobody wants answered; the reader in another thread sees the end.

    The bound is wide for busy machines: one batch of the prompt, where all of it would take eight.
    """
    stream = smollm2.stream({"messages": [{"role": "user", "content": "word " * 900}], "cache_prompt": False})
    threading.Timer(0.3, stream.close).start()
    begun = time.monotonic()
    assert list(stream) == []
    stream.join()
    assert time.monotonic() - begun < 20


def test_a_json_schema_is_kept(smollm2):
    """The reply is JSON with the very properties asked for."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string", "maxLength": 20}, "population": {"type": "integer", "maximum": 99}},
        "required": ["city", "population"],
    }
    form = {"type": "json_schema", "json_schema": {"name": "city", "schema": schema}}
    reply = smollm2.chat({"messages": FRANCE, "temperature": 0, "response_format": form, "max_tokens": 100})
    found = json.loads(reply["choices"][0]["message"]["content"])
    assert set(found) == {"city", "population"}
    assert isinstance(found["population"], int)


def test_json_object_gives_an_object(smollm2):
    """Streamed too, json_object is an object."""
    asked = {"messages": FRANCE, "temperature": 0, "response_format": {"type": "json_object"}, "max_tokens": 100}
    assert isinstance(json.loads(text_of(list(smollm2.stream(asked)))), dict)


def test_a_schema_that_cannot_be_enforced_is_an_error(smollm2):
    """llama.cpp would answer in free text without a word; that text is not passed off as JSON."""
    schema = {
        "type": "object",
        "properties": {"a": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}},
    }
    form = {"type": "json_schema", "json_schema": {"schema": schema}}
    asked = {"messages": WEATHER, "temperature": 0, "response_format": form, "max_tokens": 30}
    with pytest.raises(InvalidResponseError, match="cannot enforce"):
        smollm2.chat(asked)
    with pytest.raises(InvalidResponseError, match="cannot enforce"):
        list(smollm2.stream(asked))


def test_a_required_tool_is_called_with_arguments_of_its_schema(smollm2):
    """The model picks the function that fits and fills in the city."""
    reply = smollm2.chat({"messages": WEATHER, "tools": TOOLS, "tool_choice": "required", "temperature": 0})
    choice = reply["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    (call,) = choice["message"]["tool_calls"]
    assert call["type"] == "function"
    assert call["id"]
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}


def test_a_named_tool_is_called_in_a_stream(smollm2):
    """The id and name come once, the arguments in pieces."""
    choice = {"type": "function", "function": {"name": "add"}}
    question = [{"role": "user", "content": "What is 17 plus 25?"}]
    chunks = list(smollm2.stream({"messages": question, "tools": TOOLS, "tool_choice": choice, "temperature": 0}))
    calls = [c["choices"][0]["delta"]["tool_calls"][0] for c in chunks if c["choices"][0]["delta"].get("tool_calls")]
    assert [call["function"]["name"] for call in calls if "name" in call["function"]] == ["add"]
    assert sum("id" in call for call in calls) == 1
    assert json.loads("".join(call["function"]["arguments"] for call in calls)) == {"a": 17, "b": 25}
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


def test_a_tool_result_goes_back_into_the_conversation(smollm2):
    """A call and its result are put into words that the model reads."""
    called = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 17, "b": 25}'}}
    messages = [
        {"role": "user", "content": "What is 17 plus 25?"},
        {"role": "assistant", "content": None, "tool_calls": [called]},
        {"role": "tool", "tool_call_id": "call_1", "content": "42"},
    ]
    reply = smollm2.chat(
        {"messages": messages, "tools": TOOLS, "tool_choice": "none", "temperature": 0, "max_tokens": 40}
    )
    assert "42" in reply["choices"][0]["message"]["content"]


def test_auto_leaves_the_choice_to_the_model(smollm2):
    """A greeting needs no function: the answer is plain text."""
    question = [{"role": "user", "content": "What is the capital of France?"}]
    reply = smollm2.chat({"messages": question, "tools": TOOLS[1:], "temperature": 0, "max_tokens": 20})
    assert "Paris" in reply["choices"][0]["message"]["content"]


def test_a_seed_repeats_and_n_gives_several_answers(smollm2):
    """Two of two choices are counted; the same seed gives the same two again."""
    asked = {"messages": FRANCE, "temperature": 1.5, "seed": 7, "n": 2, "max_tokens": 6}
    first, again = smollm2.chat(asked), smollm2.chat(asked)
    texts = [choice["message"]["content"] for choice in first["choices"]]
    assert [choice["index"] for choice in first["choices"]] == [0, 1]
    assert texts == [choice["message"]["content"] for choice in again["choices"]]
    assert first["usage"]["completion_tokens"] <= 12
    streamed = list(smollm2.stream({**asked, "temperature": 0, "stream_options": {"include_usage": True}}))
    assert {chunk["choices"][0]["index"] for chunk in streamed[:-1]} == {0, 1}


def test_stop_logit_bias_and_logprobs_reach_the_sampler(smollm2):
    """A stop word cuts the answer, a banned token is not said, log probabilities come with their runners-up."""
    stopped = smollm2.chat({"messages": FRANCE, "temperature": 0, "stop": [" of"]})
    assert stopped["choices"][0]["message"]["content"] == "The capital"
    asked = {"messages": FRANCE, "temperature": 0, "max_tokens": 2, "logprobs": True, "top_logprobs": 2}
    (first, _) = smollm2.chat(asked)["choices"][0]["logprobs"]["content"]
    assert first["token"] == "The"
    assert len(first["top_logprobs"]) == 2
    banned = smollm2.chat({**asked, "logit_bias": {str(first["id"]): -100}})
    assert not banned["choices"][0]["message"]["content"].startswith("The")


def test_prompts_are_continued(smollm2):
    """Legacy completion: several prompts, echo, log probabilities in its own form."""
    asked = {"prompt": ["The capital of France is", "One, two, three,"], "temperature": 0, "max_tokens": 2}
    reply = smollm2.complete({**asked, "echo": True, "logprobs": 1})
    assert [choice["index"] for choice in reply["choices"]] == [0, 1]
    assert reply["choices"][0]["text"] == "The capital of France is Paris."
    assert reply["choices"][0]["logprobs"]["tokens"] == [" Paris", "."]
    assert reply["usage"]["prompt_tokens"] > 8
    chunks = list(smollm2.stream_completion(asked))
    assert "".join(c["choices"][0]["text"] for c in chunks if c["choices"][0]["index"] == 0) == " Paris."


def test_an_input_that_does_not_fit_says_so(smollm2):
    """The error has both lengths and the way out, in a stream too."""
    asked = {"messages": [{"role": "user", "content": "word " * 3000}]}
    with pytest.raises(ContextWindowExceededError, match="n_ctx"):
        smollm2.chat(asked)
    with pytest.raises(ContextWindowExceededError, match="1024"):
        list(smollm2.stream(asked))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n": 0}, "n must be"),
        ({"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "nope"}}}, "get_weather, add"),
        ({"tool_choice": "required"}, "no tools"),
        ({"tools": [{"type": "web_search"}]}, "only call functions"),
        ({"response_format": {"type": "json_schema"}}, "json_schema.schema"),
        ({"max_tokens": -7}, "max_tokens"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,aa"}}],
                    }
                ]
            },
            "image",
        ),
    ],
)
def test_bad_requests_are_refused(smollm2, wrong, message):
    """What cannot be done is a BadRequestError that says what."""
    with pytest.raises(BadRequestError, match=message):
        smollm2.chat({"messages": FRANCE, **wrong})


def test_threads_share_one_load(gguf, smollm2):
    """Four answers at once, from two objects over the same file, need one model in memory."""
    before = resident()
    twin = Llama(smollm2.settings, name="twin")
    answers: list[str] = []

    def ask(model: Llama) -> None:
        reply = model.chat({"messages": FRANCE, "temperature": 0, "max_tokens": 8})
        answers.append(reply["choices"][0]["message"]["content"])

    threads = [threading.Thread(target=ask, args=(model,)) for model in (smollm2, twin, smollm2, twin)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    twin.close()
    assert all("Paris" in answer for answer in answers)
    assert len(answers) == 4
    assert resident() - before < 60
    assert "Paris" in smollm2.chat({"messages": FRANCE, "temperature": 0})["choices"][0]["message"]["content"]


def test_closing_gives_the_memory_back_and_ends_streams(gguf):
    """The last close unloads; what was being streamed ends, and further calls are refused."""
    model = Llama(Settings(gguf, context=512), name="other")
    stream = model.stream({"messages": FRANCE, "max_tokens": 400})
    next(stream)
    loaded = resident()
    model.close()
    model.close()
    assert loaded - resident() > 80
    list(stream)
    with pytest.raises(BadRequestError, match="closed"):
        model.chat({"messages": FRANCE})


def test_a_model_loaded_and_never_asked_closes(gguf):
    """llama.cpp's loop may not have begun when it is told to end."""
    for _ in range(3):
        model = Llama(Settings(gguf, context=512), name="idle")
        model._model.server()
        model.close()


def listening() -> set[str]:
    """Return the TCP sockets on which this process waits for connections."""
    tables = [Path(f"/proc/self/net/{name}").read_text() for name in ("tcp", "tcp6")]
    rows = [line.split() for table in tables for line in table.splitlines()]
    everybody = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}
    return everybody & {os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.exists()}


def test_nothing_listens_on_a_port(smollm2):
    """The HTTP server inside llama.cpp is bound to a private socket file, and to no TCP port."""
    smollm2.chat({"messages": FRANCE, "max_tokens": 1})
    before = listening()
    with socket.create_server(("127.0.0.1", 0)):
        assert len(listening()) == 1
    assert before == set()


def test_a_template_that_knows_tools_is_left_to_llama_cpp(gguf):
    """A tool in the template's own words changes the prompt; a call that is required is still made."""
    template = (
        "{% if tools %}<|im_start|>system\nTools: {% for tool in tools %}{{ tool | tojson }}\n{% endfor %}<|im_end|>\n"
        "{% endif %}{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}"
        "{% for call in message.tool_calls %}<tool_call>\n{{ call.function | tojson }}\n</tool_call>{% endfor %}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    model = Llama(Settings(gguf, context=1024, chat_template=template), name="hermes")
    assert model.knows_tools
    asked = {"messages": WEATHER, "tools": TOOLS[:1], "temperature": 0, "max_tokens": 40}
    assert model.chat({**asked, "max_tokens": 1})["usage"]["prompt_tokens"] > 60
    asked["tool_choice"] = "required"
    (call,) = model.chat(asked)["choices"][0]["message"]["tool_calls"]
    assert call["function"]["name"] == "get_weather"
    assert set(json.loads(call["function"]["arguments"])) >= {"city"}
    model.close()


def test_a_gguf_file_embeds(gguf):
    """Any GGUF gives vectors: one a text, in order, near for near texts."""
    model = Llama(Settings(gguf, context=256, embedding=True), name="vectors")
    (cat, kitten, tax), tokens = model.embed(["A cat sat there.", "A cat sits there.", "Pay the income tax by May."])
    model.close()
    assert tokens > 10

    def likeness(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert likeness(cat, cat) == pytest.approx(1, abs=1e-3)
    assert likeness(cat, kitten) > likeness(cat, tax)


def test_files_that_are_no_models_are_refused(tmp_path):
    """A missing file, another kind of file and a damaged one each have their own sentence."""
    with pytest.raises(NotFoundError, match="No such file"):
        Llama(Settings(tmp_path / "none.gguf"), name="x")
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(BadRequestError, match="not a GGUF"):
        Llama(Settings(tmp_path / "text.gguf"), name="x")
    (tmp_path / "cut.gguf").write_bytes(b"GGUF\3\0\0\0" + bytes(8) + b"\5\0\0\0\0\0\0\0\x20\0")
    with pytest.raises(BadRequestError, match="complete"):
        Llama(Settings(tmp_path / "cut.gguf"), name="x")


def test_a_truncated_model_is_an_error_and_not_a_crash(gguf, tmp_path):
    """The header is whole, the tensors are not: llama.cpp refuses to load it."""
    with gguf.open("rb") as file:
        (tmp_path / "half.gguf").write_bytes(file.read(20_000_000))
    model = Llama(Settings(tmp_path / "half.gguf"), name="half")
    with pytest.raises(BadRequestError, match="could not load"):
        model.chat({"messages": FRANCE})
    model.close()


def test_a_forgotten_stream_does_not_keep_the_interpreter(gguf):
    """A program that ends in the middle of an answer ends at once, quietly, and leaves nothing behind."""
    program = (
        "import sys, pathlib; from polyport_local.llama import *\n"
        f"m = Llama(Settings(pathlib.Path({str(gguf)!r}), context=1024), name='m')\n"
        "s = m.stream({'messages': [{'role': 'user', 'content': 'Tell me a story'}], 'max_tokens': 900})\n"
        "next(s); next(s); print('end')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
