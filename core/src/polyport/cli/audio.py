"""`polyport transcribe` and `speak`: speech to text and back."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Annotated, Any

import typer

from polyport.cli import show
from polyport.cli.exits import stop
from polyport.cli.settings import Settings, with_settings
from polyport.cli.values import piped, piped_text

Model = Annotated[str, typer.Argument(help="provider/model, or a bare name a plugin knows.", show_default=False)]
EXTENSIONS = {
    "audio/mpeg": ".mp3",
    "audio/wav": ".wav",
    "audio/x-wav": ".wav",
    "audio/ogg": ".opus",
    "audio/pcm": ".pcm",
}


@with_settings
def transcribe(
    settings: Settings,
    model: Model,
    file: Annotated[str, typer.Argument(help="The recording; - is what is piped in.", show_default=False)],
    form: Annotated[
        str | None, typer.Option("--format", help="text, srt, vtt, json, verbose_json ...", show_default="text")
    ] = None,
    language: Annotated[str | None, typer.Option("--language", help="What is spoken, as in en, de.")] = None,
    translate: Annotated[bool, typer.Option("--translate", help="Write it down in English.")] = False,
    stream: Annotated[bool, typer.Option("--stream", help="Print the text as it comes.")] = False,
    output: Annotated[
        str | None, typer.Option("-O", "--output", metavar="FILE", help="Write the text to a file.")
    ] = None,
) -> None:
    """Write down what is said in a recording."""
    function = "translation" if translate else "transcription"
    fields: dict[str, Any] = settings.parameters(function)
    given = {"response_format": form, "language": language}
    fields |= {name: value for name, value in given.items() if value is not None}
    fields["file"] = ("audio", piped() or b"") if file == "-" else file
    if stream:
        _stream(settings, function, model, fields)
        return
    with settings.client() as client, show.waiting(f"{model} listens"):
        result = getattr(client, function)(model=model, **fields)
    if settings.json or (form or "").endswith("json"):
        show.json({"text": result} if isinstance(result, str) else result)
        return
    text = (result if isinstance(result, str) else result.text).strip()
    if output is None:
        show.text(text)
    else:
        Path(output).write_text(text + "\n", "utf-8")
        show.text(output)


def _stream(settings: Settings, function: str, model: str, fields: dict[str, Any]) -> None:
    with settings.client() as client, getattr(client, function)(model=model, stream=True, **fields) as events:
        for event in events:
            if settings.json:
                show.json_line(event)
            elif event.delta:
                show.text(event.delta, end="")
    if not settings.json:
        show.text("")


@with_settings
def speak(
    settings: Settings,
    model: Model,
    text: Annotated[
        list[str] | None, typer.Argument(help="What to say; else what is piped in.", show_default=False)
    ] = None,
    output: Annotated[
        str, typer.Option("-O", "--output", metavar="FILE", help="Where to; - is stdout, as it comes.")
    ] = "speech",
    voice: Annotated[str | None, typer.Option("--voice", help="Whose voice; the provider has a default.")] = None,
    form: Annotated[str | None, typer.Option("--format", help="mp3, wav, opus, aac, flac, pcm.")] = None,
    speed: Annotated[float | None, typer.Option("--speed", help="0.25 to 4.")] = None,
) -> None:
    """Say a text into a file, whose name is printed."""
    said = " ".join(text or []) or piped_text()
    if not said:
        stop("There is no text: write it after the model, or pipe it in.")
    if form is None and (suffix := Path(output).suffix):
        form = suffix[1:]
    fields: dict[str, Any] = settings.parameters("speech")
    given = {"voice": voice, "response_format": form, "speed": speed}
    fields |= {name: value for name, value in given.items() if value is not None}
    if output == "-":
        with settings.client() as client, client.speech(model, said, stream=True, **fields) as pieces:
            show.write_bytes(pieces, "-")
        return
    with settings.client() as client, show.waiting(f"{model} speaks"):
        result = client.speech(model, said, **fields)
    path = output if Path(output).suffix else output + _extension(result.content_type, form)
    size = show.write_bytes([result.content], path)
    if settings.json:
        show.json({"file": path, "bytes": size, "content_type": result.content_type})
    else:
        show.text(path)


def _extension(content_type: str | None, form: str | None) -> str:
    kind = (content_type or "").partition(";")[0].strip()
    return EXTENSIONS.get(kind) or (f".{form}" if form else mimetypes.guess_extension(kind) or ".mp3")
