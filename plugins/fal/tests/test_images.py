"""Pictures: a literal call beside the literal body that fal's schema wants. No recordings exist: the bodies of replies
are those of https://fal.ai/docs/model-api-reference/image-generation-api/overview."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from polyport.errors import BadRequestError, ContentPolicyViolationError, InvalidResponseError, UnsupportedParamsError
from polyport.testing import Reply

PNG = b"\x89PNG\r\n\x1a\n"
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()
URL = "https://v3.fal.media/files/rabbit/a.png"


def drawn(number: int = 1, **more: Any) -> dict[str, Any]:
    """What a model answers that made so many pictures."""
    picture = {"url": URL, "content_type": "image/png", "width": 1024, "height": 768}
    return {"images": [picture] * number, "seed": 7, "has_nsfw_concepts": [False] * number, **more}


def adapted(result: Any) -> list[tuple[str, str]]:
    """What was not passed on as given."""
    return [(item.parameter, item.action) for item in result.meta.adaptations]


CALLS: list[tuple[str, dict[str, Any], dict[str, Any], list[tuple[str, str]]]] = [
    ("fal-ai/flux/dev", {"size": "1024x768", "n": 2, "seed": 7, "output_format": "jpg", "guidance_scale": 3.5},
     {"image_size": {"width": 1024, "height": 768}, "num_images": 2, "seed": 7, "output_format": "jpeg",
      "guidance_scale": 3.5}, []),
    ("flux/schnell", {"size": "landscape_16_9", "quality": "auto"}, {"image_size": "landscape_16_9"}, []),
    ("flux/schnell", {"size": "16:9"}, {"image_size": "landscape_16_9"}, []),
    ("fast-sdxl", {"negative_prompt": "dogs", "output_format": "png"}, {"negative_prompt": "dogs", "format": "png"},
     []),
    ("flux-pro/v1.1-ultra", {"size": "1920x1080"}, {"aspect_ratio": "16:9"}, []),
    ("flux-pro/kontext/text-to-image", {"size": "1024x1024"}, {"aspect_ratio": "1:1"}, [("size", "renamed")]),
    ("flux-pro/kontext/text-to-image", {"size": "1000x900"}, {"aspect_ratio": "1:1"}, [("size", "clamped")]),
    ("imagen4/preview", {"size": "2048x1536"}, {"aspect_ratio": "4:3", "resolution": "2K"}, [("size", "renamed")]),
    ("imagen4/preview", {"size": "2k"}, {"resolution": "2K"}, []),
    ("imagen4/preview", {"size": "auto"}, {}, []),
    ("nano-banana-pro", {"size": "auto"}, {"aspect_ratio": "auto"}, []),
    ("recraft/v3/text-to-image", {"style": "digital_illustration", "user": "u"}, {"style": "digital_illustration"},
     [("user", "dropped")]),
    ("gpt-image-1/text-to-image", {"size": "1536x1024", "quality": "high", "background": "transparent"},
     {"image_size": "1536x1024", "quality": "high", "background": "transparent"}, []),
    ("gpt-image-1/text-to-image", {"size": "1600x1000"}, {"image_size": "1536x1024"}, [("size", "clamped")]),
    ("my-team/my-model", {"size": "640x480", "n": 2, "quality": "high"},
     {"image_size": {"width": 640, "height": 480}, "num_images": 2, "quality": "high"}, []),
]  # fmt: skip


@pytest.mark.parametrize(("model", "given", "sent", "told"), CALLS, ids=[f"{row[0]}-{row[1]}" for row in CALLS])
def test_parameters_become_what_the_endpoint_calls_them(ask, model, given, sent, told, fake):
    """Sizes as names, numbers or ratios; what comes out otherwise is told; one's own fields pass as they are."""
    queue = fake(drawn())
    result = ask(queue, "image_generation", prompt="A cat", model=f"fal_ai/{model}", **given)
    assert queue.body == {"prompt": "A cat", **sent}
    assert adapted(result) == told


@pytest.mark.parametrize(
    ("model", "given", "why"),
    [("flux/dev", {"negative_prompt": "dogs"}, "negative_prompt"), ("flux/dev", {"moderation": "low"}, "moderation"),
     ("flux/dev", {"output_format": "webp"}, "jpeg, png, not 'webp'"), ("imagen4/preview", {"size": "huge"}, "size"),
     ("imagen4/preview", {"size": "8K"}, "1K, 2K"), ("flux/dev/image-to-image", {"size": "16:9"}, "size"),
     ("flux/dev", {"size": "huge"}, "square_hd"), ("flux/dev", {"quality": "high"}, "quality")],
)  # fmt: skip
def test_what_an_endpoint_has_not_is_refused(ask, model, given, why, fake):
    """By name, before anything is sent; with drop_params it is left out, and told."""
    queue = fake(drawn())
    with pytest.raises(UnsupportedParamsError, match=why):
        ask(queue, "image_generation", prompt="A cat", model=f"fal_ai/{model}", **given)
    assert not queue.sent
    result = ask(queue, "image_generation", prompt="A cat", model=f"fal_ai/{model}", drop_params=True, **given)
    assert queue.body == {"prompt": "A cat"}
    assert adapted(result) == [(next(iter(given)), "dropped")]


def test_pictures_as_addresses(ask, fake):
    """With their size and kind, and what else fal said in `extra`."""
    result = ask(fake(drawn(2)), "image_generation", prompt="A cat", model="fal_ai/flux/dev", n=2)
    assert [image.url for image in result.data] == [URL, URL]
    assert (result.size, result.output_format, result.extra["seed"]) == ("1024x768", "png", 7)
    assert "images" not in result.extra


