"""What people write on a command line, read: `-o key=value`, positional arguments, attachments, standard input."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from polyport.errors import BadRequestError

KEY_HINT = "A key on a command line can be read by others: set the provider's variable, or name one with --key-env."


def parse_options(pairs: Sequence[str], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """Return `key=value` pairs as nested parameters. `kinds` are the types of those that have one.

    A value is JSON where it reads as JSON of its parameter's type, else text; `@file` is what a file holds, and
    `@@...` text that begins with @. `a.b=1` is `{"a": {"b": 1}}`.
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise BadRequestError(f"-o takes KEY=VALUE, not {pair!r}.")
        if key == "api_key":
            raise BadRequestError(KEY_HINT)
        _put(found, key.split("."), parse_value(text, kinds.get(key)))
    return found


def _put(into: dict[str, Any], path: list[str], value: Any) -> None:
    *folders, name = path
    for folder in folders:
        into = into.setdefault(folder, {})
        if not isinstance(into, dict):
            raise BadRequestError(f"-o {'.'.join(path)}: {folder!r} already has a value of its own.")
    into[name] = value


def parse_value(text: str, kind: Any = None) -> Any:
    """Return a value: JSON if it fits `kind`, else text."""
    if text.startswith("@"):
        text = text[1:] if text.startswith("@@") else _read_text(text[1:])
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    if kind is not None and not _fits(value, kind) and _fits(text, kind):
        return text
    return value


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _read_text(path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        raise BadRequestError(f"Cannot read {path!r}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise BadRequestError(f"{path!r} is not UTF-8 text.") from error


def piped() -> bytes | None:
    """Return what is piped into the command; None at a terminal, or where nothing comes."""
    if sys.stdin is None or sys.stdin.isatty():
        return None
    return sys.stdin.buffer.read() or None


def piped_text() -> str | None:
    """Return what is piped in as text, without blank ends. Raises BadRequestError where it is not UTF-8."""
    data = piped()
    if data is None:
        return None
    try:
        return data.decode("utf-8").strip() or None
    except UnicodeDecodeError as error:
        raise BadRequestError("What is piped in is not UTF-8 text; attach a file of another kind with -a -.") from error


def lines_of(path: str) -> list[str]:
    """Return the lines of a text file that are not blank; `-` is what is piped in."""
    text = (piped_text() or "") if path == "-" else _read_text(path)
    return [line for line in text.splitlines() if line.strip()]


# --- attachments ------------------------------------------------------------------------------------------


def attachment(value: str) -> dict[str, Any]:
    """Return the content part for a file, a URL of an image, or `-` (what is piped in)."""
    from polyport.types.upload import Upload

    if value.startswith(("http://", "https://")):
        return {"type": "image_url", "image_url": {"url": value}}
    upload = Upload.of(("stdin", piped() or b"") if value == "-" else value, "attachment")
    kind = upload.content_type
    part = next((make for start, make in PARTS.items() if kind.startswith(start)), None)
    if part is not None:
        return part(upload)
    try:
        return _text_part(upload.filename, upload.read().decode("utf-8"))
    except UnicodeDecodeError:
        return _file_part(upload)


def _image_part(upload: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": upload.data_url()}}


def _video_part(upload: Any) -> dict[str, Any]:
    return {"type": "video_url", "video_url": {"url": upload.data_url()}}


def _audio_part(upload: Any) -> dict[str, Any]:
    kind = upload.content_type.removeprefix("audio/").removeprefix("x-")
    data = base64.b64encode(upload.read()).decode()
    return {"type": "input_audio", "input_audio": {"data": data, "format": AUDIO_FORMATS.get(kind, kind)}}


def _file_part(upload: Any) -> dict[str, Any]:
    return {"type": "file", "file": {"filename": upload.filename, "file_data": upload.data_url()}}


def _text_part(name: str, text: str) -> dict[str, Any]:
    return {"type": "text", "text": f"{name}:\n{text}"}


#: Media types, by how they begin -> the content part. What is not here is a text if it reads as UTF-8, else a file.
PARTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "image/": _image_part,
    "audio/": _audio_part,
    "video/": _video_part,
    "application/pdf": _file_part,
}
#: Media subtypes whose usual format name is another.
AUDIO_FORMATS = {"mpeg": "mp3", "mp4": "m4a", "wave": "wav", "vnd.wave": "wav"}
