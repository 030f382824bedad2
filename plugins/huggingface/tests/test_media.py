"""Images, sound and video, by each provider: the requests it gets, and what becomes of its answers."""

from __future__ import annotations

import asyncio
import base64
import json

import httpx
import pytest
from forms import fields, files

from polyport import Client, errors, ids
from polyport_huggingface import HuggingFace
from polyport_huggingface.conformance import COMPLETED, DRAWN, FILMED, PNG, SUBMITTED, TRANSCRIPT, WAV, mapping

ROUTER = "https://router.huggingface.co"
B64 = base64.b64encode(PNG).decode()
DATA_URL = f"data:image/png;base64,{B64}"
MODEL = "huggingface/org/model"


def body(request):
    """The JSON of a request."""
    return json.loads(request.content)


def urls(wire):
    """Where requests went, below the router where they did."""
    return [str(request.url).removeprefix(ROUTER) for request in wire.seen]


def served(wire, task, provider, id="their/model", **more):
    """Answer as the Hub does for the mapping, and else with what is given by path; an exception is raised."""
    replies = {"/api/models/org/model": mapping(task, provider, id), **more.pop("replies", {})}

    def answer(request):
        reply = replies.get(request.url.path, more.get("reply"))
        if isinstance(reply, list):
            reply = reply.pop(0)
        if isinstance(reply, httpx.Response):
            return httpx.Response(reply.status_code, content=reply.content, headers=reply.headers)
        return httpx.Response(200, content=reply) if isinstance(reply, bytes) else httpx.Response(200, json=reply)

    wire.answer = answer


PICTURE = httpx.Response(200, content=PNG, headers={"content-type": "image/png"})
SOUND = httpx.Response(200, content=b"fLaCaudio", headers={"content-type": "audio/flac"})
FILM = httpx.Response(200, content=b"film", headers={"content-type": "video/mp4"})


# --- images ---


def test_an_image_of_hugging_faces_own(wire, client):
    """Comes as bytes, in the form that was asked for."""
    wire.answer = lambda _: PICTURE
    got = client.image_generation("A cat", f"{MODEL}:hf-inference", size="1024x768", seed=7, guidance_scale=3.5)
    assert urls(wire) == ["/hf-inference/models/org/model"]
    assert body(wire.last) == {
        "inputs": "A cat",
        "parameters": {"seed": 7, "width": 1024, "height": 768, "guidance_scale": 3.5},
    }
    assert got.data[0].content == PNG
    got = client.image_generation("A cat", f"{MODEL}:hf-inference", response_format="url")
    assert body(wire.last) == {"inputs": "A cat"}
    assert got.data[0].url == DATA_URL
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("response_format", "emulated")]


def test_several_images_are_several_calls(wire, client):
    """Where the provider makes one a call; the seed goes up, or they would be the same."""
    wire.answer = lambda _: PICTURE
    got = client.image_generation("A cat", f"{MODEL}:hf-inference", n=2, seed=7)
    assert [body(request)["parameters"]["seed"] for request in wire.seen] == [7, 8]
    assert len(got.data) == 2
    assert [(a.parameter, a.action) for a in got.meta.adaptations] == [("n", "emulated")]


def test_an_image_at_an_endpoint(wire, client):
    """Its address is its root."""
    wire.answer = lambda _: PICTURE
    client.image_generation("A cat", "huggingface/mine", api_base="https://x.endpoints.huggingface.cloud/")
    assert urls(wire) == ["https://x.endpoints.huggingface.cloud"]


OPENAI_IMAGE = {"data": [{"b64_json": B64}]}
GENERATED = [
    (
        "fal-ai", DRAWN, "/fal-ai/their/model",
        {"prompt": "A cat", "seed": 7, "image_size": {"width": 64, "height": 32}, "num_images": 2},
    ),
    (
        "together", OPENAI_IMAGE, "/together/v1/images/generations",
        {"prompt": "A cat", "response_format": "base64", "seed": 7, "width": 64, "height": 32, "n": 2,
         "model": "their/model"},
    ),
    (
        "nscale", OPENAI_IMAGE, "/nscale/v1/images/generations",
        {"prompt": "A cat", "response_format": "b64_json", "seed": 7, "size": "64x32", "n": 2, "model": "their/model"},
    ),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "reply", "path", "sent"), GENERATED)
