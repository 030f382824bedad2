"""`polyport image`: a prompt, or images to change, to image files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polyport.cli import show
from polyport.cli.exits import stop
from polyport.cli.settings import Settings, with_settings
from polyport.cli.values import piped_text

if TYPE_CHECKING:
    from polyport.client import Client

EXTENSIONS = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp", "image/gif": ".gif"}


@with_settings
def image(
    settings: Settings,
    model: Annotated[str, typer.Argument(help="provider/model, or a bare name a plugin knows.", show_default=False)],
    prompt: Annotated[list[str] | None, typer.Argument(help="What to draw, or to change.", show_default=False)] = None,
    output: Annotated[
        str,
        typer.Option("-O", "--output", metavar="FILE", help="Where to; numbered when there are several, - is stdout."),
    ] = "image",
    count: Annotated[int | None, typer.Option("-n", metavar="N", help="How many images.")] = None,
    size: Annotated[str | None, typer.Option("--size", help="Such as 1024x1024.")] = None,
    edit: Annotated[
        list[str] | None, typer.Option("--edit", metavar="FILE", help="Change this image. Repeatable.")
    ] = None,
    mask: Annotated[
        str | None, typer.Option("--mask", metavar="FILE", help="Change only where it is transparent.")
    ] = None,
    vary: Annotated[str | None, typer.Option("--vary", metavar="FILE", help="Make variations of this image.")] = None,
) -> None:
    """Make images and write them to files, whose names are printed."""
    function = "image_variation" if vary else "image_edit" if edit else "image_generation"
    given = {"n": count, "size": size, "mask": mask}
    fields = settings.parameters(function) | {name: value for name, value in given.items() if value is not None}
    if vary:
        fields["image"] = vary
    else:
        fields["prompt"] = " ".join(prompt or []) or piped_text()
        if not fields["prompt"]:
            stop("There is no prompt: write it after the model, or pipe it in.")
    if edit:
        fields["image"] = edit if len(edit) > 1 else edit[0]
    if fields.get("stream"):
        stop("polyport image writes finished images; polyport call image_generation shows a stream.")
    with settings.client() as client, show.waiting(f"{model} draws"):
        result = getattr(client, function)(model=model, **fields)
        files = [_content(client, one) for one in result.data]
    if settings.json:
        show.json(result)
        return
    for number, content in enumerate(files, start=1):
        path = _path(output, content, number if len(files) > 1 else None)
        show.write_bytes([content], path)
        if path != "-":
            show.text(path)
    if not files:
        stop("The reply holds no image; --json shows it.", code=1)


def _content(client: Client, one: Any) -> bytes:
    from polyport.cli.fetch import fetch

    return fetch(client, one.url) if one.b64_json is None and one.url else bytes(one.content)


def _path(output: str, content: bytes, number: int | None) -> str:
    """Return the file's name: numbered where there are several, with the extension of what it holds if it has none."""
    from polyport.types.upload import media_type

    if output == "-":
        return output
    path = Path(output)
    suffix = path.suffix or EXTENSIONS.get(media_type("", content[:16]), ".img")
    stem = path.stem if path.suffix else path.name
    return str(path.with_name(f"{stem}{'' if number is None else f'-{number}'}{suffix}"))
