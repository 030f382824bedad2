"""Pictures with Stability: literal requests after the API reference, literal replies. Nothing of it is recorded."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import httpx
import pytest
from forms import fields, files
from wires import Wire, connect

from polyport import errors
from polyport.testing import Exchange, Reply
from polyport.testing.bench import Subject, simulate
from polyport_stability import Stability
from polyport_stability.services import SERVICES

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
JPEG = b"\xff\xd8\xff\xe0\0\x10JFIF"
B64 = base64.b64encode(PNG).decode()
CAT = ("cat.jpg", JPEG)
V2 = "https://api.stability.ai/v2beta/stable-image"
V1 = "https://api.stability.ai/v1/generation"
XL = "stable-diffusion-xl-1024-v1-0"


def picture(reason: str = "SUCCESS", seed: int = 3, name: str = "image") -> dict[str, Any]:
    """A picture as it stands on the wire."""
    return {name: B64, "finish_reason": reason, "seed": seed}


def artifacts(*reasons: str) -> dict[str, Any]:
    """Pictures of version 1 as they stand on the wire."""
    return {"artifacts": [{"base64": B64, "finishReason": reason, "seed": 3} for reason in reasons or ["SUCCESS"]]}


def draw(client, wire, model="core", prompt="A cat", reply=None, **params):
    """Make a picture."""
    wire.answer = lambda _: httpx.Response(200, json=reply or (artifacts() if "diffusion" in model else picture()))
    return client.image_generation(prompt, f"stability/{model}", **params)


def edit(client, wire, model, prompt="A cat", image=CAT, reply=None, **params):
    """Change a picture."""
    wire.answer = lambda _: httpx.Response(200, json=reply or (artifacts() if "diffusion" in model else picture()))
    return client.image_edit(image, prompt, f"stability/{model}", **params)


def adaptations(got) -> list[tuple[str, str]]:
    """What a result says was changed."""
    return [(one.parameter, one.action) for one in got.meta.adaptations]


# --- made ---


def test_a_picture_is_made(wire, client):
    """A form, with JSON asked for; the end user goes into a header."""
    got = draw(
        client,
        wire,
        size="16:9",
        seed=7,
        negative_prompt="dogs",
        style="anime",
        output_format="webp",
        user="u-1",
        response_format="b64_json",
        cfg_scale=4,
    )
    assert (wire.last.method, str(wire.last.url)) == ("POST", f"{V2}/generate/core")
    assert wire.last.headers["authorization"] == "Bearer sk-test"
    assert wire.last.headers["accept"] == "application/json"
    assert wire.last.headers["stability-client-user-id"] == "u-1"
    assert fields(wire.last) == {
        "prompt": "A cat",
        "negative_prompt": "dogs",
        "aspect_ratio": "16:9",
        "style_preset": "anime",
        "output_format": "webp",
        "cfg_scale": "4",
        "seed": "7",
    }
    assert files(wire.last) == []
    assert got.data[0].content == PNG
    assert (got.output_format, got.extra) == ("webp", {"seeds": [3], "finish_reasons": ["SUCCESS"]})
    assert adaptations(got) == []


@pytest.mark.parametrize(
    ("model", "path", "sent"),
    [
        ("core", "core", None),
        ("stable-image-core", "core", None),
        ("ultra", "ultra", None),
        ("generate/ultra", "ultra", None),
        ("sd3", "sd3", None),
        ("sd3.5-large", "sd3", "sd3.5-large"),
        ("sd3.5-flash", "sd3", "sd3.5-flash"),
        ("stable-image/generate/sd3", "sd3", None),
    ],
)
def test_models_are_services(wire, client, model, path, sent):
    """By name or by path; Stable Diffusion 3's versions are a field."""
    draw(client, wire, model)
    assert str(wire.last.url) == f"{V2}/generate/{path}"
    assert fields(wire.last).get("model") == sent