def test_images_by_providers_that_make_several(wire, client, provider, reply, path, sent):
    """Each in the provider's own words, by the name that the model has there."""
    served(wire, "text-to-image", provider, reply=reply)
    got = client.image_generation("A cat", f"{MODEL}:{provider}", n=2, size="64x32", seed=7)
    assert urls(wire)[1:] == [path]
    assert body(wire.last) == sent
    assert got.data[0].url == "https://v3.fal.media/files/a.png" or got.data[0].content == PNG


def test_what_was_put_somewhere_is_fetched_for_base64(wire, client):
    """Without the key."""
    served(wire, "text-to-image", "fal-ai", reply=DRAWN, replies={"/files/a.png": PICTURE})
    got = client.image_generation("A cat", MODEL, response_format="b64_json")
    assert got.data[0].content == PNG
    assert "authorization" not in wire.last.headers


def test_an_adapter_at_fal(wire, client):
    """Its weights are named, and what they adapt."""
    told = mapping("text-to-image", "fal-ai", "fal-ai/lora")
    told["inferenceProviderMapping"][0]["adapterWeightsPath"] = "lora.safetensors"
    wire.answer = lambda request: (
        httpx.Response(200, json=told) if request.url.host == "huggingface.co" else httpx.Response(200, content=DRAWN)
    )
    client.image_generation("A cat", MODEL)
    assert body(wire.last) == {
        "prompt": "A cat",
        "loras": [{"path": "https://huggingface.co/org/model/resolve/main/lora.safetensors", "scale": 1}],
        "model_name": "stabilityai/stable-diffusion-xl-base-1.0",
    }


def test_a_prediction_of_replicates(wire, client):
    """Is waited for; a version is told apart; one that takes longer than a minute is a Timeout."""
    output = {"output": ["https://replicate.delivery/a.png"], "status": "succeeded"}
    served(wire, "text-to-image", "replicate", reply=output)
    got = client.image_generation("A cat", MODEL, num_outputs=1)
    assert urls(wire)[1:] == ["/replicate/v1/models/their/model/predictions"]
    assert (body(wire.last), wire.last.headers["prefer"]) == ({"input": {"prompt": "A cat", "num_outputs": 1}}, "wait")
    assert got.data[0].url == "https://replicate.delivery/a.png"
    served(wire, "text-to-image", "replicate", id="their/model:v1", reply=output)
    client.image_generation("A cat", MODEL)
    assert urls(wire)[-1] == "/replicate/v1/predictions"
    assert body(wire.last) == {"input": {"prompt": "A cat"}, "version": "v1"}
    served(wire, "text-to-image", "replicate", reply={"output": None, "status": "processing"})
    with pytest.raises(errors.Timeout, match="minute"):
        client.image_generation("A cat", MODEL)
    served(wire, "text-to-image", "replicate", reply={"error": "NSFW content detected", "output": None})
    with pytest.raises(errors.InternalServerError, match="NSFW"):
        client.image_generation("A cat", MODEL)


WAVE = {
    "data": {
        "id": "p-1",
        "status": "created",
        "urls": {"get": "https://api.wavespeed.ai/api/v3/predictions/p-1/result"},
    }
}
WAVE_PATH = "/wavespeed/api/v3/predictions/p-1/result"


def test_an_image_of_wavespeeds_is_waited_for(wire, client):
    """Asked after at the address it gives, below the router."""
    done = {"data": {"id": "p-1", "status": "completed", "outputs": ["https://cdn.example/a.png"]}}
    served(wire, "text-to-image", "wavespeed", replies={"/wavespeed/api/v3/their/model": WAVE, WAVE_PATH: done})
    got = client.image_generation("A cat", MODEL)
    assert urls(wire)[1:] == ["/wavespeed/api/v3/their/model", WAVE_PATH]
    assert got.data[0].url == "https://cdn.example/a.png"
    failed = {"data": {"status": "failed", "error": "no GPU"}}
    served(wire, "text-to-image", "wavespeed", replies={"/wavespeed/api/v3/their/model": WAVE, WAVE_PATH: failed})
    with pytest.raises(errors.InternalServerError, match="no GPU"):
        client.image_generation("A cat", MODEL)


