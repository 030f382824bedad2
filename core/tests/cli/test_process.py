"""The command line as a process: without typer, with broken plugins, in pipes, interrupted."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
from core.tests.conftest import PATIENCE

MAIN = [sys.executable, "-c", "from polyport.cli import main; main()"]


def test_without_typer_one_line_says_what_to_install(shell, tmp_path):
    """A Python that has polyport and no typer: exit code 2, no traceback."""
    hook = "import sys\nsys.modules['typer'] = None\n"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(hook)
    done = shell("chat", "openai/m", "Hi", path=tmp_path / "site")
    assert done.returncode == 2
    assert done.stderr == 'The polyport command needs typer: pip install "polyport[cli]"\n'


def test_help_loads_no_plugin_no_http_and_no_rich(shell, tmp_path):
    """What the help does not need is not imported."""
    code = "import sys, polyport.cli as c\ntry: c.main()\nfinally: print(sorted(sys.modules), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    loaded = done.stderr
    assert "local" in done.stdout
    for module in ("httpx", "rich", "pydantic", "polyport_openai", "polyport_local", "polyport_anthropic"):
        assert f"'{module}'" not in loaded, module


BROKEN = {
    "import": "import there_is_no_such_module",
    "syntax": "def (",
    "runtime": "raise RuntimeError('out of luck')",
    "system": "open('/no/such/file')",
}


@pytest.mark.parametrize("code", BROKEN.values(), ids=BROKEN)
def test_a_broken_plugin_is_shown_and_breaks_its_own_command_only(shell, plugin, stub, code):
    """`polyport plugins` names it with the reason; everything else goes on."""
    points = "[polyport.providers]\nacme = polyport_acme:Acme\n[polyport.commands]\nacme = polyport_acme:app\n"
    folder = plugin("polyport-acme", points, code)
    listed = shell("plugins", path=folder)
    assert listed.returncode == 0
    assert "polyport-acme" in listed.stdout
    assert "failed to load" in listed.stdout
    assert "polyport-acme: The plugin 'acme' of polyport-acme failed to load" in listed.stderr
    assert "acme" in shell("--help", path=folder).stdout
    assert shell("chat", "openai/m", "Hi", path=folder).stdout == "You said: Hi\n"
    for arguments in (["acme", "pull"], ["chat", "acme/m", "Hi"]):
        failed = shell(*arguments, path=folder)
        assert failed.returncode == 4
        assert len(failed.stderr.splitlines()) == 1
        assert "failed to load" in failed.stderr


UNFIT = """
import polyport

class Misspelt(polyport.Provider):
    @polyport.hookimpl
    def chatt(self, request): ...

class Misfit(polyport.Provider):
    @polyport.hookimpl
    def chat(self, request, more): ...

class Unmade(polyport.Provider):
    def __init__(self, name):
        raise RuntimeError("no configuration file")
