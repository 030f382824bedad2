"""The schemas of ModelsLab's official SDK as oracle, read strictly: every field that we send is one of theirs."""

from __future__ import annotations

from typing import Any

import pytest

from polyport.testing import Wire

schemas = pytest.importorskip("modelslab_py.schemas.community")
PNG = b"\x89PNG\r\n\x1a\n"
PLACE = {"status": "success", "id": 7, "output": ["https://pub-3626123a.r2.dev/a.png"]}
#: Common fields of ModelsLab's image APIs: the SDK's schemas of hosted models leave them out, and let any field pass.
COMMON = {"seed", "samples"}


def schema(path: str) -> Any:
    """Return a schema of the SDK's by module and name."""
    module, _, name = path.rpartition(".")
    return getattr(pytest.importorskip(f"modelslab_py.{module}"), name)


IMAGE = {"seed": 3, "n": 2}
ROWS: list[tuple[str, str, dict[str, Any], str]] = [
    ("image_generation", "flux", {**IMAGE, "size": "512x512", "negative_prompt": "dogs"},
     "schemas.community.Text2Image"),
    ("image_generation", "realtime", {**IMAGE, "size": "512x512"}, "schemas.realtime.RealtimeText2ImageSchema"),
    ("image_edit", "midjourney", {"image": PNG, **IMAGE}, "schemas.community.Image2Image"),
    ("image_edit", "midjourney", {"image": PNG, "mask": PNG, **IMAGE}, "schemas.community.Inpainting"),
    ("image_generation", "flux-2-pro", {**IMAGE, "size": "1024x768"}, "providers.bfl.schemas.Flux2ProSchema"),
    ("image_generation", "imagen-4", {**IMAGE, "size": "16:9"}, "providers.google.schemas.Imagen4Schema"),
    ("image_generation", "seedream-4", {**IMAGE, "size": "1:1"}, "providers.byteplus.schemas.SeeDream4Schema"),
    ("image_edit", "flux-kontext-pro", {"image": PNG, "size": "1:1"}, "providers.bfl.schemas.FluxKontextProSchema"),
    ("image_edit", "seedream-4.0-i2i", {"image": [PNG, PNG]}, "providers.byteplus.schemas.SeeDream4I2ISchema"),
    ("video_generation", "cogvideox", {"seconds": 3, "size": "512x512", "seed": 1}, "schemas.video.Text2Video"),
    ("video_generation", "cogvideox", {"input_reference": PNG, "seconds": 3}, "schemas.video.Image2Video"),
    ("video_generation", "kling-v2-5-turbo-t2v", {"seconds": 5, "size": "16:9"},
     "providers.klingai.schemas.KlingV25TurboT2VSchema"),
    ("video_generation", "sora-2", {"seconds": 8, "size": "9:16"}, "providers.openai.schemas.Sora2Schema"),
    ("video_generation", "seedance-t2v", {"size": "16:9"}, "providers.byteplus.schemas.SeeDanceT2VSchema"),
    ("speech", "text_to_speech", {"voice": None, "speed": 1.5, "response_format": "mp3"}, "schemas.audio.Text2Speech"),
    ("speech", "text_to_audio", {"voice": "v", "speed": 1.5}, "schemas.audio.Text2Audio"),
    ("speech", "eleven_multilingual_v2", {"voice": "v"}, "providers.elevenlabs.schemas.ElevenMultilingualV2Schema"),
]  # fmt: skip


@pytest.mark.parametrize(("function", "model", "given", "name"), ROWS, ids=[f"{row[0]}-{row[3]}" for row in ROWS])
def test_bodies_are_those_of_the_official_sdk(ask, function, model, given, name):
    """Nothing required is missing, nothing has a wrong type, and no field is unknown."""
    wire = Wire(PLACE)
    text = "input" if function == "speech" else "prompt"
    ask(wire, function, model=f"modelslab/{model}", **{text: "A cat", **given})
    sent = [request.json for request in wire.requests if request.content and "base64_string" not in request.json]
    kind = schema(name)
    for body in sent:
        fields = {field: value for field, value in body.items() if field != "key"}
        kind.model_validate(fields)
        allowed = set(kind.model_fields) | (COMMON if function.startswith("image") else set())
        assert set(fields) <= allowed, set(fields) - allowed
