"""`polyport render`: the exact HTTP request of a call, without a key and without a network."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from polyport.cli import show
from polyport.cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from polyport.flow import HttpRequest

LABEL = re.compile(r"<([A-Za-z_][A-Za-z0-9_]*)>")


@with_settings
def render(
    settings: Settings,
    operation: Annotated[
        str, typer.Argument(help="A function, such as completion, or a hook: chat.", show_default=False)
    ],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] [VALUE]...", help="The model or the provider, then what it needs.", show_default=False
        ),
    ] = None,
    curl: Annotated[bool, typer.Option("--curl", help="Print it as a curl command.")] = False,
) -> None:
    """Print the exact HTTP request that a call would send. Nothing is sent, and no key is needed."""
    from polyport.cli.asked import arguments, operation_named
    from polyport.rendering import render as render_request

    asked = operation_named(operation)
    with settings.client() as client:
        request = render_request(asked.function, client=client, **arguments(asked, values or [], settings))
    if settings.json:
        show.json(as_data(request))
    else:
        show.text(as_curl(request) if curl else as_text(request))


def as_data(request: HttpRequest) -> dict[str, Any]:
    """Return the request as plain data: a body under `body`, a form under `form`."""
    found: dict[str, Any] = {"method": request.method, "url": request.url, "headers": request.headers}
    if request.form is not None:
        return {**found, "form": [{"name": name, **_field(value)} for name, value in request.form]}
    return {**found, "body": _json(request)} if request.content else found


def as_text(request: HttpRequest) -> str:
    """Return the request as it is read: first line, headers, body."""
    lines = [f"{request.method} {request.url}", *(f"{name}: {value}" for name, value in request.headers.items())]
    if request.form is not None:
        lines += ["", *(f"{name} = {_summary(value)}" for name, value in request.form)]
    elif request.content:
        body = _json(request)
        text = body if isinstance(body, str) else msgspec.json.format(msgspec.json.encode(body), indent=2).decode()
        lines += ["", text]
    return "\n".join(lines)


def as_curl(request: HttpRequest) -> str:
    """Return the request as a shell command; keys are read from the variables that hold them."""
    parts = [f"curl -X {request.method} {quoted(request.url)}"]
    skipped = {"content-length"} | ({"content-type"} if request.form is not None else set())
    parts += [f"-H {quoted(f'{name}: {value}')}" for name, value in request.headers.items() if name not in skipped]
    if request.form is not None:
        parts += [_curl_field(name, value) for name, value in request.form]
    elif request.content:
        body = _json(request)
        parts.append(f"--data-raw {quoted(body if isinstance(body, str) else msgspec.json.encode(body).decode())}")
    if request.stream:
        parts.append("--no-buffer")
    return " \\\n  ".join(parts)


def quoted(text: str) -> str:
    """Return text as one word of a shell, in which `<NAME>` of a key is the variable NAME."""
    pieces = LABEL.split(text)
    if len(pieces) == 1:
        return shlex.quote(text)
    words = [
        f'"${{{piece}}}"' if number % 2 else shlex.quote(piece) if piece else "" for number, piece in enumerate(pieces)
    ]
    return "".join(words)


def _json(request: HttpRequest) -> Any:
    content = request.content if isinstance(request.content, bytes) else b"".join(request.content or ())
    try:
        return msgspec.json.decode(content)
    except msgspec.DecodeError:
        return content.decode("utf-8", "replace")


def _field(value: Any) -> dict[str, Any]:
    from polyport.types.upload import Upload

    if isinstance(value, Upload):
        return {"filename": value.filename, "content_type": value.content_type, "bytes": value.length}
    return {"value": value.decode("utf-8", "replace") if isinstance(value, bytes) else value}


def _summary(value: Any) -> str:
    field = _field(value)
    if "filename" in field:
        return f"{field['filename']} ({field['content_type']}, {field['bytes']} bytes)"
    return field["value"] if isinstance(field["value"], str) else msgspec.json.encode(field["value"]).decode()


def _curl_field(name: str, value: Any) -> str:
    field = _field(value)
    if "filename" not in field:
        return f"--form-string {shlex.quote(f'{name}={_summary(value)}')}"
    path = getattr(value, "source", None)
    path = path if not isinstance(path, bytes) and path is not None else field["filename"]
    kind, filename = field["content_type"], field["filename"]
    return f"-F {shlex.quote(f'{name}=@{path};type={kind};filename={filename}')}"
