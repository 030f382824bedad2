"""The requests that go out are those that huggingface_hub itself would send: address, body and headers.

The official client asks the Hub who serves a model; here it is told by the table that it has for that.
"""

from __future__ import annotations

import base64
import json
from email.parser import BytesParser

import httpx
import pytest
from forms import fields

from polyport import errors
from polyport_huggingface.conformance import PNG, WAV, mapping

providers = pytest.importorskip("huggingface_hub.inference._providers")
common = pytest.importorskip("huggingface_hub.inference._providers._common")
hf_api = pytest.importorskip("huggingface_hub.hf_api")

MODEL = "huggingface/org/model"
#: What the prompt's parameters are called by the caller, and by Hugging Face.
DRAW = {"seed": 7, "negative_prompt": "dog", "num_inference_steps": 4, "guidance_scale": 2.5}
SIZE = {"width": 64, "height": 32}


def draw(client, model):
    """Ask for an image."""
    client.image_generation("A cat", model, size="64x32", **DRAW)


def edit(client, model):
    """Ask for a change of an image."""
    client.image_edit(("a.png", PNG), "A hat", model, negative_prompt="dog", guidance_scale=2.5)


def write(client, model):
    """Ask for a transcript."""
    client.transcription(model, WAV)


def say(client, model):
    """Ask for speech."""
    client.speech(model, "Hello")


def film(client, model):
    """Ask for a video."""
    client.video_generation("Waves", model, seed=7, num_frames=81, num_inference_steps=4)


def move(client, model):
    """Ask for a video that begins with an image."""
    client.video_generation("Waves", model, input_reference=("a.png", PNG), seed=7)


def embed(client, model):
    """Ask for vectors."""
    client.embedding(model, ["a", "b"])


#: How each task is asked here, and what the official client is given for it.
ASKED = {
    "text-to-image": (draw, "A cat", {**DRAW, **SIZE}),
    "image-to-image": (edit, PNG, {"prompt": "A hat", "negative_prompt": "dog", "guidance_scale": 2.5}),
    "automatic-speech-recognition": (write, WAV[1], {}),
    "text-to-speech": (say, "Hello", {}),
    "text-to-video": (film, "Waves", {"seed": 7, "num_frames": 81, "num_inference_steps": 4}),
    "image-to-video": (move, PNG, {"prompt": "Waves", "seed": 7}),
    "feature-extraction": (embed, ["a", "b"], {}),
}
OURS = {
    "text-to-image": ("fal-ai", "together", "nscale", "replicate", "wavespeed", "zai-org"),
    "image-to-image": ("fal-ai", "together", "replicate", "wavespeed"),
    "automatic-speech-recognition": ("fal-ai", "replicate", "deepinfra"),
    "text-to-speech": ("fal-ai", "replicate", "together", "deepinfra"),
    "text-to-video": ("fal-ai", "together", "wavespeed"),
    "image-to-video": ("fal-ai", "together", "wavespeed"),
    "feature-extraction": ("together", "scaleway", "deepinfra"),
}
CASES = [(task, provider) for task, names in OURS.items() for provider in names]
#: What the official client does not tell apart from a file of another type.
TYPES = {"data:image/png;": "data:image/jpeg;", "data:audio/wav;": "data:audio/mpeg;"}


def answer(task, provider):
    """Say who serves the model, and refuse the rest: what is asked is what counts."""

    def answer(request):
        if request.url.host == "huggingface.co":
            return httpx.Response(200, json=mapping(task, provider, "their/model"))
        return httpx.Response(418)

    return answer


def official(monkeypatch, task, provider):
    """Return what the official client would send."""
    told = {
        "provider": provider,
        "hf_model_id": "org/model",
        "providerId": "their/model",
        "status": "live",
        "task": task,
    }
    table = common.HARDCODED_MODEL_INFERENCE_MAPPING
    monkeypatch.setitem(table, provider, {"org/model": hf_api.InferenceProviderMapping(**told)})
    _, inputs, parameters = ASKED[task]
    helper = providers.get_provider_helper(provider, task, "org/model")
    return helper.prepare_request(
        inputs=inputs, parameters=dict(parameters), headers={}, model="org/model", api_key="hf_x"
    )


def alike(value):
    """Return a body with the types of its files as the official client guesses them."""
    text = json.dumps(value)
    for ours, theirs in TYPES.items():
        text = text.replace(ours, theirs)
    return json.loads(text)


@pytest.mark.parametrize(("task", "provider"), CASES, ids=[f"{task}-{provider}" for task, provider in CASES])
def test_the_request_is_the_official_one(wire, client, monkeypatch, task, provider):
    """For every task that is done here, at every provider."""
    wire.answer = answer(task, provider)
    with pytest.raises(errors.APIError):
        ASKED[task][0](client, f"{MODEL}:{provider}")
    theirs = official(monkeypatch, task, provider)
    assert str(wire.last.url) == theirs.url
    if theirs.json is None:
        assert fields(wire.last) == form_fields(theirs)
    else:
        assert alike(json.loads(wire.last.content)) == alike(theirs.json)
    for name in ("prefer", "accept-language", "x-source-channel"):
        assert wire.last.headers.get(name) == theirs.headers.get(name)


def form_fields(request):
    """Return the fields of the official client's form that are not files."""
    head = b"content-type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    parts = list(BytesParser().parsebytes(head + request.data).walk())
    names = [(part, part.get_param("name", header="content-disposition")) for part in parts if not part.is_multipart()]
    return {name: part.get_payload(decode=True).decode() for part, name in names if part.get_filename() is None}


OWN = [
    ("text-to-image", "A cat", {**DRAW, **SIZE}, draw),
    ("text-to-speech", "Hello", {}, say),
    ("feature-extraction", ["a", "b"], {}, embed),
]


@pytest.mark.parametrize(("task", "inputs", "given", "ask"), OWN, ids=[case[0] for case in OWN])
def test_hugging_faces_own_provider(wire, client, task, inputs, given, ask):
    """Is asked where the official client asks it, in the same words; parameters that are none are not sent."""
    wire.answer = lambda _: httpx.Response(418)
    with pytest.raises(errors.APIError):
        ask(client, f"{MODEL}:hf-inference")
    helper = providers.PROVIDERS["hf-inference"][task]
    body = helper._prepare_payload_as_dict(inputs, dict(given), None)
    assert str(wire.last.url) == helper._prepare_url("hf_x", "org/model")
    assert json.loads(wire.last.content) == {name: value for name, value in body.items() if value != {}}


def test_files_for_hugging_faces_own_provider(wire, client):
    """Sound goes as it is, an image as base64 beside its parameters."""
    wire.answer = lambda _: httpx.Response(418)
    with pytest.raises(errors.APIError):
        write(client, f"{MODEL}:hf-inference")
    helper = providers.PROVIDERS["hf-inference"]["automatic-speech-recognition"]
    assert wire.last.content == bytes(helper._prepare_payload_as_bytes(WAV[1], {}, None, None))
    with pytest.raises(errors.APIError):
        edit(client, f"{MODEL}:hf-inference")
    helper = providers.PROVIDERS["hf-inference"]["image-to-image"]
    theirs = json.loads(helper._prepare_payload_as_bytes(PNG, dict(ASKED["image-to-image"][2]), None, None))
    assert json.loads(wire.last.content) == theirs
    assert theirs["inputs"] == base64.b64encode(PNG).decode()