def test_an_image_of_zais_is_waited_for(wire, client):
    """Unless it is finished at once."""
    done = {"id": "t-1", "task_status": "SUCCESS", "image_result": [{"url": "https://cdn.example/a.png"}]}
    start, result = "/zai-org/api/paas/v4/async/images/generations", "/zai-org/api/paas/v4/async-result/t-1"
    processing = {"id": "t-1", "task_status": "PROCESSING"}
    served(wire, "text-to-image", "zai-org", replies={start: processing, result: [processing, done]})
    got = client.image_generation("A cat", MODEL, size="64x32")
    assert urls(wire)[1:] == [start, result, result]
    assert body(wire.seen[1]) == {"model": "their/model", "prompt": "A cat", "size": "64x32"}
    assert got.data[0].url == "https://cdn.example/a.png"
    served(wire, "text-to-image", "zai-org", replies={start: {"id": "t-1", "task_status": "FAIL"}})
    with pytest.raises(errors.InternalServerError, match="does not say why"):
        client.image_generation("A cat", MODEL)


def test_what_a_filter_blacked_out(wire, client):
    """Is no image."""
    served(wire, "text-to-image", "fal-ai", reply=DRAWN.replace(b"[false]", b"[true]"))
    with pytest.raises(errors.ContentPolicyViolationError):
        client.image_generation("A cat", MODEL)


@pytest.mark.parametrize(
    "given", [{"quality": "hd"}, {"style": "vivid"}, {"user": "u"}, {"size": "16:9"}, {"stream": True}]
)
def test_what_images_do_not_have(client, given):
    """Is refused with the reason."""
    with pytest.raises(errors.UnsupportedParamsError, match=next(iter(given))):
        client.image_generation("A cat", f"{MODEL}:hf-inference", **given)


EDITED = [
    ("hf-inference", None, PICTURE, "/hf-inference/models/org/model",
     {"inputs": B64, "parameters": {"prompt": "A hat", "target_size": {"width": 64, "height": 32}}}),
    ("together", "x/FLUX.1-kontext-pro", OPENAI_IMAGE, "/together/v1/images/generations",
     {"prompt": "A hat", "image_url": DATA_URL, "response_format": "base64", "width": 64, "height": 32,
      "model": "x/FLUX.1-kontext-pro"}),
    ("together", "x/FLUX.2-dev", OPENAI_IMAGE, "/together/v1/images/generations",
     {"prompt": "A hat", "reference_images": [DATA_URL], "response_format": "base64", "width": 64, "height": 32,
      "model": "x/FLUX.2-dev"}),
    ("replicate", "a/b", {"output": "https://cdn.example/a.png"}, "/replicate/v1/models/a/b/predictions",
     {"input": {"image": DATA_URL, "images": [DATA_URL], "input_image": DATA_URL, "input_images": [DATA_URL],
                "prompt": "A hat", "width": 64, "height": 32}}),
]  # fmt: skip


@pytest.mark.parametrize(("provider", "id", "reply", "path", "sent"), EDITED)
def test_edits(wire, client, provider, id, reply, path, sent):
    """The image goes in the way that each provider takes it."""
    served(wire, "image-to-image", provider, id=id, reply=reply)
    client.image_edit(PNG, "A hat", f"{MODEL}:{provider}", size="64x32")
    assert urls(wire)[-1] == path
    assert body(wire.last) == sent


def test_an_edit_in_fals_queue(wire, client):
    """Submitted, asked after, fetched: all by the router, at the paths that fal gives."""
    path = "/fal-ai/fal-ai/flux-kontext/requests/r-1"
    waiting = {"status": "IN_PROGRESS"}
    served(
        wire, "image-to-image", "fal-ai",
        replies={"/fal-ai/their/model": SUBMITTED, f"{path}/status": [waiting, COMPLETED], path: DRAWN},
    )  # fmt: skip
    got = client.image_edit(PNG, "A hat", MODEL, n=2)
    assert urls(wire)[1:] == [
        "/fal-ai/their/model?_subdomain=queue",
        f"{path}/status?_subdomain=queue",
        f"{path}/status?_subdomain=queue",
        f"{path}?_subdomain=queue",
    ]
    assert body(wire.seen[1]) == {"image_url": DATA_URL, "image_urls": [DATA_URL], "prompt": "A hat", "num_images": 2}
    assert got.data[0].url == "https://v3.fal.media/files/a.png"
    with pytest.raises(errors.BadRequestError, match="one image, not 2"):
        client.image_edit([PNG, PNG], "A hat", MODEL)
    with pytest.raises(errors.UnsupportedParamsError, match="mask"):
        client.image_edit(PNG, "A hat", MODEL, mask=PNG)


