"""`polyport serve` and `polyport config`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from polyport.cli import exits
from polyport_gateway import config as configs, serving, tls

config = typer.Typer(help="The gateway's configuration.", no_args_is_help=True)

LEVELS = ("critical", "error", "warning", "info", "debug")


def serve(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="A config.yaml.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", "-m", help="A model to serve; may be repeated.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 4000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
    log_level: Annotated[str, typer.Option(help=", ".join(LEVELS))] = "info",
    certificate: Annotated[
        str | None,
        typer.Option(
            "--ssl-certfile", "--ssl_certfile_path", envvar="SSL_CERTFILE_PATH", help="Speak TLS by this certificate."
        ),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option("--ssl-keyfile", "--ssl_keyfile_path", envvar="SSL_KEYFILE_PATH", help="The certificate's key."),
    ] = None,
) -> None:
    """Serve models over HTTP: OpenAI's, Anthropic's and Cohere's SDKs work with only base URL and key changed."""
    if (config is None) == (not model):
        exits.stop("Say what to serve: --config config.yaml, or --model provider/model")
    if log_level not in LEVELS:
        exits.stop(f"--log-level is one of {', '.join(LEVELS)}")
    path = None if config is None else str(config)
    wanted = serving.Wanted(
        config=path, models=model or [], host=host, port=port, workers=workers, log_level=log_level,
        certificate=certificate, key=key,
    )  # fmt: skip
    code = serving.become(wanted)
    if code:
        raise typer.Exit(code)


@config.command()
def check(path: Annotated[Path, typer.Argument(help="A config.yaml.")] = Path("config.yaml")) -> None:
    """Read a configuration as `serve` would, and say what each model leads to. Nothing is sent."""
    found = configs.load(path)
    for line in configs.check(found):
        typer.echo(line)
    shown = found.certificate()
    if shown is not None:
        tls.load(shown)
    for note in found.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{path}: {len(found.models)} deployments")
