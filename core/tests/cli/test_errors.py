"""Errors of the command line: one line on standard error, an exit code that means something, never a key."""

from __future__ import annotations

import pytest
from core.tests.conftest import PATIENCE

from polyport import errors
from polyport.cli import exits

MODEL = "openai/m"


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, 2), (401, 3), (403, 3), (404, 4), (408, 6), (422, 2), (429, 5), (500, 1), (503, 1), (504, 6)],
)
def test_a_status_ends_with_its_exit_code(cli, stub, status, code):
    """What the provider answers decides; the message is the provider's, on one line."""
    result = cli("chat", f"openai/fail-{status}", "Hi", "--retries", "0", code=code)
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: openai/fail-")
    assert "as you wish" in result.stderr


def test_a_rate_limit_says_when_to_try_again(cli, stub):
    """Retry-After is in the message."""
    assert "try again in 0.01 s" in cli("chat", "openai/fail-429", "Hi", "--retries", "1", code=5).stderr
    assert len(stub.bodies) == 2


def test_no_connection_is_6(cli, stub):
    """Nobody listens on port 9."""
    result = cli("chat", MODEL, "Hi", "--api-base", "http://127.0.0.1:9/v1", "--retries", "0", code=6)
    assert len(result.stderr.splitlines()) == 1


def test_a_timeout_is_6(cli, stub):
    """--timeout is in seconds."""
    stub.pause = PATIENCE
    assert "chat" not in cli("chat", MODEL, "Hi", "--timeout", "0.2", "--retries", "0", "--no-stream", code=6).stdout


def test_no_key_is_3_and_says_which_variable_to_set(cli, stub, monkeypatch):
    """The provider's variable is named."""
    monkeypatch.delenv("OPENAI_API_KEY")
    assert "OPENAI_API_KEY" in cli("chat", MODEL, "Hi", code=3).stderr


def test_no_provider_is_4_and_names_what_is_installed(cli, stub):
    """A missing plugin is told with what to install."""
    result = cli("chat", "nowhere/m", "Hi", code=4)
    assert "pip install" in result.stderr
    assert "openai" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["char"], "Did you mean chat?"),
        (["chat"], "Missing argument"),
        (["chat", MODEL, "--tempreature", "1"], "No such option"),
        (["chat", MODEL, "Hi", "-o", "novalue"], "KEY=VALUE"),
        (["chat", MODEL, "Hi", "-o", "temperature=hot"], "temperature"),
        (["chat", MODEL, "Hi", "-o", "tools=@missing.json"], "missing.json"),
        (["batch", "run", "missing.jsonl"], "missing.jsonl"),
        (["transcribe", MODEL, "missing.wav"], "missing.wav"),
        (["speak", MODEL, "Hi", "-O", "/no/such/folder/x.mp3"], "/no/such/folder"),
    ],
)
def test_a_wrong_command_line_is_2_and_one_line(cli, stub, arguments, said):
    """Usage errors, bad values and files that are not there."""
    result = cli(*arguments, code=2)
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("Error: ")


def test_debug_shows_the_traceback(cli, stub):
    """--debug lets the error through."""
    with pytest.raises(errors.BadRequestError):
        cli("chat", "openai/fail-400", "Hi", "--debug")


def test_every_error_has_a_code_from_the_table():
    """The nearest class in the tree decides."""
    kinds = [
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.PolyportError)
    ]
    codes = {kind.__name__: exits.code_for(kind("x")) for kind in kinds}
    assert set(codes.values()) <= set(exits.CODES) - {exits.OK, exits.INTERRUPTED}
    assert codes["ContentPolicyViolationError"] == 7
    assert codes["ContextWindowExceededError"] == 2
    assert codes["PluginError"] == 4
    assert exits.code_for(RuntimeError("x")) == exits.FAILED


def test_an_error_cannot_steer_the_terminal():
    """Escape sequences in a provider's message are made harmless, lines are joined."""
    assert exits.one_line(ValueError("a\x1b[31m\nb\t c")) == "a\ufffd[31m b c"


def test_the_help_lists_the_codes(cli):
    """One table, in --help."""
    shown = cli("--help").stdout
    assert all(meaning in shown for meaning, _ in exits.CODES.values())


def test_no_command_is_the_help(cli):
    """`polyport` alone shows what there is."""
    assert "chat" in cli(code=2).stdout