def test_pictures_as_base64(ask, fake):
    """They are fetched, without the key."""
    queue = fake(drawn(2), files=Reply(content=PNG))
    result = ask(queue, "image_generation", prompt="A cat", model="fal_ai/flux/dev", response_format="b64_json")
    assert [image.content for image in result.data] == [PNG, PNG]
    assert [sent.url for sent in queue.sent if "authorization" not in sent.headers] == [URL, URL]


def test_a_picture_that_came_in_the_reply(ask, fake):
    """As `sync_mode` has it, a data: URL is base64 at once."""
    queue = fake({"image": {"url": DATA}})
    result = ask(queue, "image_generation", prompt="A cat", model="fal_ai/flux/dev", sync_mode=True)
    assert queue.body["sync_mode"] is True
    assert result.data[0].content == PNG


def test_an_endpoint_that_makes_one_picture_is_asked_as_often(ask, fake):
    """Each is a job of its own; what each said besides stays."""
    queue = fake(drawn())
    result = ask(queue, "image_generation", prompt="A cat", model="fal_ai/flux-2-pro", n=3)
    assert queue.jobs == [{"prompt": "A cat"}] * 3
    assert (len(result.data), len(result.extra["results"])) == (3, 3)
    assert adapted(result) == [("n", "emulated")]


def test_blackened_pictures(ask, fake):
    """All of them are a refusal; some are told, in their places; a checker that was switched off has no say."""
    call = {"prompt": "A cat", "model": "fal_ai/flux/dev"}
    with pytest.raises(ContentPolicyViolationError, match="safety checker"):
        ask(fake(drawn(2, has_nsfw_concepts=[True, True])), "image_generation", **call)
    some = ask(fake(drawn(2, has_nsfw_concepts=[True, False])), "image_generation", **call)
    assert (len(some.data), some.extra["has_nsfw_concepts"]) == (2, [True, False])
    ask(fake(drawn(1, has_nsfw_concepts=[True])), "image_generation", enable_safety_checker=False, **call)


def test_no_pictures_at_all(ask, fake):
    """A reply without any is not a success."""
    with pytest.raises(InvalidResponseError, match=r"\$\.images is empty"):
        ask(fake({"images": []}), "image_generation", prompt="A cat", model="fal_ai/flux/dev")
    with pytest.raises(BadRequestError, match="url or b64_json"):
        ask(fake(), "image_generation", prompt="A cat", model="fal_ai/flux/dev", response_format="png")


# --- edits ---


@pytest.mark.parametrize(
    ("model", "images", "sent"),
    [("flux-pro/kontext", PNG, {"image_url": DATA}), ("nano-banana/edit", PNG, {"image_urls": [DATA]}),
     ("gpt-image-1/edit-image", [PNG, PNG], {"image_urls": [DATA, DATA]}),
     ("my-team/my-model", [PNG, PNG], {"image_urls": [DATA, DATA]})],
)  # fmt: skip
def test_pictures_to_edit(ask, model, images, sent, fake):
    """One or several, where the endpoint has them."""
    queue = fake(drawn())
    ask(queue, "image_edit", image=images, prompt="Bigger", model=f"fal_ai/{model}")
    assert queue.body == {"prompt": "Bigger", **sent}


def test_a_mask(ask, fake):
    """It goes along, and that fal reads it otherwise is told; an endpoint without one refuses."""
    queue = fake(drawn())
    call = {"image": PNG, "mask": PNG, "prompt": "A hat"}
    result = ask(queue, "image_edit", model="fal_ai/flux-pro/v1/fill", **call)
    assert queue.body == {"prompt": "A hat", "image_url": DATA, "mask_url": DATA}
    assert adapted(result) == [("mask", "renamed")]
    queue = fake(drawn())
    assert adapted(ask(queue, "image_edit", model="fal_ai/gpt-image-1.5/edit", **call)) == []
    assert queue.body == {"prompt": "A hat", "image_urls": [DATA], "mask_image_url": DATA}
    with pytest.raises(UnsupportedParamsError, match="mask"):
        ask(queue, "image_edit", model="fal_ai/flux-pro/kontext", **call)


@pytest.mark.parametrize(("model", "images"), [("flux/schnell", PNG), ("flux-pro/kontext", [PNG, PNG])])
def test_more_pictures_than_an_endpoint_takes(ask, model, images, fake):
    """None, or one: it says so, and nothing is sent."""
    queue = fake(drawn())
    with pytest.raises(BadRequestError, match=r"takes (no|one) image"):
        ask(queue, "image_edit", image=images, prompt="Bigger", model=f"fal_ai/{model}")
    assert not queue.sent


def test_a_large_picture_goes_through_storage(ask, fake):
    """Its place is asked for with the key; it is put there without."""
    large = PNG + bytes(5 * 1024 * 1024)
    slot = {"upload_url": "https://v3.fal.media/put/1", "file_url": "https://v3.fal.media/files/1"}
    queue = fake(drawn(), files=lambda sent: slot if sent.method == "POST" else b"")
    ask(queue, "image_edit", image=("cat.png", large), prompt="Bigger", model="fal_ai/flux-pro/kontext")
    begun, put = queue.sent[:2]
    assert begun.url == "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"
    assert begun.json == {"file_name": "cat.png", "content_type": "image/png"}
    assert begun.headers["authorization"] == "Key key-id:key-secret"
    assert (put.method, put.url, put.content == large) == ("PUT", slot["upload_url"], True)
    assert "authorization" not in put.headers
    assert queue.body == {"prompt": "Bigger", "image_url": slot["file_url"]}
