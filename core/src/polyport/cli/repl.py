"""A conversation at the terminal. Its history is kept until it ends; Ctrl-C stops an answer, not the conversation."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from polyport.cli import show
from polyport.cli.chat import Asking, Printer
from polyport.cli.exits import one_line
from polyport.cli.values import attachment
from polyport.errors import PolyportError

if TYPE_CHECKING:
    from polyport.client import Client

PROMPT, MORE = "> ", "… "
WELCOME = "{model}. /help lists the commands, /exit leaves."


class Talk:
    """The state of a conversation: the messages so far, and what is attached to the next one."""

    def __init__(self, messages: list[dict[str, Any]]) -> None:
        self.messages = messages
        self.parts: list[dict[str, Any]] = []
        self.over = False

    def exit(self, _: str) -> None:
        """leave (Ctrl-D does too)"""
        self.over = True

    def clear(self, _: str) -> None:
        """forget what was said; a system prompt stays"""
        self.messages[:] = [message for message in self.messages if message["role"] == "system"]
        self.parts.clear()

    def system(self, text: str) -> None:
        """set the system prompt: /system TEXT"""
        rest = [message for message in self.messages if message["role"] != "system"]
        self.messages[:] = [{"role": "system", "content": text}, *rest] if text else rest

    def attach(self, path: str) -> None:
        """send a file with the next question: /attach FILE"""
        self.parts.append(attachment(path))

    def help(self, _: str) -> None:
        """list the commands"""
        for name, command in self.commands().items():
            show.note(f"/{name}  {command.__doc__}")
        show.note('"""  begins and ends a question of several lines')

    def commands(self) -> dict[str, Callable[[str], None]]:
        """Return the commands by name."""
        return {command.__name__: command for command in (self.help, self.system, self.attach, self.clear, self.exit)}

    def command(self, line: str) -> None:
        """Run a line that begins with a slash."""
        name, _, rest = line[1:].partition(" ")
        command = self.commands().get({"quit": "exit"}.get(name, name))
        if command is None:
            show.note(f"There is no /{name}; /help lists the commands.")
        else:
            command(rest.strip())

    def ask(self, client: Client, asking: Asking, text: str) -> None:
        """Ask, and keep question and answer (as far as it came); a question that failed is forgotten."""
        content = [*self.parts, {"type": "text", "text": text}] if self.parts else text
        question, printer = {"role": "user", "content": content}, Printer(asking.reasoning)
        stopped = False
        try:
            asking.ask(client, [*self.messages, question], printer)
        except KeyboardInterrupt:
            show.note("(stopped)")
            stopped = True
        if printer.text or not stopped:
            self.parts.clear()
            self.messages += [question, {"role": "assistant", "content": printer.text}]


def talk(client: Client, asking: Asking, messages: list[dict[str, Any]]) -> None:
    """Read questions and show answers until the user leaves."""
    with contextlib.suppress(ImportError):
        import readline  # noqa: F401  line editing, where Python was built with it
    state = Talk(messages)
    show.note(WELCOME.format(model=asking.model))
    while not state.over:
        try:
            line = _read()
        except KeyboardInterrupt:
            show.note("\n(/exit leaves)")
            continue
        if line is None:
            show.note("")
            return
        if line.strip():
            _turn(client, asking, state, line.strip())


def _turn(client: Client, asking: Asking, state: Talk, line: str) -> None:
    try:
        if line.startswith("/"):
            state.command(line)
        else:
            state.ask(client, asking, line)
    except PolyportError as error:
        show.note(f"Error: {one_line(error)}")


def _read() -> str | None:
    '''Return a line, or the lines between two `"""`; None at the end of the input.'''
    try:
        line = input(PROMPT)
        if not line.lstrip().startswith('"""'):
            return line
        lines = [line.lstrip()[3:]]
        while not lines[-1].rstrip().endswith('"""'):
            lines.append(input(MORE))
    except EOFError:
        return None
    return "\n".join(lines).rstrip().removesuffix('"""').strip()
