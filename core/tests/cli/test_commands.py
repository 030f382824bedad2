"""The commands besides chat: what they ask for, what they print, which files they write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from polyport.operations import OPERATIONS

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 24


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files are written to a folder of the test."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def calls(stub: Any) -> list[str]:
    """The requests so far."""
    return [call for call, _ in stub.bodies]


# --- embed, rerank, moderate ---


def test_embed_shows_a_row_for_each_text(cli, stub):
    """Dimensions and the vector's beginning."""
    result = cli("embed", "openai/e", "one", "three")
    assert [line.split() for line in result.stdout.splitlines()[2:]] == [
        ["one", "3", "3.0000,", "1.0000,", "0.0000"],
        ["three", "3", "5.0000,", "1.0000,", "0.0000"],
    ]


def test_embed_reads_lines_of_a_file_and_a_pipe(cli, stub, folder):
    """-f takes each line; without texts the whole pipe is one."""
    (folder / "lines.txt").write_text("a\n\nbc\n")
    assert len(json.loads(cli("embed", "openai/e", "-f", "lines.txt", "--json").stdout)["data"]) == 2
    assert len(json.loads(cli("embed", "openai/e", "-f", "-", "--json", input="x\ny\n").stdout)["data"]) == 2
    assert len(json.loads(cli("embed", "openai/e", "--json", input="x\ny\n").stdout)["data"]) == 1
    assert "There is no text" in cli("embed", "openai/e", code=2).stderr


def test_embed_shows_how_alike_texts_are(cli, stub):
    """--similarity is the cosine of each pair."""
    rows = cli("embed", "openai/e", "one", "two", "--similarity").stdout.splitlines()[2:]
    assert [row.split() for row in rows] == [["one", "1.000", "1.000"], ["two", "1.000", "1.000"]]


def test_moderate_shows_verdict_and_scores(cli, stub):
    """Flagged categories, and the highest scores."""
    row = cli("moderate", "omni-moderation-latest", "you!").stdout.splitlines()[2]
    assert row.split() == ["you!", "yes", "violence", "violence", "0.900,", "hate", "0.100"]


# --- image ---


def test_an_image_is_written_with_its_own_extension(cli, stub, folder):
    """The file's name is printed."""
    assert cli("image", "openai/i", "a cat").stdout == "image.png\n"
    assert (folder / "image.png").read_bytes() == PNG


def test_several_images_are_numbered(cli, stub, folder):
    """-O names the file, -n how many."""
    assert cli("image", "openai/i", "a cat", "-n", "2", "-O", "cat.png").stdout == "cat-1.png\ncat-2.png\n"
    assert (folder / "cat-2.png").read_bytes() == PNG


def test_an_image_behind_a_url_is_fetched_without_the_key(cli, stub, folder):
    """Providers that answer with a URL end in a file too."""
    cli("image", "openai/i", "a link")
    assert (folder / "image.png").read_bytes() == PNG
    assert calls(stub)[-1] == "GET /picture.png"


def test_edit_and_vary_send_the_images(cli, stub, folder):
    """--edit with a prompt, --vary without."""
    (folder / "in.png").write_bytes(PNG)
    cli("image", "openai/gpt-image-1", "a hat", "--edit", "in.png", "--edit", "in.png", "--mask", "in.png")
    assert calls(stub)[-1] == "POST /images/edits"
    assert stub.bodies[-1][1].count(PNG) == 3
    cli("image", "openai/dall-e-2", "--vary", "in.png")
    assert calls(stub)[-1] == "POST /images/variations"


# --- transcribe, speak ---


