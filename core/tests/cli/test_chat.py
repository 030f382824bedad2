"""`polyport chat`: what is asked, what is printed, and what a machine gets."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

MODEL = "openai/m"


def last(stub: Any) -> Any:
    """The body of the last request."""
    return stub.bodies[-1][1]


def test_an_answer_is_streamed_to_standard_output(cli, stub):
    """The text and nothing else is on standard output, ended by a newline."""
    result = cli("chat", MODEL, "Hello there")
    assert result.stdout == "You said: Hello there\n"
    assert last(stub)["stream"] is True


def test_words_that_are_not_quoted_are_one_question(cli, stub):
    """Several words are joined."""
    assert cli("chat", MODEL, "Hello", "there").stdout == "You said: Hello there\n"


def test_a_system_prompt_goes_first(cli, stub):
    """-s is the system message."""
    cli("chat", MODEL, "-s", "Be brief.", "Hello")
    assert last(stub)["messages"][0] == {"role": "system", "content": "Be brief."}


def test_what_is_piped_in_follows_the_question(cli, stub):
    """`polyport chat MODEL "Sum up:" < text` asks both."""
    assert cli("chat", MODEL, "Sum up:", input="a text\n").stdout == "You said: Sum up:\n\na text\n"
    assert cli("chat", MODEL, input="alone").stdout == "You said: alone\n"


def test_nothing_to_ask_is_an_error_that_says_what_to_do(cli, stub):
    """Without a terminal there is no conversation to fall into."""
    assert "There is no question" in cli("chat", MODEL, code=2).stderr


@pytest.mark.parametrize(
    ("option", "sent"),
    [
        ("temperature=0.5", {"temperature": 0.5}),
        ("max_completion_tokens=7", {"max_completion_tokens": 7}),
        ('stop=["a"]', {"stop": ["a"]}),
        ("stop=a b", {"stop": "a b"}),
        ("user=123", {"user": "123"}),
        ("metadata.team=core", {"metadata": {"team": "core"}}),
        ("metadata.n.m=1", {"metadata": {"n": {"m": 1}}}),
        ("new_parameter=true", {"new_parameter": True}),
        ("user=@@me", {"user": "@me"}),
    ],
)
def test_a_parameter_is_json_or_text_of_its_own_type(cli, stub, option, sent):
    """`-o user=123` is text because `user` is; unknown parameters go through as JSON says."""
    cli("chat", MODEL, "Hi", "-o", option)
    assert sent.items() <= last(stub).items()


def test_a_parameter_can_be_read_from_a_file(cli, stub, tmp_path: Path):
    """-o tools=@file reads JSON."""
    tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    (tmp_path / "tools.json").write_text(json.dumps([tool]))
    result = cli("chat", MODEL, "Hi", "-o", f"tools=@{tmp_path}/tools.json")
    assert last(stub)["tools"] == [tool]
    assert result.stdout == 'weather({"city": "Paris"})\n'


def test_a_key_is_no_parameter(cli, stub):
    """A command line can be read by other users of the machine."""
    result = cli("chat", MODEL, "Hi", "-o", "api_key=abc", code=2)
    assert "--key-env" in result.stderr
    assert "abc" not in result.output


def test_a_key_can_be_in_a_variable_of_any_name(cli, stub, monkeypatch, serve):
    """--key-env names it."""
    seen = []

    def answer(exchange: Any) -> None:
        seen.append(exchange.headers["authorization"])
        stub(exchange)

    server = serve(answer)
    monkeypatch.setenv("MY_KEY", "another-key-123")
    cli("chat", MODEL, "Hi", "--key-env", "MY_KEY", "--api-base", server.url)
    assert seen == ["Bearer another-key-123"]
    assert "MY_KEY2 is not set" in cli("chat", MODEL, "Hi", "--key-env", "MY_KEY2", code=3).stderr


def test_json_is_the_whole_result(cli, stub):
    """--json prints one document, asked for without a stream."""
    result = json.loads(cli("chat", MODEL, "Hi", "--json").stdout)
    assert result["choices"][0]["message"]["content"] == "You said: Hi"
    assert result["usage"]["total_tokens"] == 8
    assert not last(stub).get("stream")


def test_json_of_a_stream_is_a_line_for_each_chunk(cli, stub):
    """--json --stream gives JSON lines."""
    lines = cli("chat", MODEL, "Hi", "--json", "--stream").stdout.splitlines()
    chunks = [json.loads(line) for line in lines]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == "You said: Hi"


def test_no_stream_prints_the_same(cli, stub):
    """--no-stream waits for the whole answer."""
    assert cli("chat", MODEL, "Hi", "--no-stream").stdout == "You said: Hi\n"
    assert not last(stub).get("stream")


def test_several_answers_are_told_apart(cli, stub):
    """With n=2 the answers are numbered, beside the text."""
    result = cli("chat", MODEL, "Hi", "-o", "n=2")
    assert result.stdout == "You said: Hi\nYou said: Hi\n"
    assert "--- 2 ---" in result.stderr


def test_reasoning_is_shown_on_request_and_beside_the_answer(cli, stub):
    """Reasoning goes to standard error, so that a pipe holds the answer alone."""
    assert "Let me think." not in cli("chat", "openai/thinker", "Hi").output
    result = cli("chat", "openai/thinker", "Hi", "--reasoning")
    assert "Let me think." in result.stderr
    assert result.stdout == "You said: Hi\n"


def test_usage_is_told_on_request(cli, stub):
    """-u asks for usage in the stream too."""
    assert "5 tokens in, 3 out" in cli("chat", MODEL, "Hi", "-u").stderr
    assert "5 tokens in, 3 out" in cli("chat", MODEL, "Hi", "-u", "--no-stream").stderr


def test_an_answer_that_was_cut_off_says_so(cli, stub):
    """A finish reason that a reader should know of stands beside the answer."""
    assert "token limit" in cli("chat", MODEL, "Hi", "-o", "max_tokens=1").stderr


def test_attachments_become_parts_of_their_kind(cli, stub, tmp_path: Path):
    """Images are data URLs, audio is input_audio, PDFs are files, text is text; the question is the last part."""
    files = {
        "a.png": b"\x89PNG\r\n\x1a\n123",
        "b.wav": b"RIFF\0\0\0\0WAVE123",
        "c.mp3": b"ID3123",
        "d.pdf": b"%PDF-1.4 123",
        "e.py": b"print(1)",
    }
    arguments = []
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        arguments += ["-a", str(tmp_path / name)]
    cli("chat", MODEL, "What is this?", *arguments, "-a", "https://example.com/x.png")
    parts = last(stub)["messages"][0]["content"]
    encoded = {name: base64.b64encode(content).decode() for name, content in files.items()}
    assert parts == [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{encoded['a.png']}"}},
        {"type": "input_audio", "input_audio": {"data": encoded["b.wav"], "format": "wav"}},
        {"type": "input_audio", "input_audio": {"data": encoded["c.mp3"], "format": "mp3"}},
        {
            "type": "file",
            "file": {"filename": "d.pdf", "file_data": f"data:application/pdf;base64,{encoded['d.pdf']}"},
        },
        {"type": "text", "text": "e.py:\nprint(1)"},
        {"type": "image_url", "image_url": {"url": "https://example.com/x.png"}},
        {"type": "text", "text": "What is this?"},
    ]


def test_an_attachment_can_be_piped_in(cli, stub):
    """-a - is what is piped in, of any kind."""
    cli("chat", MODEL, "What?", "-a", "-", input=b"\x89PNG\r\n\x1a\n123")
    assert last(stub)["messages"][0]["content"][0]["type"] == "image_url"


def test_an_attachment_that_cannot_be_read_is_named(cli, stub):
    """Nothing is sent."""
    assert "Cannot read the file 'missing.png'" in cli("chat", MODEL, "Hi", "-a", "missing.png", code=2).stderr
    assert stub.bodies == []
