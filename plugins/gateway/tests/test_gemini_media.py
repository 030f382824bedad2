"""Pictures and videos in Gemini's interface: over its own models as they came, and over others'."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given, settings, strategies as st

from polyport import ids
from polyport_gateway.gemini_media import file_of, video_of

from .google import FIRST, PICTURE, SECOND, Google
from .services import Answering, Local, listening
from .waiting import until

genai = pytest.importorskip("google.genai")
pytest.importorskip("polyport_gemini")
pytest.importorskip("polyport_openai")

MASTER = "sk-master-1234"
ADMIN = {"authorization": f"Bearer {MASTER}"}


class Studio(Local):
    """A provider of OpenAI's dialect that draws and films. `asked` has (path, body) of every request."""

    def __init__(self) -> None:
        super().__init__(Drawing)
        self.asked: list[tuple[str, bytes]] = []
        self.video: dict[str, Any] = {"id": "", "object": "video", "model": "sora-2", "status": "queued"}


class Drawing(Answering):
    """Answers as OpenAI does, as far as the tests ask."""

    server: Studio

    def serve(self) -> None:
        body = self.body()
        self.server.asked.append((self.path, body))
        if self.path == "/pictures/1.png":
            self.send(base64.b64decode(PICTURE), **{"content-type": "image/png"})
        elif self.path == "/v1/images/generations":
            asked = json.loads(body)
            one = (
                {"b64_json": PICTURE, "revised_prompt": "A better cat"}
                if asked["model"].startswith("gpt")
                else {"url": f"{self.server.address}/pictures/1.png"}
            )
            self.send(json.dumps({"created": 1, "data": [one] * asked.get("n", 1)}).encode())
        elif self.path.endswith("/content"):
            self.send(b"moving pictures", **{"content-type": "video/mp4"})
        else:
            if self.command == "POST":
                self.server.video["id"] = f"video_{len(self.server.asked)}"
            self.send(json.dumps(self.server.video).encode())


@pytest.fixture(scope="module")
def studio() -> Iterator[Studio]:
    """The other vendor."""
    with listening(Studio()) as server:
        yield server


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    """The vendor."""
    with listening(Google()) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(google: Google, studio: Studio, start: Callable[..., Any]) -> Any:
    """A gateway in front of both."""
    there = {"api_key": FIRST, "api_base": google.address}
    other = {"api_key": "sk-upstream", "api_base": f"{studio.address}/v1"}
    models = [
        {
            "model_name": "imagen",
            "litellm_params": {"model": "gemini/imagen-4.0", **there, "output_cost_per_image": 0.04},
        },
        {"model_name": "veo", "litellm_params": {"model": "gemini/veo-3.1", **there}},
        {"model_name": "veo-too", "litellm_params": {"model": "gemini/veo-3.1", **there, "api_key": SECOND}},
        {"model_name": "draws", "litellm_params": {"model": "openai/gpt-image-1", **other}},
        {"model_name": "tells", "litellm_params": {"model": "openai/dall-e-3", **other}},
        {"model_name": "films", "litellm_params": {"model": "openai/sora-2", **other}},
    ]
    general = {"master_key": MASTER}
    return start(
        {"model_list": models, "general_settings": general, "router_settings": {"num_retries": 0},
         "litellm_settings": {"remote_files": "any"}}
    )  # fmt: skip


def key_of(gateway: Any, **fields: Any) -> str:
    """Return a new key."""
    made = httpx.post(f"{gateway.url}/key/generate", json=fields, headers=ADMIN, timeout=60)
    assert made.status_code == 200, made.text
    return str(made.json()["key"])


@pytest.fixture
def mine(gateway: Any) -> Iterator[httpx.Client]:
    """Ask with a key of one's own."""
    headers = {"x-goog-api-key": key_of(gateway)}
    with httpx.Client(base_url=f"{gateway.url}/v1beta", headers=headers, timeout=60) as client:
        yield client


def drawing(**parameters: Any) -> dict[str, Any]:
    """Return a request of a picture."""
    return {"instances": [{"prompt": "a cat"}], "parameters": parameters}