def test_a_job_that_takes_too_long(wire, client):
    """Ends with the call's timeout."""
    path = "/fal-ai/fal-ai/flux-kontext/requests/r-1/status"
    served(wire, "image-to-image", "fal-ai", reply=SUBMITTED, replies={path: {"status": "IN_QUEUE"}})
    with pytest.raises(errors.Timeout, match=r"0\.1 s"):
        client.image_edit(PNG, "A hat", MODEL, timeout=0.1)


# --- who serves a model ---


def test_a_model_that_nobody_serves_so(wire, client):
    """The error says who serves it for what."""
    served(wire, "text-generation", "groq")
    with pytest.raises(
        errors.NotFoundError, match=r"not served for text-to-image by any of .*groq \(text-generation\)"
    ):
        client.image_generation("A cat", MODEL)
    served(wire, "text-to-image", "fal-ai", reply=DRAWN)
    with pytest.raises(errors.NotFoundError, match="by together; the Hub lists fal-ai"):
        client.image_generation("A cat", f"{MODEL}:together")
    with pytest.raises(errors.BadRequestError, match="'groq' is no provider that does text-to-image"):
        client.image_generation("A cat", f"{MODEL}:groq")
    with pytest.raises(errors.UnsupportedParamsError, match=":cheapest"):
        client.image_generation("A cat", f"{MODEL}:cheapest")
    wire.answer = lambda _: httpx.Response(200, json={"id": "org/model"})
    with pytest.raises(errors.NotFoundError, match="lists nobody"):
        client.image_generation("A cat", f"{MODEL}:preferred")


def test_providers_by_their_names(wire, client):
    """An older form of the Hub's answer; the first that is known here is taken."""
    entries = {
        "unheard-of": {"providerId": "a", "status": "live", "task": "text-to-image"},
        "together": {"providerId": "b", "status": "live", "task": "text-to-image"},
    }
    wire.answer = lambda request: (
        httpx.Response(200, json={"id": "org/model", "inferenceProviderMapping": entries})
        if request.url.host == "huggingface.co"
        else httpx.Response(200, json=OPENAI_IMAGE)
    )
    client.image_generation("A cat", MODEL)
    assert body(wire.last)["model"] == "b"


# --- sound ---


def test_a_transcript_of_hugging_faces_own(wire, client):
    """The file goes as it is, or as base64 beside parameters; chunks are segments."""
    wire.answer = lambda _: httpx.Response(200, content=TRANSCRIPT)
    got = client.transcription(f"{MODEL}:hf-inference", WAV)
    assert urls(wire) == ["/hf-inference/models/org/model"]
    assert (wire.last.content, wire.last.headers["content-type"]) == (WAV[1], "audio/wav")
    assert got.text == " Hello there."
    assert [(s.text, s.start, s.end) for s in got.segments] == [(" Hello", 0.0, 0.8), (" there.", 0.8, 0.8)]
    got = client.transcription(f"{MODEL}:hf-inference", WAV, response_format="verbose_json", temperature=0.2)
    assert body(wire.last) == {
        "inputs": base64.b64encode(WAV[1]).decode(),
        "parameters": {"return_timestamps": True, "generation_parameters": {"temperature": 0.2}},
    }
    assert client.transcription(f"{MODEL}:hf-inference", WAV, response_format="text") == " Hello there."
    for refused in ({"response_format": "srt"}, {"language": "en"}, {"diarize": True}, {"stream": True},
                    {"timestamp_granularities": ["word"]}):  # fmt: skip
        with pytest.raises(errors.UnsupportedParamsError, match=next(iter(refused))):
            client.transcription(f"{MODEL}:hf-inference", WAV, **refused)


TRANSCRIPTS = [
    ("output text", "output text"),
    ([{"transcription": "a list"}], "a list"),
    ({"translation": "in English"}, "in English"),
    ({"txt_file": "https://replicate.delivery/a.txt"}, "a file"),
]


@pytest.mark.parametrize(("output", "text"), TRANSCRIPTS)
def test_transcripts_by_replicate(wire, client, output, text):
    """Wherever the model puts them."""
    file = httpx.Response(200, content=b"a file", headers={"content-type": "text/plain"})
    served(wire, "automatic-speech-recognition", "replicate", reply={"output": output}, replies={"/a.txt": file})
    assert client.transcription(MODEL, WAV, batch_size=8).text == text
    sent = body(wire.seen[1])["input"]
    assert sent["batch_size"] == 8
    assert sent["audio"].startswith("data:audio/wav;base64,")


