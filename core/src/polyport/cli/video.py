"""`polyport video`: a prompt to a video file; the job's id alone is enough to go on with it later."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polyport.cli import show
from polyport.cli.exits import FAILED, stop
from polyport.cli.settings import Settings, with_settings
from polyport.cli.values import piped_text
from polyport.errors import PolyportError

if TYPE_CHECKING:
    from polyport.client import Client
    from polyport.types.video import Video

FIRST_WAIT, LONGEST_WAIT, GROWTH = 1.0, 15.0, 1.5
RUNNING = ("queued", "in_progress")


@with_settings
def video(
    settings: Settings,
    model: Annotated[
        str | None, typer.Argument(help="provider/model; not needed with --id.", show_default=False)
    ] = None,
    prompt: Annotated[list[str] | None, typer.Argument(help="What to film.", show_default=False)] = None,
    output: Annotated[str, typer.Option("-O", "--output", metavar="FILE", help="Where to; - is stdout.")] = "video.mp4",
    job: Annotated[str | None, typer.Option("--id", metavar="ID", help="Go on with this job instead.")] = None,
    seconds: Annotated[str | None, typer.Option("--seconds", help="How long the video is.")] = None,
    size: Annotated[str | None, typer.Option("--size", help="Such as 1280x720.")] = None,
    reference: Annotated[str | None, typer.Option("--image", metavar="FILE", help="Begin from this image.")] = None,
    wait: Annotated[
        bool, typer.Option("--wait/--no-wait", help="Wait for the video, or only print the job's id.")
    ] = True,
    limit: Annotated[
        float | None, typer.Option("--max-wait", metavar="SECONDS", help="Wait no longer than this.")
    ] = None,
) -> None:
    """Make a video: submit, wait, download. Interrupted, it says how to go on."""
    with settings.client() as client:
        if job is None:
            fields = settings.parameters("video_generation")
            given = {"seconds": seconds, "size": size, "input_reference": reference}
            fields |= {name: value for name, value in given.items() if value is not None}
            started = client.video_generation(_prompt(prompt), _model(model), **fields)
        else:
            started = client.video_status(job)
        if not wait:
            _say(settings, started, started.id)
            return
        try:
            done = follow(client, started, limit)
            if done.status == "completed":
                with client.video_content(done.id, stream=True) as pieces:
                    show.write_bytes(pieces, output)
        except (PolyportError, KeyboardInterrupt):
            show.note(f"The job goes on without this command; to come back to it: polyport video --id {started.id}")
            raise
    if done.status in RUNNING:
        stop(f"Not done after {limit:g} s ({done.status}). Go on with: polyport video --id {done.id}", code=6)
    if done.status != "completed":
        reason = (done.error or {}).get("message") or "no reason was given"
        stop(f"The video {done.status}: {reason}", code=FAILED)
    if output != "-":
        _say(settings, done, output)


def follow(client: Client, video: Video, limit: float | None) -> Video:
    """Return the job when it is over, or as it is after `limit` seconds; asks ever less often, up to each 15 s."""
    start, pause = time.monotonic(), FIRST_WAIT
    with show.progress() as progress:
        task = progress.add_task(video.status, total=100)
        while True:
            progress.update(task, completed=video.progress or 0, description=video.status)
            left = None if limit is None else limit - (time.monotonic() - start)
            if video.status not in RUNNING or (left is not None and left <= 0):
                return video
            time.sleep(pause if left is None else min(pause, left))
            pause = min(pause * GROWTH, LONGEST_WAIT)
            video = client.video_status(video.id)


def _model(model: str | None) -> str:
    return model or stop("Which model? polyport video MODEL PROMPT, or --id for a job that exists.")


def _prompt(words: list[str] | None) -> str:
    return " ".join(words or []) or piped_text() or stop("There is no prompt: write it after the model, or pipe it in.")


def _say(settings: Settings, video: Any, line: str) -> None:
    if settings.json:
        show.json(video)
    else:
        show.text(line)
