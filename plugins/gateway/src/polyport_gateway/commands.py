"""`polyport serve` and `polyport config`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated

import typer

from polyport.cli import exits
from polyport_gateway import config as configs
from polyport_gateway.config import Config

config = typer.Typer(help="The gateway's configuration.", no_args_is_help=True)

LEVELS = ("critical", "error", "warning", "info", "debug")
LOCAL = ("127.0.0.1", "::1", "localhost")


def serve(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="A config.yaml.")] = None,
    model: Annotated[list[str] | None, typer.Option("--model", "-m", help="A model to serve; may be repeated.")] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 is all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 4000,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the port.")] = 1,
    log_level: Annotated[str, typer.Option(help=", ".join(LEVELS))] = "info",
) -> None:
    """Serve models over HTTP: OpenAI's, Anthropic's and Cohere's SDKs work with only base URL and key changed."""
    if (config is None) == (not model):
        exits.stop("Say what to serve: --config config.yaml, or --model provider/model")
    if log_level not in LEVELS:
        exits.stop(f"--log-level is one of {', '.join(LEVELS)}")
    from polyport_gateway import assembly, server  # the command line's other commands need no server

    logging.basicConfig(level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)

    def read() -> Config:
        return configs.load(config) if config is not None else configs.of_models(model or [])

    first = read()
    for line in configs.check(first):
        typer.echo(f"serving {line}", err=True)
    for note in first.notes:
        typer.echo(f"note: {note}", err=True)
    settings = server.Settings(read=read, good=first, host=host, port=port, workers=workers, log_level=log_level)
    sock = server.listen(host, port)
    typer.echo(f"polyport gateway on http://{host}:{sock.getsockname()[1]}/v1", err=True)
    if first.general.master_key is not None:
        typer.echo(f"admin pages on http://{host}:{sock.getsockname()[1]}/ui/", err=True)
    if first.general.master_key is None and host not in LOCAL:
        typer.echo(f"warning: without general_settings.master_key everybody who reaches {host} may call", err=True)
    code = server.serve(settings, sock, assembly.app_of)
    if code:
        raise typer.Exit(code)


@config.command()
def check(path: Annotated[Path, typer.Argument(help="A config.yaml.")] = Path("config.yaml")) -> None:
    """Read a configuration as `serve` would, and say what each model leads to. Nothing is sent."""
    found = configs.load(path)
    for line in configs.check(found):
        typer.echo(line)
    for note in found.notes:
        typer.echo(f"note: {note}")
    typer.echo(f"{path}: {len(found.models)} deployments")