def test_transcribe_prints_the_text(cli, stub, folder):
    """Text by default, subtitles as they came, JSON for machines; a pipe works too."""
    (folder / "a.wav").write_bytes(b"RIFF\0\0\0\0WAVE")
    assert cli("transcribe", "whisper-1", "a.wav").stdout == "hello world\n"
    assert cli("transcribe", "whisper-1", "a.wav", "--format", "srt").stdout.startswith("1\n00:00:00,000")
    assert json.loads(cli("transcribe", "whisper-1", "a.wav", "--json").stdout)["text"] == "hello world"
    assert cli("transcribe", "whisper-1", "-", input=b"RIFF\0\0\0\0WAVE").stdout == "hello world\n"
    assert cli("transcribe", "whisper-1", "a.wav", "--translate").stdout == "hello in English\n"
    assert cli("transcribe", "whisper-1", "a.wav", "-O", "out.txt").stdout == "out.txt\n"
    assert (folder / "out.txt").read_text() == "hello world\n"


def test_speak_writes_a_file_of_what_came(cli, stub, folder):
    """The extension is that of the reply, or says the format."""
    assert cli("speak", "tts-1", "Hello").stdout == "speech.mp3\n"
    assert cli("speak", "tts-1", "Hello", "-O", "x.wav").stdout == "x.wav\n"
    assert stub.bodies[-1][1]["response_format"] == "wav"
    assert (folder / "x.wav").read_bytes().startswith(b"RIFF")


def test_speak_streams_to_standard_output(cli, stub):
    """-O - is for a pipe into a player."""
    assert cli("speak", "tts-1", "Hello", "-O", "-", input="").stdout_bytes.startswith(b"RIFF")


# --- video ---


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Polls that would take seconds."""
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def test_a_video_is_submitted_followed_and_downloaded(cli, stub, folder, quick):
    """The file's name is printed at the end."""
    assert cli("video", "sora-2", "a dog", "-O", "dog.mp4").stdout == "dog.mp4\n"
    assert (folder / "dog.mp4").read_bytes().startswith(b"the bytes of")
    assert calls(stub) == ["POST /videos", *["GET /videos/video_1"] * 3, "GET /videos/video_1/content"]


def test_a_video_can_be_left_and_come_back_to_by_its_id_alone(cli, stub, folder, quick):
    """--no-wait prints the id; --id goes on, in another process too."""
    job = cli("video", "sora-2", "a dog", "--no-wait").stdout.strip()
    assert cli("video", "--id", job).stdout == "video.mp4\n"
    assert (folder / "video.mp4").exists()


def test_a_video_that_failed_says_why(cli, stub, quick):
    """Exit code 1, the provider's reason."""
    stub.statuses = ["queued", "failed"]
    assert "The video failed: too dark" in cli("video", "sora-2", "a dog", code=1).stderr


def test_waiting_has_a_limit_on_request(cli, stub):
    """--max-wait ends with how to go on."""
    stub.statuses = ["in_progress"]
    assert (
        "Go on with: polyport video --id video_pp_"
        in cli("video", "sora-2", "a dog", "--max-wait", "0.1", code=6).stderr
    )


# --- batch ---


def write_batch(folder: Path, *models: str) -> None:
    """A file of batch lines, one a model."""
    lines = [
        {
            "custom_id": f"line {n}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": model, "messages": [{"role": "user", "content": str(n)}]},
        }
        for n, model in enumerate(models)
    ]
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_a_batch_is_run_into_a_file_and_goes_on_where_it_was(cli, stub, folder):
    """Run twice, nothing is asked twice."""
    write_batch(folder, "openai/m", "openai/m")
    assert cli("batch", "run", "in.jsonl").stdout == "in.results.jsonl\n"
    results = [json.loads(line) for line in (folder / "in.results.jsonl").read_text().splitlines()]
    assert {line["custom_id"] for line in results} == {"line 0", "line 1"}
    cli("batch", "run", "in.jsonl")
    assert len(stub.bodies) == 2


def test_a_batch_with_failed_lines_is_1_and_they_can_be_run_again(cli, stub, folder):
    """--retry-failed asks for those alone; --model asks another."""
    write_batch(folder, "openai/m", "openai/fail-400")
    result = cli("batch", "run", "in.jsonl", "--json", code=1)
    assert json.loads(result.stdout) == {"file": "in.results.jsonl", "total": 2, "failed": 1, "cost": None}
    assert "1 of 2 lines have no answer" in result.stderr
    cli("batch", "run", "in.jsonl", "--retry-failed", "--model", "openai/m")
    assert len(stub.bodies) == 3


