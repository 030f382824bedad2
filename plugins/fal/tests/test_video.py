"""Films: jobs that another process follows by an id alone."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from polyport.errors import BadRequestError, ConflictError, InvalidResponseError, NotFoundError, UnsupportedParamsError
from polyport.testing import Reply

ID = "764cabcf-b745-4b3e-ae38-1200304cf45b"
PNG = b"\x89PNG\r\n\x1a\n"
DATA = "data:image/png;base64," + base64.b64encode(PNG).decode()
FILM = {"video": {"url": "https://v3.fal.media/files/lion/out.mp4", "content_type": "video/mp4"}, "seed": 1}
VIDEO = f"fal-ai/veo3.1/fast/requests/{ID}"
REFUSED = {"detail": [{"loc": ["body", "prompt"], "msg": "Flagged.", "type": "content_policy_violation"}]}


def adapted(result: Any) -> list[tuple[str, str]]:
    """What was not passed on as given."""
    return [(item.parameter, item.action) for item in result.meta.adaptations]


@pytest.mark.parametrize(
    ("model", "given", "sent", "told"),
    [("veo3.1/fast", {"seconds": 8, "size": "1280x720", "seed": 3, "generate_audio": False},
      {"duration": "8s", "aspect_ratio": "16:9", "resolution": "720p", "seed": 3, "generate_audio": False},
      [("size", "renamed")]),
     ("veo3.1/fast", {"seconds": "5"}, {"duration": "4s"}, [("seconds", "clamped")]),
     ("kling-video/v2.5-turbo/pro/text-to-video", {"seconds": 10.0, "size": "9:16", "negative_prompt": "blur"},
      {"duration": "10", "aspect_ratio": "9:16", "negative_prompt": "blur"}, []),
     ("bytedance/seedance/v1/pro/text-to-video", {"size": "1080p"}, {"resolution": "1080p"}, []),
     ("wan/v2.2-a14b/text-to-video", {"size": "1280x720"}, {"aspect_ratio": "16:9", "resolution": "720p"},
      [("size", "renamed")]),
     ("ltx-2/text-to-video", {"size": "3840x2160"}, {"resolution": "2160p"}, []),
     ("cogvideox-5b", {"size": "720x480"}, {"video_size": {"width": 720, "height": 480}}, []),
     ("pixverse/v4.5/text-to-video", {"seconds": 8, "size": "16:9"}, {"duration": "8", "aspect_ratio": "16:9"}, []),
     ("me/mine", {"seconds": 5, "size": "640x480"}, {"duration": 5, "image_size": {"width": 640, "height": 480}}, [])],
)  # fmt: skip
def test_parameters_of_films(ask, model, given, sent, told, fake):
    """Lengths and sizes are the nearest that the endpoint offers, written as it writes them."""
    queue = fake()
    job = ask(queue, "video_generation", prompt="Waves", model=f"fal_ai/{model}", **given)
    assert queue.body == {"prompt": "Waves", **sent}
    assert adapted(job) == told
    assert job.status == "queued"


@pytest.mark.parametrize(
    ("model", "field", "value"),
    [("veo3.1/image-to-video", "image_url", DATA), ("kling-video/v3/pro/image-to-video", "start_image_url", DATA),
     ("veo3.1/reference-to-video", "image_urls", [DATA])],
)  # fmt: skip
def test_a_film_that_begins_with_a_picture(ask, model, field, value, fake):
    """Under the endpoint's own name for it."""
    queue = fake()
    ask(queue, "video_generation", prompt="Waves", model=f"fal_ai/{model}", input_reference=PNG)
    assert queue.body == {"prompt": "Waves", field: value}


def test_what_an_endpoint_cannot_film_is_refused(ask, fake):
    """A picture where none is taken, a length where none can be chosen, a number that is none."""
    call: dict[str, Any] = {"prompt": "Waves"}
    with pytest.raises(BadRequestError, match="no picture"):
        ask(fake(), "video_generation", model="fal_ai/veo3.1", input_reference=PNG, **call)
    with pytest.raises(UnsupportedParamsError, match="length"):
        ask(fake(), "video_generation", model="fal_ai/ltx-video", seconds=5, **call)
    with pytest.raises(UnsupportedParamsError, match="size"):
        ask(fake(), "video_generation", model="fal_ai/ltx-video", size="640x480", **call)
    with pytest.raises(BadRequestError, match="number of seconds"):
        ask(fake(), "video_generation", model="fal_ai/veo3.1", seconds="long", **call)