def test_transcripts_by_fal_and_deepinfra(wire, client):
    """One takes a data: URL, the other a form in OpenAI's words."""
    served(wire, "automatic-speech-recognition", "fal-ai", reply=TRANSCRIPT)
    assert client.transcription(MODEL, WAV, chunk_level="segment").text == " Hello there."
    assert body(wire.last) == {
        "audio_url": f"data:audio/wav;base64,{base64.b64encode(WAV[1]).decode()}",
        "chunk_level": "segment",
    }
    with pytest.raises(errors.UnsupportedParamsError, match="temperature"):
        client.transcription(MODEL, WAV, temperature=0.5)
    reply = {"text": "Hi", "segments": [{"id": 0, "start": 0.0, "end": 1.0, "text": "Hi"}], "language": "en"}
    served(wire, "automatic-speech-recognition", "deepinfra", reply=reply)
    times = ["segment"]
    got = client.transcription(MODEL, WAV, language="en", response_format="verbose_json", timestamp_granularities=times)
    assert urls(wire)[-1] == "/deepinfra/v1/openai/audio/transcriptions"
    assert files(wire.last) == [("file", "a.wav", "audio/wav", WAV[1])]
    assert fields(wire.last) == {
        "language": "en",
        "response_format": "verbose_json",
        "timestamp_granularities[]": "segment",
        "model": "their/model",
    }
    assert (got.text, got.segments[0].end, got.language) == ("Hi", 1.0, "en")


def test_speech(wire, client):
    """By the provider's own names; what it has not is refused."""
    wire.answer = lambda _: SOUND
    got = client.speech(f"{MODEL}:hf-inference", "Hello", generation_parameters={"do_sample": True})
    assert body(wire.last) == {"inputs": "Hello", "parameters": {"generation_parameters": {"do_sample": True}}}
    assert (got.content, got.content_type) == (b"fLaCaudio", "audio/flac")
    with pytest.raises(errors.UnsupportedParamsError, match="voice"):
        client.speech(f"{MODEL}:hf-inference", "Hello", voice="ada")
    served(wire, "text-to-speech", "together", reply=SOUND)
    client.speech(MODEL, "Hello", voice="ada", speed=1.5)
    assert urls(wire)[-1] == "/together/v1/audio/speech"
    assert body(wire.last) == {"input": "Hello", "voice": "ada", "speed": 1.5, "model": "their/model"}
    served(
        wire, "text-to-speech", "replicate", reply={"output": "https://cdn.example/a.flac"}, replies={"/a.flac": SOUND}
    )
    assert client.speech(MODEL, "Hello").content == b"fLaCaudio"
    assert body(wire.seen[-2]) == {"input": {"text": "Hello"}}
    wire.answer = lambda _: httpx.Response(200, json={"message": "odd"})
    with pytest.raises(errors.InvalidResponseError, match="no file"):
        client.speech(f"{MODEL}:hf-inference", "Hello")


def test_streamed_speech(wire, client):
    """As it comes, or from where the provider put it."""
    wire.answer = lambda _: SOUND
    with client.speech(f"{MODEL}:hf-inference", "Hello", stream=True) as stream:
        assert b"".join(stream) == b"fLaCaudio"
    served(
        wire, "text-to-speech", "fal-ai",
        reply={"audio": {"url": "https://v3.fal.media/a.flac"}}, replies={"/a.flac": SOUND},
    )  # fmt: skip
    with client.speech(MODEL, "Hello", voice="ada", stream=True) as stream:
        assert b"".join(stream) == b"fLaCaudio"
    assert body(wire.seen[-2]) == {"text": "Hello", "voice": "ada"}
    assert "authorization" not in wire.last.headers


# --- video ---