def test_imagen_draws_as_it_is_asked(google: Google, gateway: Any, mine: httpx.Client) -> None:
    """Its own parameters go there, its reply comes back as it is, and the ledger has it by the picture."""
    body = drawing(
        sampleCount=2, aspectRatio="16:9", personGeneration="ALLOW_ADULT", outputOptions={"mimeType": "image/png"}
    )
    answer = mine.post("/models/imagen:predict", json=body)
    assert answer.status_code == 200, answer.text
    made = {"mimeType": "image/png", "bytesBase64Encoded": PICTURE, "safetyAttributes": {"own": 1}}
    assert answer.json() == {"predictions": [made, made]}
    assert google.asked[-1][1:3] == ("/v1beta/models/imagen-4.0:predict", FIRST)
    assert google.asked[-1][3] == {"instances": [{"prompt": "a cat"}], "parameters": {
        "sampleCount": 2, "aspectRatio": "16:9", "personGeneration": "ALLOW_ADULT",
        "outputOptions": {"mimeType": "image/png"}}}  # fmt: skip
    assert float(answer.headers["x-polyport-cost"]) == pytest.approx(0.08)
    mine.post("/models/imagen:predict", json=drawing())
    assert google.asked[-1][3]["parameters"]["sampleCount"] == 4


@pytest.mark.parametrize("model", ["draws", "tells"])
def test_others_draw_the_same(studio: Studio, mine: httpx.Client, model: str) -> None:
    """A shape becomes a size, which is told; a picture of which only the address is told is fetched."""
    answer = mine.post(f"/models/{model}:predict", json=drawing(sampleCount=1, aspectRatio="16:9"))
    assert answer.status_code == 200, answer.text
    [made] = answer.json()["predictions"]
    assert (made["mimeType"], made["bytesBase64Encoded"]) == ("image/png", PICTURE)
    assert made.get("prompt") == ("A better cat" if model == "draws" else None)
    [asked] = [json.loads(body) for path, body in studio.asked if path.endswith("generations")][-1:]
    assert (asked["prompt"], asked["n"], asked["size"]) == ("a cat", 1, "1536x1024")
    assert "aspectRatio" in answer.headers["x-polyport-adaptations"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (drawing(personGeneration="ALLOW_ADULT"), "$.parameters.personGeneration"),
        (drawing(odd=1), "$.parameters.odd"),
        ({"instances": [{"prompt": "x", "odd": 1}]}, "$.instances[0].odd"),
        ({"instances": []}, "$.instances"),
        ({"instances": [{"prompt": "x"}], "odd": 1}, "$.odd"),
        ({"instances": [[]]}, "$.instances[0]"),
    ],
)
def test_what_others_have_not_is_refused_by_its_path(mine: httpx.Client, body: Any, place: str) -> None:
    """In Google's shape; nothing is left out in silence."""
    answer = mine.post("/models/draws:predict", json=body)
    assert (answer.status_code, answer.json()["error"]["status"]) == (400, "INVALID_ARGUMENT")
    assert place in answer.json()["error"]["message"]


def operation(name: str) -> Any:
    """Return an operation as the SDK has it."""
    return genai.types.GenerateVideosOperation(name=name)


def client_of(gateway: Any, key: str) -> Any:
    """Return the SDK."""
    return genai.Client(api_key=key, http_options={"base_url": gateway.url})


@pytest.mark.parametrize("model", ["veo", "veo-too", "films"])
def test_a_video_is_begun_waited_for_and_downloaded(google: Google, studio: Studio, gateway: Any, model: str) -> None:
    """With the SDK's own operation and download; by whose it is alone, at the account where it was begun."""
    key, other = key_of(gateway), key_of(gateway)
    body = {"instances": [{"prompt": "a cat", "image": {"bytesBase64Encoded": PICTURE, "mimeType": "image/png"}}],
            "parameters": {"aspectRatio": "16:9", "resolution": "720p", "durationSeconds": 8}}  # fmt: skip
    url = f"{gateway.url}/v1beta/models/{model}:predictLongRunning"
    begun = httpx.post(url, json=body, headers={"x-goog-api-key": key}, timeout=60)
    assert begun.status_code == 200, begun.text
    name = begun.json()["name"]
    assert name.startswith(f"models/{model}/operations/video_pp_")
    sdk, stranger = client_of(gateway, key), client_of(gateway, other)
    assert not sdk.operations.get(operation(name)).done
    if model == "films":
        path, sent = studio.asked[-2]
        assert path == "/v1/videos"
        assert b"1280x720" in sent
        assert base64.b64decode(PICTURE) in sent
        studio.video |= {"status": "completed"}
    else:
        _, path, account, asked = google.asked[-2]
        assert (path, account) == ("/v1beta/models/veo-3.1:predictLongRunning", FIRST if model == "veo" else SECOND)
        assert asked["parameters"] == {"aspectRatio": "16:9", "resolution": "720p", "durationSeconds": 8}
        assert asked["instances"][0]["image"]["bytesBase64Encoded"] == PICTURE
        google.film(str(ids.read(name.rpartition("/")[2]).id), b"moving pictures")  # type: ignore[union-attr]
    done = sdk.operations.get(operation(name))
    assert done.done
    [made] = done.response.generated_videos
    assert sdk.files.download(file=made.video) == b"moving pictures"
    for call in (lambda: stranger.operations.get(operation(name)), lambda: stranger.files.download(file=made.video)):
        with pytest.raises(genai.errors.APIError) as error:
            call()
        assert error.value.code == 404
    rows = until(lambda: _rows(gateway, key, 3), "the rows are in the ledger")
    assert [row["operation"] for row in rows][:2] == ["video_generation", "video_status"]