def test_a_providers_own_batch_is_submitted_and_downloaded(cli, stub, folder):
    """submit, status, cancel and list."""
    write_batch(folder, "m")
    assert cli("batch", "submit", "in.jsonl", "-p", "openai").stdout == "batch_1  in_progress\n"
    assert (
        cli("batch", "status", "batch_1", "-p", "openai", "--wait", "-O", "out.jsonl").stdout == "batch_1  completed\n"
    )
    assert (folder / "out.jsonl").read_bytes() == b"the bytes of /v1/files/file-out/content"
    assert cli("batch", "cancel", "batch_1", "-p", "openai").stdout == "batch_1  in_progress\n"
    assert "batch_1" in cli("batch", "list", "-p", "openai").stdout


# --- models, plugins, version ---


def test_models_asks_the_provider_on_request(cli, stub):
    """--live lists what the key may use."""
    assert "openai/m-1" in cli("models", "--live", "-p", "openai").stdout
    assert json.loads(cli("models", "--live", "-p", "openai", "--json").stdout)[0]["id"] == "m-1"
    assert "No provider for 'grok'" in cli("models", "-p", "grok", code=4).stderr


def test_plugins_shows_what_each_can_do(cli, stub):
    """Providers with capabilities, and where they come from."""
    found = {one["name"]: one for one in json.loads(cli("plugins", "--json").stdout)}
    provides = {(what["kind"], what["name"]): what for what in found["polyport-openai"]["provides"]}
    assert "chat" in provides["provider", "openai"]["capabilities"]
    assert provides["model", "gpt-*"]["value"] == "openai"
    assert "polyport-openai" in cli("plugins").stdout


def test_version(cli):
    """Both ways."""
    from polyport import __version__

    assert __version__ in cli("version").stdout
    assert cli("--version").stdout.strip() == __version__
    assert json.loads(cli("version", "--json").stdout)["polyport"] == __version__


# --- call: every operation ---


def test_call_runs_any_function_of_the_table(cli, stub):
    """By function or hook, with the provider or the model first, then what it needs."""
    assert json.loads(cli("call", "retrieve_batch", "openai", "batch_1").stdout)["status"] == "completed"
    assert json.loads(cli("call", "completion", "openai/m", "Hi").stdout)["choices"]
    assert len(json.loads(cli("call", "embed", "openai/e", "-o", 'input=["a","b"]').stdout)["data"]) == 2
    assert json.loads(cli("call", "list_models", "openai").stdout)["data"]
    assert cli("call", "file_content", "openai", "file-1").stdout == "the bytes of /v1/files/file-1/content"


def test_call_of_a_stream_is_json_lines_or_bytes(cli, stub):
    """-o stream=true."""
    lines = cli("call", "completion", "openai/m", "Hi", "-o", "stream=true").stdout.splitlines()
    assert all(json.loads(line)["object"] == "chat.completion.chunk" for line in lines)
    assert cli("call", "speech", "openai/tts-1", "Hi", "-o", "stream=true").stdout_bytes.startswith(b"RIFF")


def test_call_says_what_is_missing_or_too_much(cli, stub):
    """Exit code 2 with a usage line from the operation's own request."""
    assert "Usage: rerank MODEL QUERY DOCUMENTS" in cli("call", "rerank", "openai/x", "q", code=2).stderr
    assert "no place for 'c'" in cli("call", "retrieve_batch", "openai", "b", "c", code=2).stderr
    assert "Did you mean embed" in cli("call", "embedd", "openai/x", code=4).stderr


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.function)
def test_every_operation_can_be_asked_for_by_position(operation):
    """The usage line is made from the table; there is no second list to forget one in."""
    from polyport.cli.asked import arguments, needed, operation_named, takes_model
    from polyport.cli.settings import Settings

    values = ["openai/m"] if takes_model(operation) else []
    fields = arguments(operation_named(operation.hook), [*values, *(name for name, _ in needed(operation))], Settings())
    assert {name for name, _ in needed(operation)} <= set(fields)