"""


def test_a_provider_that_cannot_be_used_is_shown_too(shell, plugin):
    """A misspelt hook, one with other arguments, a class that fails or is none: each with the reason."""
    names = {"a": "Misspelt", "b": "Misfit", "c": "Unmade", "d": "polyport"}
    points = "\n".join(f"{name} = polyport_acme:{value}" for name, value in names.items())
    done = shell("plugins", path=plugin("polyport-acme", f"[polyport.providers]\n{points}\n", UNFIT))
    assert done.returncode == 0
    reasons = done.stderr.splitlines()
    assert "Did you mean 'chat'?" in reasons[0]
    assert "'b' (Misfit) has a hook that does not fit" in reasons[1]
    assert "'c' (Unmade) cannot be made: RuntimeError: no configuration file" in reasons[2]
    assert "must be a subclass of polyport.Provider" in reasons[3]


COMMANDS = '''
import typer

app = typer.Typer()

@app.command()
def pull(name: str, quick: bool = False) -> None:
    """Fetch a model."""
    print("pulled", name, quick)

def hello(name: str = "you") -> None:
    """Greet."""
    print("hello", name)

def fail() -> None:
    """Fail in its own way."""
    raise ValueError("two\\nlines")

broken = 42
'''


def test_plugins_add_commands(shell, plugin):
    """An app has subcommands even when it has one; a function is a command; errors of theirs are one line too."""
    points = "\n".join(
        f"{name} = polyport_acme:{value}"
        for name, value in {
            "acme": "app",
            "hello": "hello",
            "fail": "fail",
            "broken": "broken",
            "chat": "hello",
        }.items()
    )
    folder = plugin("polyport-acme", f"[polyport.commands]\n{points}\n", COMMANDS)
    assert shell("acme", "pull", "m", "--quick", path=folder).stdout == "pulled m True\n"
    assert "Fetch a model." in shell("acme", "--help", path=folder).stdout
    assert shell("hello", "--name", "me", path=folder).stdout == "hello me\n"
    assert "Commands of polyport-acme." in shell("--help", path=folder).stdout
    failed = shell("fail", path=folder)
    assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
    assert "ValueError: two lines" in failed.stderr
    broken = shell("broken", path=folder)
    assert broken.returncode == 4
    assert "a typer.Typer or a function" in broken.stderr
    assert "Ask a chat model" in shell("chat", "--help", path=folder).stdout


def test_an_answer_in_a_pipe_that_closes_ends_quietly(stub):
    """`polyport chat ... | head -c 4`."""
    stub.beat = 0.3
    command = f"{sys.executable} -c 'from polyport.cli import main; main()' chat openai/slow 'a b c d e f' | head -c 4"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=300, check=False)
    assert done.stdout == "You "
    assert "Traceback" not in done.stderr
    assert "Exception" not in done.stderr


def test_an_answer_is_printed_as_it_comes(stub):
    """The first word is there before the last is sent."""
    process = subprocess.Popen(
        [*MAIN, "chat", "openai/slow", "a b c d e"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stdout.read(4) == b"You "
    stub.go_on.set()
    assert process.stdout.read() == b"said: a b c d e\n"
    assert process.wait() == 0
    process.stdout.close()


def test_interrupted_it_ends_with_130_and_no_traceback(stub):
    """Ctrl-C."""
    process = subprocess.Popen(
        [*MAIN, "chat", "openai/slow", "a b c d e f g h"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.read(4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert out.endswith(b"\n")


def test_a_key_in_the_environment_is_printed_nowhere(shell, stub):
    """Neither by an error that quotes the request, nor by render, nor by --debug (the fixture looks at all output)."""
    for arguments in (
        ["chat", "openai/fail-401", "Hi", "--debug"],
        ["render", "completion", "openai/gpt-4o", "Hi"],
        ["render", "completion", "openai/gpt-4o", "Hi", "--curl"],
        ["render", "completion", "openai/gpt-4o", "Hi", "--json"],
        ["plugins"],
    ):
        shell(*arguments)


def test_several_runs_of_a_batch_exclude_each_other(shell, stub, tmp_path):
    """Two processes never write to one file of results."""
    line: dict[str, Any] = {
        "url": "/v1/chat/completions",
        "body": {"model": "openai/m", "messages": [{"role": "user", "content": "x"}]},
    }
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"custom_id": str(n), **line}) + "\n" for n in range(6)))
    stub.pause = PATIENCE
    first = subprocess.Popen([*MAIN, "batch", "run", "in.jsonl", "-c", "1"], cwd=tmp_path, stdout=subprocess.PIPE)
    while not (tmp_path / "in.results.jsonl").exists():
        assert first.poll() is None
        time.sleep(0.01)
    second = shell("batch", "run", "in.jsonl")
    assert second.returncode == 2
    assert "Another run is writing" in second.stderr
    stub.go_on.set()
    assert first.wait(PATIENCE) == 0
    assert first.stdout is not None
    first.stdout.close()
    assert len((tmp_path / "in.results.jsonl").read_text().splitlines()) == 6


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal")
def test_a_conversation_keeps_its_history(stub, tmp_path):
    """At a terminal without a question: turns, commands, Ctrl-C stops an answer only, Ctrl-D leaves."""
    pytest.importorskip("pty")
    from_terminal = Terminal([*MAIN, "chat", "openai/m", "-s", "Be brief."])
    from_terminal.expect("> ")
    from_terminal.send("Hello\n")
    from_terminal.expect("You said: Hello")
    from_terminal.expect("> ")
    from_terminal.send("/nonsense\n")
    from_terminal.expect("There is no /nonsense")
    from_terminal.expect("> ")
    from_terminal.send("Again\n")
    from_terminal.expect("You said: Again")
    from_terminal.expect("> ")
    from_terminal.send("/exit\n")
    assert from_terminal.wait() == 0
    assert [message["content"] for message in stub.bodies[-1][1]["messages"]] == [
        "Be brief.",
        "Hello",
        "You said: Hello",
        "Again",
    ]


def test_ctrl_c_stops_the_answer_and_not_the_conversation(stub):
    """The part that came is kept in the history; an error does not end the conversation either."""
    terminal = Terminal([*MAIN, "chat", "openai/slow"])
    terminal.expect("> ")
    terminal.send("a b c d e f g h i j\n")
    terminal.expect("You said: a")
    terminal.send("\x03")
    terminal.expect("(stopped)")
    terminal.expect("> ")
    terminal.insist("\x03", "/exit leaves")
    terminal.expect("> ")
    stub.go_on.set()
    terminal.send("b\n")
    terminal.expect("You said: b")
    terminal.expect("> ")
    terminal.send("\x04")
    assert terminal.wait() == 0
    question, answer, _ = stub.bodies[-1][1]["messages"]
    assert question["content"] == "a b c d e f g h i j"
    assert answer["content"].startswith("You said: a")
    assert len(answer["content"]) < len("You said: a b c d e f g h i j")


class Terminal:
    """A process at a terminal of its own."""

    def __init__(self, command: list[str]) -> None:
        import pty

        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(command[0], command, {**os.environ, "TERM": "dumb"})
        self.seen = ""

    def send(self, text: str) -> None:
        """Type."""
        os.write(self.fd, text.encode())

    def insist(self, keys: str, text: str) -> None:
        """Type keys until something is shown: a Ctrl-C that comes before the line editor listens waits for the next."""
        for _ in range(10):
            self.send(keys)
            with contextlib.suppress(AssertionError):
                self.expect(text, 2)
                return
        self.expect(text)

    def expect(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until something is shown, and forget what was shown up to it."""
        import select

        limit = time.monotonic() + seconds
        while text not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, limit - time.monotonic()))
            if not ready:
                raise AssertionError(f"{text!r} was not shown; shown was {self.seen!r}")
            self.seen += os.read(self.fd, 4096).decode()
        self.seen = self.seen.partition(text)[2]

    def wait(self) -> int:
        """Wait for the end, and return the exit code."""
        status = os.waitpid(self.pid, 0)[1]
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)