@pytest.mark.parametrize(
    ("size", "ratio", "told"),
    [
        (None, None, []),
        ("auto", None, []),
        ("1:1", "1:1", []),
        ("1024x1024", "1:1", [("size", "renamed")]),
        ("1536x1024", "3:2", [("size", "renamed")]),
        ("1792x1024", "16:9", [("size", "renamed")]),
        ("640x480", "5:4", [("size", "clamped")]),
    ],
)
def test_a_size_is_the_nearest_ratio(wire, client, size, ratio, told):
    """And said to be so; `strict` makes it an error."""
    got = draw(client, wire, size=size)
    assert fields(wire.last).get("aspect_ratio") == ratio
    assert adaptations(got) == told
    if told:
        with pytest.raises(errors.BadRequestError, match="size would be"):
            draw(client, wire, size=size, strict=True)


def test_several_pictures_are_several_calls_with_seeds_of_their_own(wire, client):
    """The same seed would draw the same picture; without one each is random. Sync and async."""
    got = draw(client, wire, n=3, seed=4294967293)
    assert sorted(fields(request)["seed"] for request in wire.seen) == ["0", "4294967293", "4294967294"]
    assert len(got.data) == 3
    assert adaptations(got) == [("n", "emulated"), ("seed", "emulated")]
    wire.seen.clear()

    async def ask() -> int:
        async with connect(wire, stability=Stability) as client:
            return len((await client.aimage_generation("A cat", "stability/core", n=2)).data)

    assert asyncio.run(ask()) == 2
    assert ["seed" in fields(request) for request in wire.seen] == [False, False]


@pytest.mark.parametrize(
    ("model", "params", "parameter"),
    [
        ("core", {"quality": "hd"}, "quality"),
        ("core", {"background": "transparent"}, "background"),
        ("core", {"response_format": "url"}, "response_format"),
        ("core", {"output_compression": 50}, "output_compression"),
        ("core", {"moderation": "low"}, "moderation"),
        ("core", {"style": "vivid"}, "style"),
        ("core", {"size": "large"}, "size"),
        ("core", {"stream": True}, "stream"),
        ("sd3.5-large", {"output_format": "webp"}, "output_format"),
        (XL, {"output_format": "jpeg"}, "output_format"),
        (XL, {"size": "large"}, "size"),
        ("stable-diffusion-v1-6", {"size": "16:9"}, "size"),
    ],
)
def test_what_stability_cannot_do_is_refused_or_told(wire, client, model, params, parameter):
    """An error, and nothing is sent; with drop_params it is left out, and recorded."""
    with pytest.raises(errors.UnsupportedParamsError, match=parameter):
        draw(client, wire, model, **params)
    assert wire.seen == []
    got = draw(client, wire, model, drop_params=True, **params)
    assert adaptations(got) == [(parameter, "dropped")]
    if model == XL or "v1-6" in model:
        assert json.loads(wire.last.content) == {"text_prompts": [{"text": "A cat", "weight": 1}]}
    else:
        assert fields(wire.last).keys() <= {"prompt", "model"}


def test_what_happens_anyway_may_be_asked_for(wire, client):
    """Neutral values of OpenAI's are neither refused nor sent."""
    got = draw(client, wire, quality="auto", background="opaque", moderation="auto", output_format="jpg")
    assert fields(wire.last) == {"prompt": "A cat", "output_format": "jpeg"}
    assert adaptations(got) == []


# --- changed ---

