"""`polyport batch`: many requests from a file, run here by ordinary calls, or handed to a provider's own batches."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polyport.cli import show
from polyport.cli.exits import FAILED, stop
from polyport.cli.settings import Settings, with_settings

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from polyport.batching import Progress
    from polyport.client import Client
    from polyport.types.batch import Batch

app = typer.Typer(
    help="Run many requests from a file.\n\nHere by ordinary calls (run), or as a provider's own batch (submit).",
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Provider = Annotated[str, typer.Option("-p", "--provider", help="Whose batch.", show_default=False)]
Id = Annotated[str, typer.Argument(help="The batch's id.", show_default=False)]
Output = Annotated[str | None, typer.Option("-O", "--output", metavar="FILE", help="Write the results here.")]
RUNNING = ("validating", "in_progress", "finalizing", "cancelling")
FIRST_WAIT, LONGEST_WAIT, GROWTH = 2.0, 60.0, 1.5


@with_settings
def run(
    settings: Settings,
    file: Annotated[str, typer.Argument(help="OpenAI's batch lines, for any provider.", show_default=False)],
    output: Annotated[
        str | None,
        typer.Option(
            "-O", "--output", metavar="FILE", help="The results [default: FILE.results.jsonl]", show_default=False
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option("-c", "--concurrency", metavar="N", help="So many at once.", min=1)] = 8,
    model: Annotated[str | None, typer.Option("--model", help="Ask this model, whatever the lines say.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run lines without an answer again.")] = False,
) -> None:
    """Run the lines by ordinary calls. Run again after an interruption, it goes on where it was."""
    from polyport.batchcost import batch_cost
    from polyport.batching import run_batch

    results = output or f"{Path(file).with_suffix('')}.results.jsonl"
    options: dict[str, Any] = settings.parameters("completion")
    if model is not None:
        options["model"] = model
    with settings.client() as client, show.progress(count=True) as bar, _resumable(results):
        report = _reporter(bar, Path(file).name)
        lines = run_batch(
            file,
            resume=results,
            concurrency=concurrency,
            progress=report,
            retry_failed=retry_failed,
            client=client,
            **options,
        )
    failed, cost = sum(not line.ok for line in lines), batch_cost(lines)
    if settings.json:
        show.json({"file": results, "total": len(lines), "failed": failed, "cost": cost})
    else:
        show.text(results)
        _note(cost)
    if failed:
        stop(f"{failed} of {len(lines)} lines have no answer; --retry-failed runs them again.", code=FAILED)


def _reporter(bar: Bar, name: str) -> Callable[[Progress], None]:
    task = bar.add_task(name, total=None)

    def report(progress: Progress) -> None:
        failed = f", {progress.failed} failed" if progress.failed else ""
        bar.update(task, completed=progress.done, total=progress.total, description=name + failed)

    return report


@contextlib.contextmanager
def _resumable(results: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        show.note(f"What is done is in {results}; the same command goes on from there.")
        raise


@with_settings
def submit(
    settings: Settings,
    file: Annotated[str, typer.Argument(help="OpenAI's batch lines.", show_default=False)],
    provider: Provider,
    endpoint: Annotated[str, typer.Option("--endpoint", help="What every line asks for.")] = "/v1/chat/completions",
) -> None:
    """Upload the lines and start the provider's own batch; its id is printed."""
    with settings.client() as client:
        uploaded = client.create_file(file, purpose="batch", provider=provider)
        started = client.create_batch(
            uploaded.id, endpoint=endpoint, provider=provider, **settings.parameters("create_batch")
        )
    _show(settings, started)


@with_settings
def status(
    settings: Settings,
    batch: Id,
    provider: Provider,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it is over.")] = False,
    output: Output = None,
) -> None:
    """Show how far a provider's batch is; with -O, write the results of one that is over."""
    with settings.client() as client:
        found = client.retrieve_batch(batch, provider=provider, **settings.parameters("retrieve_batch"))
        if wait:
            found = _follow(client, found, provider)
        if output is not None:
            _download(client, found, provider, output)
    _show(settings, found)
    if found.status in ("failed", "expired"):
        stop(f"The batch {found.status}: {_reason(found)}", code=FAILED)


@with_settings
def cancel(settings: Settings, batch: Id, provider: Provider) -> None:
    """Cancel a provider's batch."""
    with settings.client() as client:
        _show(settings, client.cancel_batch(batch, provider=provider, **settings.parameters("cancel_batch")))


@with_settings
def list_(settings: Settings, provider: Provider) -> None:
    """List a provider's batches."""
    with settings.client() as client:
        found = client.list_batches(provider=provider, **settings.parameters("list_batches"))
    if settings.json:
        show.json(found)
        return
    show.table(["id", "status", "done", "of", "failed"], (_row(one) for one in found.data), right=[2, 3, 4])


for _name, _command in {"run": run, "submit": submit, "status": status, "cancel": cancel, "list": list_}.items():
    app.command(_name)(_command)


def _follow(client: Client, batch: Batch, provider: str) -> Batch:
    pause = FIRST_WAIT
    with show.progress(count=True) as progress:
        task = progress.add_task(batch.status, total=None)
        while batch.status in RUNNING:
            counts = batch.request_counts or {}
            done = counts.get("completed", 0) + counts.get("failed", 0)
            progress.update(task, completed=done, total=counts.get("total") or None, description=batch.status)
            time.sleep(pause)
            pause = min(pause * GROWTH, LONGEST_WAIT)
            batch = client.retrieve_batch(batch.id, provider=provider)
    return batch


def _download(client: Client, batch: Batch, provider: str, output: str) -> None:
    """Write results and errors, which OpenAI keeps in two files, to one."""
    files = [file for file in (batch.output_file_id, batch.error_file_id) if file]
    if not files:
        stop(f"The batch is {batch.status}; there are no results yet.", code=FAILED)
    contents = [client.file_content(file, provider=provider).content for file in files]
    show.write_bytes(contents, output)
    _note(_cost(contents, provider))


def _cost(contents: list[bytes], provider: str) -> float | None:
    """Return what the results cost; None where that is not known, or where they are no lines of answers."""
    from polyport.batchcost import batch_cost
    from polyport.errors import BadRequestError

    try:
        return batch_cost(b"\n".join(contents), provider=provider)
    except BadRequestError:
        return None


def _note(cost: float | None) -> None:
    if cost is not None:
        show.note(f"${cost:.6f}")


def _show(settings: Settings, batch: Batch) -> None:
    if settings.json:
        show.json(batch)
    else:
        show.text("  ".join(str(cell) for cell in _row(batch)[:2]))


def _row(batch: Batch) -> list[Any]:
    counts = batch.request_counts or {}
    return [batch.id, batch.status, counts.get("completed"), counts.get("total"), counts.get("failed")]


def _reason(batch: Batch) -> str:
    errors = (batch.errors or {}).get("data") or []
    return "; ".join(str(error.get("message")) for error in errors) or "no reason was given"
