"""`polyport chat`: a question and its answer, streamed; without a question, a conversation."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from polyport.cli import show
from polyport.cli.exits import stop
from polyport.cli.settings import Settings, with_settings
from polyport.cli.values import attachment, piped_text

if TYPE_CHECKING:
    from polyport.client import Client
    from polyport.types.chat import ChatCompletion

CUT_OFF = {"length": "cut off at the token limit", "content_filter": "cut off by the provider's content filter"}


@with_settings
def chat(
    settings: Settings,
    model: Annotated[str, typer.Argument(help="provider/model, or a bare name such as gpt-4o.", show_default=False)],
    text: Annotated[
        list[str] | None, typer.Argument(help="The question; what is piped in follows it.", show_default=False)
    ] = None,
    system: Annotated[str | None, typer.Option("-s", "--system", help="The system prompt.")] = None,
    attach: Annotated[
        list[str] | None,
        typer.Option("-a", "--attach", metavar="FILE", help="An image, audio, PDF or text file, or an image's URL."),
    ] = None,
    stream: Annotated[
        bool | None, typer.Option("--stream/--no-stream", help="Print the answer as it comes (usual without --json).")
    ] = None,
    reasoning: Annotated[bool, typer.Option("--reasoning", help="Show the model's reasoning, dimmed.")] = False,
    usage: Annotated[bool, typer.Option("-u", "--usage", help="Say what the answer took.")] = False,
) -> None:
    """Ask a chat model. Without a question at a terminal, talk with it."""
    parameters = settings.parameters("completion")
    streamed = parameters.pop("stream", None) if stream is None else stream
    asking = Asking(
        model=model,
        parameters=parameters,
        stream=not settings.json if streamed is None else bool(streamed),
        json=settings.json,
        reasoning=reasoning,
        usage=usage,
    )
    messages: list[dict[str, Any]] = [{"role": "system", "content": system}] if system else []
    content = question(" ".join(text or []), attach or [])
    with settings.client() as client:
        if content is not None:
            asking.ask(client, [*messages, {"role": "user", "content": content}], Printer(reasoning))
        elif sys.stdin.isatty() and not settings.json:
            from polyport.cli.repl import talk

            talk(client, asking, messages)
        else:
            stop("There is no question: write one after the model, or pipe it in.")


def question(text: str, attached: list[str]) -> str | list[dict[str, Any]] | None:
    """Return the content of a user's message: text, what is piped in, and attachments; None for nothing."""
    parts = [attachment(value) for value in attached]
    rest = None if "-" in attached else piped_text()
    whole = "\n\n".join(piece for piece in (text, rest) if piece)
    if not parts:
        return whole or None
    return [*parts, {"type": "text", "text": whole}] if whole else parts


class Asking(msgspec.Struct):
    """How to ask, and how to show the answer."""

    model: str
    parameters: dict[str, Any]
    stream: bool = True
    json: bool = False
    reasoning: bool = False
    usage: bool = False

    def ask(self, client: Client, messages: list[dict[str, Any]], printer: Printer) -> None:
        """Ask, and print the answer as it comes; `printer` knows its text, also when it is interrupted."""
        fields: dict[str, Any] = {"model": self.model, "messages": messages, **self.parameters}
        if self.stream and (self.parameters.get("n") or 1) == 1:
            self._stream(client, fields, printer)
            return
        completion: ChatCompletion = client.completion(**fields)
        if self.json:
            show.json(completion)
            return
        for number, choice in enumerate(completion.choices):
            if len(completion.choices) > 1:
                show.note(f"--- {number + 1} ---")
            printer.begin()
            printer.add(choice.message, choice.finish_reason)
            printer.end()
        self._note_usage(completion.usage, completion.meta)

    def _stream(self, client: Client, fields: dict[str, Any], printer: Printer) -> None:
        if self.usage:
            fields.setdefault("stream_options", {"include_usage": True})
        usage = None
        with client.completion(stream=True, **fields) as chunks, printer.ended():
            for chunk in chunks:
                usage = chunk.usage or usage
                if self.json:
                    show.json_line(chunk)
                    continue
                for choice in chunk.choices:
                    printer.add(choice.delta, choice.finish_reason)
        self._note_usage(usage, chunks.meta)

    def _note_usage(self, usage: Any, meta: Any) -> None:
        for adapted in meta.adaptations:
            show.note(f"({adapted.parameter} was {adapted.action}: {adapted.why})")
        if not self.usage:
            return
        tokens = f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out" if usage else "usage not told"
        latency = f", {meta.latency:.2f} s" if meta.latency is not None else ""
        cost = f", ${meta.cost:.6f}" if meta.cost is not None else ""
        show.note(f"({tokens}{latency}{cost})")


class Printer:
    """Prints one answer, whole or piece by piece: text to standard output, all else beside it."""

    def __init__(self, reasoning: bool) -> None:
        self._reasoning = reasoning
        self.begin()

    def begin(self) -> None:
        """Begin an answer: nothing of it is there yet."""
        self.text = ""
        self._thinking = False
        self._calls: dict[int, list[str]] = {}
        self._images = 0
        self._audio = False
        self._reason: str | None = None

    def add(self, piece: Any, finish_reason: str | None) -> None:
        """Print what a message, or a delta of one, adds."""
        if piece.reasoning_content and self._reasoning:
            show.note(piece.reasoning_content, end="")
            self._thinking = True
        said = (piece.content or "") + (piece.refusal or "")
        if said:
            self._end_thinking()
            self.text += said  # first: a Ctrl-C while it is printed must not forget it
            show.text(said, end="")
        for place, call in enumerate(piece.tool_calls or []):
            pieces = self._calls.setdefault(place if call.index is None else call.index, ["", ""])
            pieces[0] += (call.function.name if call.function else None) or ""
            pieces[1] += call.function.arguments if call.function else ""
        self._images += len(piece.images or [])
        self._audio = self._audio or piece.audio is not None
        self._reason = finish_reason or self._reason

    def _end_thinking(self) -> None:
        if self._thinking:
            show.note("\n")
            self._thinking = False

    @contextlib.contextmanager
    def ended(self) -> Iterator[None]:
        """End the answer's last line, also when it is interrupted."""
        try:
            yield
        finally:
            self.end()

    def end(self) -> None:
        """Print what can only be printed whole, and say what was not."""
        self._end_thinking()
        if self.text:
            show.text("", end="" if self.text.endswith("\n") else "\n")
        for name, arguments in self._calls.values():
            show.text(f"{name}({arguments})")
        if self._images:
            show.note(f"({self._images} image(s) came too; --json shows them)")
        if self._audio:
            show.note("(audio came too; --json shows it)")
        if self._reason in CUT_OFF:
            show.note(f"({CUT_OFF[self._reason]})")