SERVED: list[tuple[str, str, dict[str, Any], dict[str, str]]] = [
    (
        "inpaint",
        "edit/inpaint",
        {"seed": 3, "negative_prompt": "dogs", "grow_mask": 5, "style_preset": "anime"},
        {"prompt": "A cat", "seed": "3", "negative_prompt": "dogs", "grow_mask": "5", "style_preset": "anime"},
    ),
    (
        "outpaint",
        "edit/outpaint",
        {"left": 200, "down": 100, "creativity": 0.5},
        {"prompt": "A cat", "left": "200", "down": "100", "creativity": "0.5"},
    ),
    (
        "edit/search-and-replace",
        "edit/search-and-replace",
        {"search_prompt": "the dog"},
        {"prompt": "A cat", "search_prompt": "the dog"},
    ),
    (
        "search-and-recolor",
        "edit/search-and-recolor",
        {"select_prompt": "the sofa", "grow_mask": 3},
        {"prompt": "A cat", "select_prompt": "the sofa", "grow_mask": "3"},
    ),
    (
        "upscale-conservative",
        "upscale/conservative",
        {"creativity": 0.2, "seed": 1, "output_format": "jpeg"},
        {"prompt": "A cat", "creativity": "0.2", "seed": "1", "output_format": "jpeg"},
    ),
    ("control-sketch", "control/sketch", {"control_strength": 0.7}, {"prompt": "A cat", "control_strength": "0.7"}),
    ("stable-image/control/structure", "control/structure", {"seed": 9}, {"prompt": "A cat", "seed": "9"}),
    (
        "control-style",
        "control/style",
        {"fidelity": 0.5, "size": "9:16"},
        {"prompt": "A cat", "fidelity": "0.5", "aspect_ratio": "9:16"},
    ),
    ("ultra", "generate/ultra", {"strength": 0.3}, {"prompt": "A cat", "strength": "0.3"}),
    (
        "sd3.5-medium",
        "generate/sd3",
        {"strength": 0.3},
        {"prompt": "A cat", "strength": "0.3", "mode": "image-to-image", "model": "sd3.5-medium"},
    ),
]


@pytest.mark.parametrize(("model", "path", "given", "sent"), SERVED, ids=[row[0] for row in SERVED])
def test_a_picture_is_changed(wire, client, model, path, given, sent):
    """The picture is a file of the form; a service's own parameters are passed on."""
    got = edit(client, wire, model, **given)
    assert str(wire.last.url) == f"{V2}/{path}"
    assert files(wire.last) == [("image", "cat.jpg", "image/jpeg", JPEG)]
    assert fields(wire.last) == sent
    assert got.data[0].b64_json == B64
    assert adaptations(got) == []


@pytest.mark.parametrize(
    ("model", "path"),
    [("erase", "edit/erase"), ("remove-background", "edit/remove-background"), ("upscale-fast", "upscale/fast")],
)
def test_services_without_a_prompt_take_none(wire, client, model, path):
    """An empty one is not sent; any other is refused, or left out and told. As a variation there is none to give."""
    edit(client, wire, model, prompt="")
    assert (str(wire.last.url), fields(wire.last)) == (f"{V2}/{path}", {})
    with pytest.raises(errors.UnsupportedParamsError, match="prompt"):
        edit(client, wire, model, prompt="A cat")
    assert adaptations(edit(client, wire, model, drop_params=True)) == [("prompt", "dropped")]
    client.image_variation(CAT, f"stability/{model}", output_format="png")
    assert (str(wire.last.url), fields(wire.last)) == (f"{V2}/{path}", {"output_format": "png"})


def test_a_variation_by_a_prompt_is_told_it(wire, client):
    """Among the further parameters; without one nothing is sent."""
    wire.answer = lambda _: httpx.Response(200, json=picture())
    with pytest.raises(errors.BadRequestError, match=r"by a prompt.*\$\.prompt"):
        client.image_variation(CAT, "stability/control-sketch")
    assert wire.seen == []
    client.image_variation(CAT, "stability/control-sketch", prompt="A cat")
    assert fields(wire.last) == {"prompt": "A cat"}
    client.image_variation(CAT, "stability/outpaint", left=10)
    assert fields(wire.last) == {"left": "10"}


def test_a_picture_to_begin_with_needs_a_strength(wire, client):
    """One is taken where none is given, and said to be; the picture keeps its size."""
    got = edit(client, wire, "sd3.5-large")
    assert fields(wire.last)["strength"] == "0.5"
    assert adaptations(got) == [("strength", "emulated")]
    with pytest.raises(errors.UnsupportedParamsError, match="size"):
        edit(client, wire, "ultra", strength=0.4, size="1:1")