def _rows(gateway: Any, key: str, count: int) -> list[dict[str, Any]]:
    name = httpx.get(f"{gateway.url}/key/info", params={"key": key}, headers=ADMIN, timeout=60).json()["key_id"]
    told = httpx.get(f"{gateway.url}/spend/logs", params={"key": name}, headers=ADMIN, timeout=60).json()["results"]
    return sorted(told, key=lambda row: row["at"]) if len(told) >= count else []


def test_a_video_that_fails_says_why(studio: Studio, gateway: Any) -> None:
    """As an error of the operation, or as what was filtered."""
    key = key_of(gateway)
    studio.video |= {"status": "queued"}
    body = {"instances": [{"prompt": "a cat"}]}
    url = f"{gateway.url}/v1beta/models/films:predictLongRunning"
    name = httpx.post(url, json=body, headers={"x-goog-api-key": key}, timeout=60).json()["name"]
    sdk = client_of(gateway, key)
    studio.video |= {"status": "failed", "error": {"code": "server_error", "message": "it rained"}}
    assert sdk.operations.get(operation(name)).error["message"] == "it rained"
    studio.video |= {"error": {"code": "content_policy_violation", "message": "no cats"}}
    assert sdk.operations.get(operation(name)).response.rai_media_filtered_reasons == ["no cats"]
    studio.video.pop("error")


@pytest.mark.parametrize(
    ("instance", "parameters", "status"),
    [
        ({"prompt": "x", "lastFrame": {"bytesBase64Encoded": PICTURE}}, {}, 400),
        ({"prompt": "x", "image": {"gcsUri": "gs://bucket/x"}}, {}, 400),
        ({"prompt": "x"}, {"sampleCount": 2}, 400),
        ({"prompt": "x"}, {"fps": 24}, 400),
    ],
)
def test_what_others_do_not_film_is_refused(
    studio: Studio, mine: httpx.Client, instance: Any, parameters: Any, status: int
) -> None:
    """Before anybody is asked."""
    asked = len(studio.asked)
    body = {"instances": [instance], "parameters": parameters}
    assert mine.post("/models/films:predictLongRunning", json=body).status_code == status
    assert len(studio.asked) == asked


@pytest.mark.parametrize("place", ["video", "lastFrame", "referenceImages"])
@pytest.mark.parametrize("surface", ["gemini", "openai"])
def test_nobody_elses_file_is_filmed(
    google: Google, gateway: Any, mine: httpx.Client, place: str, surface: str
) -> None:
    """Files that Gemini keeps are read with the gateway's key: whoever names one must own it, on both surfaces."""
    named: Any = {"uri": "https://generativelanguage.googleapis.com/v1beta/files/theirs:download?alt=media"}
    named = [{"image": named}] if place == "referenceImages" else named
    asked = len(google.asked)
    if surface == "gemini":
        answer = mine.post("/models/veo:predictLongRunning", json={"instances": [{"prompt": "x", place: named}]})
    else:
        headers = {"authorization": f"Bearer {mine.headers['x-goog-api-key']}"}
        body = {"model": "veo", "prompt": "x", place: named}
        answer = httpx.post(f"{gateway.url}/v1/videos", json=body, headers=headers, timeout=60)
    assert (answer.status_code, len(google.asked)) == (404, asked), answer.text


def test_an_operation_of_nobodys_is_not_asked_for(google: Google, mine: httpx.Client) -> None:
    """Nor a file that looks like a video's."""
    asked = len(google.asked)
    for path in ("/models/veo/operations/op1", "/models/veo/operations/video_pp_x", "/files/vppx:download"):
        assert mine.get(path).status_code == 404
    assert len(google.asked) == asked


@settings(deadline=None)
@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_a_videos_file_is_known_again(provider: str, name: str, model: str) -> None:
    """By a name of which the SDK takes all: small letters and digits."""
    video = ids.issue(ids.Issued(provider, f"x{name}", model))
    file = file_of(video)
    assert file.isascii()
    assert file.isalnum()
    assert file == file.lower()
    assert video_of(file) == video


@settings(deadline=None)
@given(st.text(max_size=60))
def test_what_is_no_videos_file_is_none(text: str) -> None:
    """Whatever it is."""
    assert video_of(text) is None or file_of(str(video_of(text))) == text
    assert video_of(f"vpp{text}") is None or text.isascii()
