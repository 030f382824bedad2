"""`polyport call`: any function of the SDK, result as JSON."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from polyport.cli import show
from polyport.cli.settings import Settings, with_settings


@with_settings
def call(
    settings: Settings,
    function: Annotated[str, typer.Argument(help="A function of the SDK, such as list_files.", show_default=False)],
    values: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[MODEL] [VALUE]...", help="The model or the provider, then what it needs.", show_default=False
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("-O", "--output", metavar="FILE", help="Where bytes go; - is stdout.", show_default=False)
    ] = "-",
) -> None:
    """Call any function of the SDK, for JSON.

    A stream gives a line for each chunk; bytes go to -O.
    """
    from polyport.cli.asked import arguments, operation_named
    from polyport.types.audio import Binary

    operation = operation_named(function)
    fields = arguments(operation, values or [], settings)
    with settings.client() as client:
        result: Any = getattr(client, operation.function)(**fields)
        if fields.get("stream"):
            with result:
                _stream(result, output, as_bytes=operation.chunk is bytes)
        elif isinstance(result, Binary):
            show.write_bytes([result.content], output)
        elif isinstance(result, str):
            show.text(result)
        else:
            show.json(result)


def _stream(chunks: Any, output: str, *, as_bytes: bool) -> None:
    if as_bytes:
        show.write_bytes(chunks, output)
        return
    for chunk in chunks:
        show.json_line(chunk)