def test_a_style_is_transferred_from_one_picture_to_another(wire, client):
    """The first is changed in the style of the second; one alone is too few."""
    edit(client, wire, "control-style-transfer", prompt="", image=[CAT, ("style.png", PNG)], style_strength=0.8)
    assert [(name, filename) for name, filename, _, _ in files(wire.last)] == [
        ("init_image", "cat.jpg"),
        ("style_image", "style.png"),
    ]
    assert fields(wire.last) == {"style_strength": "0.8"}
    with pytest.raises(errors.BadRequestError, match=r"takes 2 picture\(s\), not 1, at \$\.image"):
        edit(client, wire, "control-style-transfer")


def test_a_service_gets_as_many_pictures_as_it_takes(wire, client):
    """Too many, too few, or for a service that takes none: an error that says what to use."""
    with pytest.raises(errors.BadRequestError, match="core takes no picture, not 1"):
        edit(client, wire, "core")
    with pytest.raises(errors.BadRequestError, match=r"inpaint takes 1 picture\(s\), not 2"):
        edit(client, wire, "inpaint", image=[CAT, CAT])
    with pytest.raises(errors.BadRequestError, match=r"not 0.*use image_edit"):
        draw(client, wire, "inpaint")
    with pytest.raises(errors.NotFoundError, match=r"no service 'inpait'\. Near: inpaint"):
        draw(client, wire, "inpait")
    assert wire.seen == []


def test_a_mask_goes_along_where_one_is_taken(wire, client):
    """In black and white as it is; elsewhere it is refused."""
    edit(client, wire, "erase", prompt="", mask=("mask.jpg", JPEG))
    assert [name for name, *_ in files(wire.last)] == ["image", "mask"]
    with pytest.raises(errors.UnsupportedParamsError, match="mask"):
        edit(client, wire, "outpaint", mask=("mask.jpg", JPEG), left=1)


# --- version 1 ---


def test_an_engine_draws_from_text(wire, client):
    """JSON; what is not wanted is a prompt of negative weight, and several pictures are one call."""
    got = draw(
        client,
        wire,
        "sdxl",
        reply=artifacts("SUCCESS", "SUCCESS"),
        n=2,
        size="1344x768",
        seed=7,
        negative_prompt="dogs",
        style="anime",
        steps=30,
    )
    assert str(wire.last.url) == f"{V1}/{XL}/text-to-image"
    assert json.loads(wire.last.content) == {
        "width": 1344,
        "height": 768,
        "text_prompts": [{"text": "A cat", "weight": 1}, {"text": "dogs", "weight": -1}],
        "samples": 2,
        "seed": 7,
        "style_preset": "anime",
        "steps": 30,
    }
    assert len(got.data) == 2
    assert adaptations(got) == [("negative_prompt", "renamed")]


@pytest.mark.parametrize(
    ("engine", "size", "drawn"),
    [
        (XL, "1024x1024", (1024, 1024)),
        (XL, "1536x1024", (1216, 832)),
        (XL, "9:16", (768, 1344)),
        ("stable-diffusion-v1-6", "512x768", (512, 768)),
        ("stable-diffusion-v1-6", "500x100", (512, 320)),
        ("stable-diffusion-v1-6", "4000x512", (1536, 512)),
    ],
)
def test_an_engine_draws_the_sizes_that_it_has(wire, client, engine, size, drawn):
    """The nearest, and said to be so."""
    got = draw(client, wire, engine, size=size)
    body = json.loads(wire.last.content)
    assert (body["width"], body["height"]) == drawn
    assert adaptations(got) == ([] if size == "{}x{}".format(*drawn) else [("size", "clamped")])


def test_an_engine_changes_a_picture(wire, client):
    """A form, whose prompts are numbered."""
    edit(client, wire, XL, negative_prompt="dogs", image_strength=0.4, n=1)
    assert str(wire.last.url) == f"{V1}/{XL}/image-to-image"
    assert files(wire.last) == [("init_image", "cat.jpg", "image/jpeg", JPEG)]
    assert fields(wire.last) == {
        "text_prompts[0][text]": "A cat",
        "text_prompts[0][weight]": "1",
        "text_prompts[1][text]": "dogs",
        "text_prompts[1][weight]": "-1",
        "samples": "1",
        "image_strength": "0.4",
    }
    with pytest.raises(errors.UnsupportedParamsError, match="size"):
        edit(client, wire, XL, size="1024x1024")
    with pytest.raises(errors.BadRequestError, match=r"\$\.prompt"):
        client.image_variation(CAT, f"stability/{XL}")