def test_a_job_from_submission_to_bytes(connect, fake):
    """Each step by another client that knows nothing but the id."""
    mp4 = Reply(content=b"film", headers={"content-type": "video/mp4"})
    queue = fake(FILM, states=("IN_QUEUE", "IN_PROGRESS", "COMPLETED"), files=mp4)
    with connect(queue) as client:
        made = client.video_generation("Waves", "fal_ai/veo3.1/fast", seconds=8)
    steps = []
    for _ in range(3):
        with connect(queue) as client:
            job = client.video_status(made.id)
            steps.append((job.status, job.progress))
            assert job.id == made.id
    assert steps == [("queued", None), ("in_progress", None), ("completed", 100)]
    assert (job.model, job.extra["video"], job.extra["logs"]) == ("fal-ai/veo3.1/fast", FILM["video"], [])
    with connect(queue) as client:
        assert client.video_content(made.id).content == b"film"
        assert b"".join(client.video_content(made.id, stream=True)) == b"film"
    assert queue.sent[1].url == f"https://queue.fal.run/fal-ai/veo3.1/requests/{ID}/status?logs=1"
    assert "authorization" not in queue.sent[-1].headers


@pytest.mark.parametrize(
    ("answers", "code", "message"),
    [({"states": ({"status": "COMPLETED", "error": "Request timed out", "error_type": "request_timeout"},)},
      "request_timeout", "Request timed out"),
     ({"result": Reply.of(REFUSED, status=422)}, "content_policy_violation", "Flagged. (at body.prompt)"),
     ({"result": Reply.of({"detail": "Out of memory"}, status=500)}, "failed", "Out of memory"),
     ({"result": Reply.of(b"<html>", status=500)}, "failed", "the job failed, and fal does not say why")],
)  # fmt: skip
def test_a_job_that_failed(ask, answers, code, message, fake):
    """Says why, whether the queue knows it or the model."""
    job = ask(fake(**answers), "video_status", video_id=VIDEO, provider="fal_ai")
    assert (job.status, job.error) == ("failed", {"code": code, "message": message})


def test_a_film_that_is_not_there(ask, fake):
    """A job that runs has none yet; one that failed has none; a model may make no thumbnail; an address may be none."""

    def fetch(queue: Any, **more: Any) -> Any:
        return ask(queue, "video_content", video_id=VIDEO, provider="fal_ai", **more)

    with pytest.raises(ConflictError, match="not finished"):
        fetch(fake(states=("IN_PROGRESS",)))
    with pytest.raises(NotFoundError, match="Flagged"):
        fetch(fake(Reply.of(REFUSED, status=422)))
    with pytest.raises(NotFoundError, match="no thumbnail"):
        fetch(fake(FILM), variant="thumbnail")
    for broken in ({}, {"video": 7}, {"video": {"url": "file:///etc/passwd"}}):
        with pytest.raises(InvalidResponseError, match=r"\$\.video"):
            fetch(fake(broken))
    assert fetch(fake({"videos": [FILM["video"]]}, files=b"film")).content == b"film"


def test_a_waiting_job_is_cancelled(ask, fake):
    """As deleting it; one that is done is told so by fal."""
    queue = fake()
    assert ask(queue, "delete_video", video_id=VIDEO, provider="fal_ai").deleted
    assert (queue.sent[-1].method, queue.sent[-1].path) == ("PUT", f"/fal-ai/veo3.1/requests/{ID}/cancel")


@pytest.mark.parametrize("id", ["x", "a/../b/requests/1", f"fal-ai/veo3/requests/{ID}/../x", "fal-ai/veo3/requests/"])
def test_ids_of_somebody_elses_making(ask, id, fake):
    """Lead nowhere."""
    queue = fake(FILM)
    with pytest.raises(BadRequestError, match=r"(id of a video|endpoint id)"):
        ask(queue, "video_status", video_id=id, provider="fal_ai")
    assert not queue.sent
