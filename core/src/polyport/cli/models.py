"""`polyport models`: what is known of models, or what a provider lists itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from polyport.cli import show
from polyport.cli.exits import one_line, stop
from polyport.cli.settings import Settings, with_settings
from polyport.errors import NotFoundError, PolyportError

if TYPE_CHECKING:
    from polyport.catalog import ModelInfo


@with_settings
def models(
    settings: Settings,
    provider: Annotated[
        list[str] | None, typer.Option("-p", "--provider", help="Of this provider. Repeatable.")
    ] = None,
    mode: Annotated[str | None, typer.Option("-m", "--mode", help="For this: chat, embedding ...")] = None,
    live: Annotated[bool, typer.Option("--live", help="Ask the providers, with your keys.")] = False,
) -> None:
    """List models, with context windows and prices.

    Prices are USD per million tokens, as the plugins know them; empty is unknown.
    """
    from polyport.plugins import Providers, missing

    installed = Providers().names()
    unknown = next((name for name in provider or [] if name not in installed), None)
    if unknown is not None:
        raise missing(unknown, installed)
    if live and mode is not None:
        stop("Providers do not say what a model is for; leave out --mode or --live.")
    if live:
        _live(settings, provider or installed, strict=bool(provider))
        return
    found = [info for name in provider or installed for info in _known(name) if mode is None or info.mode == mode]
    if settings.json:
        show.json([{name: value for name, value in msgspec.to_builtins(info).items() if value} for info in found])
        return
    if not found:
        raise NotFoundError("No installed plugin describes such models; --live asks the providers themselves.")
    columns = ["model", "mode", "context", "output", "$ in", "$ out", "supports"]
    show.table(columns, map(_row, found), right=[2, 3, 4, 5])


def _known(provider: str) -> list[ModelInfo]:
    """Return what a plugin says of its models; one whose file is broken is named and passed over."""
    from polyport import catalog

    try:
        return list(catalog.of_provider(provider).values())
    except (msgspec.DecodeError, PolyportError) as error:
        show.note(f"{provider}: its models.json cannot be read: {one_line(error)}")
        return []


def _row(info: ModelInfo) -> list[Any]:
    prices = info.prices or {}
    return [
        f"{info.provider}/{info.name}",
        info.mode,
        info.context_window,
        info.max_output_tokens,
        prices.get("input"),
        prices.get("output"),
        ", ".join(info.supports),
    ]


def _live(settings: Settings, providers: list[str], *, strict: bool) -> None:
    """Ask each provider; one that was not named and cannot answer is noted and passed over."""
    rows: list[dict[str, Any]] = []
    with settings.client() as client:
        for name in providers:
            try:
                listed = client.list_models(provider=name, **settings.parameters("list_models"))
            except PolyportError as error:
                if strict:
                    raise
                show.note(f"{name}: {one_line(error)}")
                continue
            rows += [{"provider": name, **model.to_dict()} for model in listed.data]
    if settings.json:
        show.json(rows)
    else:
        show.table(["model", "owner"], ([f"{row['provider']}/{row['id']}", row.get("owned_by")] for row in rows))