@pytest.mark.parametrize(
    ("params", "source", "names"),
    [
        ({"mask": ("m.jpg", JPEG)}, "MASK_IMAGE_WHITE", ["init_image", "mask_image"]),
        (
            {"mask": ("m.jpg", JPEG), "mask_source": "MASK_IMAGE_BLACK"},
            "MASK_IMAGE_BLACK",
            ["init_image", "mask_image"],
        ),
        ({"mask_source": "INIT_IMAGE_ALPHA"}, "INIT_IMAGE_ALPHA", ["init_image"]),
    ],
)
def test_an_engine_paints_within_a_mask(wire, client, params, source, names):
    """Where it is white, or as the user says."""
    edit(client, wire, XL, **params)
    assert str(wire.last.url) == f"{V1}/{XL}/image-to-image/masking"
    assert [name for name, *_ in files(wire.last)] == names
    assert fields(wire.last)["mask_source"] == source


# --- jobs ---

JOB = "a6dc6c6e20acda010fe14d71f180658f2896ed9b4ec25aa99a6ff06c796987c4"
WAIT = Reply.of({"id": JOB, "status": "in-progress"}, status=202)
BUSY = Reply.of({"name": "internal_error", "errors": ["oops"]}, status=500)


def job(*before: Reply, last: Any = None, **call: Any):
    """Run an enlargement in simulated time."""
    call = {"model": "upscale-creative", "prompt": "A cat", "image": CAT, **call}
    exchange = Exchange(
        "edit_image", call, reply=last or picture(name="result"), before=[Reply.of({"id": JOB}), *before]
    )
    return simulate(Subject(Stability, "stability"), exchange)


def test_a_job_is_waited_for():
    """Asked after no more than once in ten seconds; the result is JSON."""
    outcome = job(WAIT, WAIT)
    assert outcome.value().data[0].content == PNG
    assert [(request.method, request.url) for request in outcome.requests] == [
        ("POST", f"{V2}/upscale/creative"),
        *[("GET", f"https://api.stability.ai/v2beta/results/{JOB}")] * 3,
    ]
    assert all(request.headers["accept"] == "application/json" for request in outcome.requests)
    assert 20 <= outcome.result.meta.latency < 21


def test_a_background_is_replaced_by_a_job(wire, client):
    """The picture is the subject, a second one the reference, and the prompt is the background's."""
    wire.answer = lambda request: httpx.Response(200, json={"id": JOB} if request.method == "POST" else picture())
    model = "stability/replace-background-and-relight"
    client.image_edit([CAT, PNG], "A meadow", model, light_source_direction="above", light_reference=PNG)
    form = wire.seen[0]
    assert str(form.url) == f"{V2}/edit/replace-background-and-relight"
    assert [name for name, *_ in files(form)] == ["subject_image", "background_reference", "light_reference"]
    assert fields(form) == {"background_prompt": "A meadow", "light_source_direction": "above"}


def test_a_job_under_way_is_not_given_up_for_a_passing_fault():
    """Giving up would pay for it twice; but neither is it asked after for ever."""
    assert job(WAIT, BUSY, BUSY, BUSY, WAIT).value().data
    assert isinstance(job(WAIT, BUSY, BUSY, BUSY, last=BUSY).error, errors.InternalServerError)
    gone = Reply.of({"name": "not_found", "errors": ["expired"]}, status=404)
    assert isinstance(job(WAIT, last=gone).error, errors.NotFoundError)


def test_a_job_is_waited_for_as_long_as_the_call_may_take():
    """Then it is a Timeout that names the job."""
    outcome = job(*[WAIT] * 3, timeout=25)
    assert isinstance(outcome.error, errors.Timeout)
    assert JOB in str(outcome.error)
    assert len(outcome.requests) == 4


# --- refusals ---


