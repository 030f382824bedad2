"""Images with OpenAI: literal requests, literal replies."""

from __future__ import annotations

import json

import httpx
import pytest
from forms import fields, files

from polyport import errors

PNG = b"\x89PNG\r\n\x1a\n"
USAGE = {
    "input_tokens": 50,
    "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
    "output_tokens": 100,
    "total_tokens": 150,
}
REPLY = {"created": 1, "data": [{"b64_json": "iVBORw0KGgo="}], "usage": USAGE, "output_format": "png"}


def test_an_image_is_made(wire, client):
    """Usage comes in the words that chat uses."""
    wire.answer = lambda _: httpx.Response(200, json=REPLY)
    got = client.image_generation("a cat", "gpt-image-1", size="1024x1024", quality="low")
    assert str(wire.last.url) == "https://api.openai.com/v1/images/generations"
    assert json.loads(wire.last.content) == {
        "model": "gpt-image-1",
        "prompt": "a cat",
        "size": "1024x1024",
        "quality": "low",
    }
    assert got.data[0].content == PNG
    assert got.usage_buckets == {"input": 10, "image_input": 40, "output": 100}


@pytest.mark.parametrize("model", ["gpt-image-1", "chatgpt-image-latest"])
def test_gpt_image_models_answer_in_base64(wire, client, model):
    """Asked for base64 they are not asked at all, since they refuse to be; a URL they cannot give."""
    wire.answer = lambda _: httpx.Response(200, json=REPLY)
    got = client.image_generation("a cat", f"openai/{model}", response_format="b64_json")
    assert "response_format" not in json.loads(wire.last.content)
    assert got.meta.adaptations == []
    with pytest.raises(errors.UnsupportedParamsError, match="response_format"):
        client.image_generation("a cat", f"openai/{model}", response_format="url")
    client.image_generation("a cat", "dall-e-3", response_format="url")
    assert json.loads(wire.last.content)["response_format"] == "url"


@pytest.mark.parametrize("parameter", [{"seed": 1}, {"negative_prompt": "dogs"}])
def test_what_images_do_not_have(client, parameter):
    """There is no seed and no negative prompt."""
    with pytest.raises(errors.UnsupportedParamsError):
        client.image_generation("a cat", "gpt-image-1", **parameter)


@pytest.mark.parametrize("made", ["image_generation", "image_edit"])
def test_partial_images_are_streamed(wire, client, made):
    """Partial images by number, then the finished one with usage."""
    events = [
        {"type": f"{made}.partial_image", "b64_json": "AA==", "partial_image_index": 0},
        {"type": f"{made}.completed", "b64_json": "iVBORw0KGgo=", "usage": USAGE},
    ]
    body = b"".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n".encode() for e in events)
    wire.answer = lambda _: httpx.Response(200, content=body)
    given = {"image": PNG} if made == "image_edit" else {}
    stream = getattr(client, made)(prompt="a cat", model="gpt-image-1", stream=True, partial_images=1, **given)
    got = list(stream)
    assert [(event.type, event.partial_image_index) for event in got] == [
        (e["type"], e.get("partial_image_index")) for e in events
    ]
    assert got[-1].usage.total_tokens == 150


def test_several_images_and_a_mask_are_edited(wire, client, tmp_path):
    """Several images are `image[]`, from bytes, a path and a named pair; one image is `image`."""
    path = tmp_path / "two.png"
    path.write_bytes(PNG)
    wire.answer = lambda _: httpx.Response(200, json=REPLY)
    client.image_edit([PNG, path, ("three.png", PNG)], "a hat", "gpt-image-1", mask=("mask.png", PNG), n=2)
    assert str(wire.last.url) == "https://api.openai.com/v1/images/edits"
    assert fields(wire.last) == {"model": "gpt-image-1", "prompt": "a hat", "n": "2"}
    assert files(wire.last) == [
        ("image[]", "image.png", "image/png", PNG),
        ("image[]", "two.png", "image/png", PNG),
        ("image[]", "three.png", "image/png", PNG),
        ("mask", "mask.png", "image/png", PNG),
    ]
    client.image_edit(PNG, "a hat", "gpt-image-1")
    assert [name for name, *_ in files(wire.last)] == ["image"]


def test_an_image_is_varied(wire, client):
    """One image, and only one."""
    wire.answer = lambda _: httpx.Response(200, json={"created": 1, "data": [{"url": "https://x.example/1.png"}]})
    got = client.image_variation(PNG, "dall-e-2", n=1, size="256x256")
    assert str(wire.last.url) == "https://api.openai.com/v1/images/variations"
    assert fields(wire.last) == {"model": "dall-e-2", "n": "1", "size": "256x256"}
    assert (got.data[0].url, got.usage) == ("https://x.example/1.png", None)
    with pytest.raises(errors.BadRequestError, match="one image"):
        client.image_variation([PNG, PNG], "dall-e-2")