def test_a_video_in_fals_queue(wire, client):
    """The id that is given alone finds it again."""
    path = "/fal-ai/fal-ai/flux-kontext/requests/r-1"
    served(
        wire, "image-to-video", "fal-ai",
        replies={
            "/fal-ai/their/model": SUBMITTED,
            f"{path}/status": [{"status": "IN_QUEUE"}, {"status": "IN_PROGRESS"}, COMPLETED, COMPLETED],
            path: FILMED,
            "/files/a.mp4": FILM,
        },
    )  # fmt: skip
    job = client.video_generation("Waves", MODEL, input_reference=PNG, num_frames=81, seed=7)
    assert body(wire.last) == {"image_url": DATA_URL, "prompt": "Waves", "seed": 7, "num_frames": 81}
    assert job.status == "queued"
    issued = ids.read(job.id)
    assert (issued.provider, issued.id) == ("huggingface", "fal-ai:/fal-ai/flux-kontext/requests/r-1")
    assert [client.video_status(job.id).status for _ in range(3)] == ["queued", "in_progress", "completed"]
    assert client.video_content(job.id).content == b"film"
    assert "authorization" not in wire.last.headers
    assert urls(wire)[-2] == f"{path}?_subdomain=queue"


def test_a_video_of_togethers(wire, client):
    """With a size; a job that failed says why, and one that runs has no video yet."""
    running, job = {"id": "v-1", "status": "in_progress"}, "/together/v2/videos/v-1"
    failed = {"id": "v-1", "status": "failed", "error": {"message": "too long"}}
    done = {"id": "v-1", "status": "completed", "outputs": {"video_url": "https://cdn.example/a.mp4"}}
    replies = {"/together/v2/videos": {"id": "v-1", "status": "queued"}, "/a.mp4": FILM, job: [running, failed, done]}
    served(wire, "text-to-video", "together", replies=replies)
    made = client.video_generation("Waves", MODEL, size="1280x720", num_inference_steps=20)
    assert body(wire.last) == {"model": "their/model", "prompt": "Waves", "width": 1280, "height": 720, "steps": 20}
    with pytest.raises(errors.ConflictError, match="not finished"):
        client.video_content(made.id)
    told = client.video_status(made.id)
    assert (told.status, told.error["message"]) == ("failed", "too long")
    with client.video_content(made.id, stream=True) as stream:
        assert b"".join(stream) == b"film"


def test_a_video_of_wavespeeds(wire, client):
    """Is found at the path that it gives."""
    states = [
        {"data": {"status": "processing"}},
        {"data": {"status": "failed", "error": "no GPU"}},
        {"data": {"status": "completed", "outputs": ["https://cdn.example/a.mp4"]}},
    ]
    start = "/wavespeed/api/v3/their/model"
    served(wire, "text-to-video", "wavespeed", replies={start: WAVE, WAVE_PATH: states, "/a.mp4": FILM})
    job = client.video_generation("Waves", MODEL)
    assert client.video_status(job.id).status == "in_progress"
    with pytest.raises(errors.NotFoundError, match="no GPU"):
        client.video_content(job.id)
    assert client.video_content(job.id).content == b"film"


@pytest.mark.parametrize("id", ["x", "fal-ai:/../a", "groq:/a", "fal-ai:/a?b=c", "fal-ai:https://evil.example/"])
def test_ids_that_are_none(client, id):
    """Nothing is asked with the key at a path that was made up."""
    with pytest.raises(errors.BadRequestError, match="no id of a video"):
        client.video_status(id, provider="huggingface")


@pytest.mark.parametrize("given", [{"seconds": 5}, {"size": "1280x720"}, {"user": "u"}])
def test_what_videos_do_not_have(wire, client, given):
    """Is refused with what there is instead."""
    served(wire, "text-to-video", "fal-ai", reply=SUBMITTED)
    with pytest.raises(errors.UnsupportedParamsError, match=next(iter(given))):
        client.video_generation("Waves", MODEL, **given)


def test_no_endpoint_of_ones_own_makes_videos(client):
    """They are the providers' jobs."""
    with pytest.raises(errors.UnsupportedParamsError, match="api_base"):
        client.video_generation("Waves", MODEL, api_base="http://localhost:8080")


def test_asynchronously(wire):
    """The same flows under the asynchronous driver."""

    async def main() -> None:
        providers = {"huggingface": HuggingFace}
        async with Client(http=httpx.MockTransport(wire), api_key="hf_x", providers=providers) as client:
            served(wire, "text-to-image", "fal-ai", reply=DRAWN, replies={"/files/a.png": PICTURE})
            got = await client.aimage_generation("A cat", MODEL, response_format="b64_json")
            assert got.data[0].content == PNG
            wire.answer = lambda _: PICTURE
            assert len((await client.aimage_generation("A cat", f"{MODEL}:hf-inference", n=3)).data) == 3

    asyncio.run(main())