def test_a_blurred_picture_is_an_error(wire, client):
    """Of both versions; of several, the good ones are returned and all are told of."""
    for model, reply in (
        ("core", picture("CONTENT_FILTERED")),
        (XL, artifacts("CONTENT_FILTERED", "CONTENT_FILTERED")),
    ):
        with pytest.raises(errors.ContentPolicyViolationError, match="CONTENT_FILTERED"):
            draw(client, wire, model, reply=reply)
    got = draw(client, wire, XL, reply=artifacts("SUCCESS", "CONTENT_FILTERED"), n=2)
    assert len(got.data) == 1
    assert got.extra["finish_reasons"] == ["SUCCESS", "CONTENT_FILTERED"]


def test_a_picture_that_failed_is_an_error_that_may_pass(wire, client):
    """Stability's own."""
    with pytest.raises(errors.InternalServerError) as caught:
        draw(client, wire, XL, reply=artifacts("ERROR"))
    assert caught.value.retryable


@pytest.mark.parametrize("reply", [{"seed": 3}, {"artifacts": []}, {"artifacts": [{"seed": 3}]}])
def test_a_reply_without_a_picture_is_an_error(wire, client, reply):
    """That names the place."""
    with pytest.raises(errors.InvalidResponseError, match=r"\$\.(image|artifacts)"):
        draw(client, wire, XL if "artifacts" in reply else "core", reply=reply)


@pytest.mark.parametrize(
    ("status", "name", "kind", "retryable"),
    [
        (400, "bad_request", errors.BadRequestError, False),
        (400, "invalid_prompts", errors.ContentPolicyViolationError, False),
        (401, "unauthorized", errors.AuthenticationError, False),
        (402, "payment_required", errors.RateLimitError, False),
        (403, "content_moderation", errors.ContentPolicyViolationError, False),
        (403, "permission_denied", errors.PermissionDeniedError, False),
        (404, "not_found", errors.NotFoundError, False),
        (413, "payload_too_large", errors.BadRequestError, False),
        (422, "unprocessable", errors.UnprocessableEntityError, False),
        (429, "rate_limit_exceeded", errors.RateLimitError, True),
        (500, "internal_error", errors.InternalServerError, True),
    ],
)
@pytest.mark.parametrize("shape", ["errors", "message"])
def test_a_name_says_what_is_wrong(wire, client, status, name, kind, retryable, shape):
    """In the shape of either version."""
    said = {"errors": ["So it is."]} if shape == "errors" else {"message": "So it is."}
    wire.answer = lambda _: httpx.Response(status, json={"id": "e-1", "name": name, **said})
    with pytest.raises(kind, match="So it is") as caught:
        client.image_generation("A cat", "stability/core")
    assert type(caught.value) is kind
    assert (caught.value.status_code, caught.value.retryable) == (status, retryable)


def test_everything_that_is_wrong_is_told(wire, client):
    """Stability names all the fields at once."""
    wrong = {"id": "e-1", "name": "bad_request", "errors": ["seed: must be a number", "prompt: is required"]}
    wire.answer = lambda _: httpx.Response(400, json=wrong)
    with pytest.raises(errors.BadRequestError, match="seed: must be a number; prompt: is required") as caught:
        client.image_generation("A cat", "stability/core")
    assert caught.value.body == wrong


def test_engines_are_listed(wire: Wire, client):
    """With what Stability says of each."""
    wire.answer = lambda _: httpx.Response(
        200, json=[{"id": XL, "name": "SDXL", "description": "d", "type": "PICTURE"}]
    )
    (got,) = client.list_models(provider="stability").data
    assert str(wire.last.url) == "https://api.stability.ai/v1/engines/list"
    assert (got.id, got.display_name, got.extra) == (XL, "SDXL", {"description": "d", "type": "PICTURE"})


def test_every_service_has_a_page_in_the_list_of_models():
    """And none is listed that there is not, but for the engines and what is an older name."""
    from polyport import catalog

    listed = {name for name in catalog.of_provider("stability") if not name.startswith("stable-diffusion")}
    assert listed == {name for name in SERVICES if not name.startswith("sd3-")}
