"""The official `openai` SDK with only base URL and key changed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

openai = pytest.importorskip("openai")
KEY = "sk-master-1234"


@pytest.fixture
def client(gateway: Any, well: Any) -> Iterator[Any]:
    """The SDK, on the gateway."""
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY, max_retries=0) as made:
        yield made


HELLO = [{"role": "user", "content": "Hello?"}]


def test_a_chat_is_answered_and_says_what_happened(client: Any, well: Any) -> None:
    """The provider's answer comes back whole, its own fields included; the headers tell who gave it at what cost."""
    raw = client.chat.completions.with_raw_response.create(model="gpt", messages=HELLO, temperature=0.5)
    answer = raw.parse()
    assert answer.choices[0].message.content == "Well, hello"
    assert answer.usage.total_tokens == 10
    assert answer.own_field == 1
    assert well.last == {"model": "gpt-4o", "messages": HELLO, "temperature": 0.5}
    headers = {name: value for name, value in raw.headers.items() if name.startswith("x-polyport")}
    assert headers["x-polyport-provider"] == "openai"
    assert headers["x-polyport-model"] == "gpt-4o"
    assert headers["x-polyport-attempts"] == "1"
    assert float(headers["x-polyport-cost"]) == pytest.approx((7 * 2.5 + 3 * 10) / 1e6)
    assert raw.request_id == headers["x-polyport-request-id"]


def test_the_callers_key_never_reaches_the_provider(client: Any, well: Any) -> None:
    """Upstream the configuration's key is used."""
    client.chat.completions.create(model="gpt", messages=HELLO)
    path, headers, _ = well.asked[-1]
    assert path == "/chat/completions"
    assert headers["authorization"] == "Bearer sk-upstream-secret"
    assert KEY not in str(headers)


def test_a_stream_comes_in_pieces(client: Any, well: Any) -> None:
    """Usage is asked of the provider for the accounts, and told only to who wants it."""
    chunks = list(client.chat.completions.create(model="gpt", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "Well, hello"
    assert well.last["stream_options"] == {"include_usage": True}
    wanted = client.chat.completions.create(
        model="gpt", messages=HELLO, stream=True, stream_options={"include_usage": True}
    )
    assert list(wanted)[-1].usage.total_tokens == 10


def test_addresses_do_without_v1(gateway: Any, well: Any) -> None:
    """Base URLs with and without /v1 both work."""
    with openai.OpenAI(base_url=gateway.url, api_key=KEY) as client:
        assert client.chat.completions.create(model="gpt", messages=HELLO).choices[0].finish_reason == "stop"


def test_models_are_listed(client: Any) -> None:
    """The names of the configuration, one by one or all."""
    assert {"gpt", "embed", "voice"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("gpt").id == "gpt"
    with pytest.raises(openai.NotFoundError, match="no model 'nope'"):
        client.models.retrieve("nope")


def test_other_json_operations(client: Any, well: Any) -> None:
    """Embeddings, moderations, images, responses, batches."""
    assert client.embeddings.create(model="embed", input="hi", encoding_format="float").data[0].embedding == [0.5, -1.0]
    assert client.moderations.create(model="moderate", input="grr").results[0].flagged
    assert client.images.generate(model="paint", prompt="a dot").data[0].b64_json == "aGk="
    assert client.responses.create(model="gpt", input="hi").output_text == "hello"
    batch = client.batches.create(input_file_id="file-1", endpoint="/v1/chat/completions", completion_window="24h")
    assert batch.status == "validating"


def test_speech_is_bytes(client: Any) -> None:
    """Audio comes as it is, under its type."""
    reply = client.audio.speech.create(model="voice", voice="alloy", input="hi")
    assert reply.content == b"RIFF-sound"
    assert reply.response.headers["content-type"] == "audio/mpeg"


def test_files_are_uploaded(client: Any, well: Any) -> None:
    """Parts of a multipart body go on to the provider: a recording, a picture, lines of a batch."""
    sound = ("a.wav", b"RIFF\0\0\0\0WAVE" + b"\1" * 2_000_000)
    assert client.audio.transcriptions.create(model="sound", file=sound, temperature=0.25).text == "hello"
    body = well.asked[-1][2]
    assert sound[1] in body
    assert b'name="temperature"\r\n\r\n0.25' in body
    assert client.audio.transcriptions.create(model="sound", file=sound, response_format="srt").startswith("1\n00:00")
    edited = client.images.edit(model="paint", image=[("a.png", b"\x89PNG1"), ("b.png", b"\x89PNG2")], prompt="x", n=1)
    assert edited.data[0].b64_json == "aGk="
    assert b"PNG1" in well.asked[-1][2]
    assert b"PNG2" in well.asked[-1][2]
    assert client.files.create(file=("f.jsonl", b'{"a": 1}\n'), purpose="batch").id == "file-1"
    assert client.files.content("file-1").content == b'{"a": 1}\n'


def test_errors_are_the_sdks_own(client: Any, gateway: Any, well: Any) -> None:
    """A wrong key, an unknown model, a wrong body, a provider's limit: each its class, with what to do."""
    with (
        openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="sk-wrong") as wrong,
        pytest.raises(openai.AuthenticationError, match="not one of this gateway's") as refused,
    ):
        wrong.chat.completions.create(model="gpt", messages=HELLO)
    assert refused.value.code == "invalid_api_key"
    assert "sk-wrong" not in str(refused.value)
    with pytest.raises(openai.NotFoundError, match="Did you mean 'gpt'") as unknown:
        client.chat.completions.create(model="gpt5", messages=HELLO)
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match=r"\$\.messages"):
        client.chat.completions.create(model="gpt", messages="no list")
    well.failing = (429, {"retry-after": "7"}, {"error": {"message": "Slow down", "code": "rate_limit_exceeded"}})
    with pytest.raises(openai.RateLimitError, match="Slow down") as limited:
        client.chat.completions.create(model="gpt", messages=HELLO)
    assert limited.value.response.headers["retry-after"] in ("7", "8")


@pytest.mark.parametrize(
    "extra",
    [{"api_base": "http://evil.example"}, {"api_key": "sk-x"}, {"extra_headers": {"a": "b"}}, {"prices": {}},
     {"aws_secret_access_key": "x"}, {"fallbacks": ["openai/gpt-5"]}, {"num_retries": 10_000}, {"provider": "openai"}],
)  # fmt: skip
def test_what_is_the_configurations_to_say_is_refused(client: Any, well: Any, extra: dict[str, Any]) -> None:
    """Whose key, which address, what price: not from a request. Nothing is sent."""
    with pytest.raises(openai.APIStatusError) as refused:
        client.chat.completions.create(model="gpt", messages=HELLO, extra_body=extra)
    assert refused.value.status_code in (400, 404)
    assert not well.asked


@pytest.mark.parametrize("file", ["/etc/passwd", ["/etc/passwd"], "http://127.0.0.1/x"])
def test_a_path_is_no_file(gateway: Any, well: Any, file: Any) -> None:
    """What is on the gateway's disk is nobody's to upload."""
    for path, name in (("/v1/audio/transcriptions", "file"), ("/v1/images/edits", "image"), ("/v1/files", "file")):
        told = httpx.post(
            gateway.url + path,
            json={"model": "sound", name: file, "prompt": "x", "purpose": "batch"},
            headers={"authorization": f"Bearer {KEY}"},
            timeout=60,
        )
        assert told.status_code == 400, told.text
        assert f"$.{name}" in told.text
    assert not well.asked
