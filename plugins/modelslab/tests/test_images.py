"""Pictures: a literal call beside the literal path and body that ModelsLab's documentation wants. No recordings exist:
replies are those of https://docs.modelslab.com/image-generation/overview."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from polyport.errors import BadRequestError, ContentPolicyViolationError, InvalidResponseError, UnsupportedParamsError
from polyport.testing import Reply, Wire

KEY = "ml-not-a-real-key"
PNG = b"\x89PNG\r\n\x1a\n"
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()
URL = "https://pub-3626123a908346a7a8be8d9295f44e26.r2.dev/generations/abc123.png"
PLACE = "https://pub-3626123a.r2.dev/uploads/cat.png"


def drawn(number: int = 1, **more: Any) -> dict[str, Any]:
    """What ModelsLab answers that made so many pictures."""
    return {"status": "success", "generationTime": 2.45, "id": 7, "output": [URL] * number, "meta": {"seed": 3}, **more}


def adapted(result: Any) -> list[tuple[str, str]]:
    """What was not passed on as given."""
    return [(item.parameter, item.action) for item in result.meta.adaptations]


CALLS: list[tuple[str, dict[str, Any], str, dict[str, Any], list[tuple[str, str]]]] = [
    ("flux", {"size": "768x512", "n": 2, "seed": 3, "negative_prompt": "dogs", "guidance_scale": 7.5},
     "/v6/images/text2img", {"model_id": "flux", "width": 768, "height": 512, "samples": 2, "seed": 3,
                             "negative_prompt": "dogs", "guidance_scale": 7.5}, []),
    ("realtime", {"size": "512x512", "quality": "auto"}, "/v6/realtime/text2img", {"width": 512, "height": 512}, []),
    ("imagen-4", {"size": "1024x1024"}, "/v7/images/text-to-image", {"model_id": "imagen-4", "aspect_ratio": "1:1"},
     [("size", "renamed")]),
    ("nano-banana-pro", {"size": "16:9"}, "/v7/images/text-to-image",
     {"model_id": "nano-banana-pro", "aspect_ratio": "16:9"}, []),
    ("seedream-4.5", {"size": "1000x900", "user": "u"}, "/v7/images/text-to-image",
     {"model_id": "seedream-4.5", "aspect_ratio": "1:1"}, [("user", "dropped"), ("size", "clamped")]),
    ("flux-2-pro", {"size": "1024x768"}, "/v7/images/text-to-image",
     {"model_id": "flux-2-pro", "width": 1024, "height": 768}, []),
    ("flux", {"api_version": "v7", "size": "auto"}, "/v7/images/text-to-image", {"model_id": "flux"}, []),
    ("seedream-4", {"api_version": "v6"}, "/v6/images/text2img", {"model_id": "seedream-4"}, []),
    ("flux", {"webhook": "https://me.example", "track_id": 7}, "/v6/images/text2img", {"model_id": "flux"},
     [("webhook", "dropped"), ("track_id", "dropped")]),
]  # fmt: skip


@pytest.mark.parametrize(("model", "given", "path", "sent", "told"), CALLS, ids=[f"{row[0]}-{row[1]}" for row in CALLS])
def test_parameters_become_what_the_model_calls_them(ask, model, given, path, sent, told):
    """At the API that the model is behind, the key in the body; what comes out otherwise is told."""
    wire = Wire(drawn())
    result = ask(wire, "image_generation", prompt="A cat", model=f"modelslab/{model}", **given)
    assert wire.requests[0].url == f"https://modelslab.com/api{path}"
    assert wire.requests[0].json == {"key": KEY, "prompt": "A cat", **sent}
    assert "authorization" not in wire.requests[0].headers
    assert adapted(result) == told


@pytest.mark.parametrize(
    ("model", "given"),
    [("flux", {"size": "16:9"}), ("imagen-4", {"size": "huge"}), ("flux", {"quality": "high"}),
     ("flux", {"output_format": "png"}), ("flux", {"style": "vivid"}), ("flux", {"background": "transparent"})],
)  # fmt: skip
def test_what_a_model_has_not_is_refused(ask, model, given):
    """By name, before anything is sent; with drop_params it is left out, and told."""
    wire = Wire(drawn())
    call = {"prompt": "A cat", "model": f"modelslab/{model}", **given}
    with pytest.raises(UnsupportedParamsError, match=next(iter(given))):
        ask(wire, "image_generation", **call)
    assert not wire.requests
    assert adapted(ask(wire, "image_generation", drop_params=True, **call)) == [(next(iter(given)), "dropped")]
    assert wire.requests[0].json == {"key": KEY, "prompt": "A cat", "model_id": model}


def test_pictures_as_addresses_and_as_base64(ask):
    """What else ModelsLab said is in `extra`; a bucket is given no key."""
    result = ask(Wire(drawn(2)), "image_generation", prompt="A cat", model="modelslab/flux", n=2)
    assert [image.url for image in result.data] == [URL, URL]
    assert (result.extra["meta"], "output" in result.extra) == ({"seed": 3}, False)
    wire = Wire([drawn(), Reply(content=PNG)])
    result = ask(wire, "image_generation", prompt="A cat", model="modelslab/flux", response_format="b64_json")
    assert result.data[0].content == PNG
    assert (wire.requests[1].url, wire.requests[1].content) == (URL, b"")


def test_more_pictures_than_a_request_makes(ask):
    """Are several requests."""
    wire = Wire(lambda sent: drawn(sent.json["samples"]))
    result = ask(wire, "image_generation", prompt="A cat", model="modelslab/flux", n=6)
    assert sorted(sent.json["samples"] for sent in wire.requests) == [2, 4]
    assert (len(result.data), len(result.extra["results"])) == (6, 2)
    assert adapted(result) == [("n", "emulated")]


def test_pictures_that_are_none(ask):
    """One that was blanked, an empty list, a format that does not exist."""
    call = {"prompt": "A cat", "model": "modelslab/flux"}
    with pytest.raises(ContentPolicyViolationError, match="blanked"):
        ask(Wire(drawn(nsfw_content_detected=True)), "image_generation", **call)
    several = ask(Wire(drawn(2, nsfw_content_detected=True)), "image_generation", n=2, **call)
    assert several.extra["nsfw_content_detected"] is True
    with pytest.raises(InvalidResponseError, match=r"\$\.output"):
        ask(Wire(drawn(output=[])), "image_generation", **call)
    with pytest.raises(BadRequestError, match="url or b64_json"):
        ask(Wire(drawn()), "image_generation", response_format="png", **call)
    linked = ask(Wire(drawn(output=[], proxy_links=[URL])), "image_generation", **call)
    assert linked.data[0].url == URL


# --- edits ---


def store(sent: Any) -> Any:
    """Keep files, and draw."""
    if sent.path.endswith("/base64_to_url"):
        return {"status": "success", "id": 1, "output": [PLACE]}
    return drawn()


@pytest.mark.parametrize(
    ("model", "more", "path", "sent"),
    [("realistic-vision-51", {"strength": 0.7}, "/v6/images/img2img", {"init_image": PLACE, "strength": 0.7}),
     ("nano-banana", {"image": [PNG, PNG]}, "/v7/images/image-to-image", {"init_image": [PLACE, PLACE]}),
     ("realistic-vision-51", {"mask": PNG}, "/v6/images/inpaint", {"init_image": PLACE, "mask_image": PLACE})],
)  # fmt: skip
def test_pictures_to_change(ask, model, more, path, sent):
    """They are put into ModelsLab's store, and go on by their address."""
    wire = Wire(store)
    result = ask(wire, "image_edit", prompt="Bigger", model=f"modelslab/{model}", **{"image": PNG, **more})
    assert wire.requests[0].url == "https://modelslab.com/api/v6/base64_to_url"
    assert wire.requests[0].json == {"key": KEY, "base64_string": DATA}
    assert wire.requests[-1].url == f"https://modelslab.com/api{path}"
    assert wire.requests[-1].json == {"key": KEY, "prompt": "Bigger", "model_id": model, **sent}
    assert adapted(result) == ([("mask", "renamed")] if "mask" in more else [])


def test_what_cannot_be_changed(ask):
    """Several pictures at once, a mask behind v7, a file that is too large."""
    with pytest.raises(BadRequestError, match="one picture at a time"):
        ask(Wire(store), "image_edit", image=[PNG, PNG], prompt="Bigger", model="modelslab/flux")
    with pytest.raises(UnsupportedParamsError, match="mask"):
        ask(Wire(store), "image_edit", image=PNG, mask=PNG, prompt="Bigger", model="modelslab/nano-banana")
    with pytest.raises(BadRequestError, match="5 MB"):
        ask(Wire(store), "image_edit", image=PNG + bytes(6_000_000), prompt="Bigger", model="modelslab/flux")
