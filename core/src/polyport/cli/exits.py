"""What the command line's exit codes mean: the one table from error to code."""

from __future__ import annotations

import re
from typing import NoReturn

from polyport import errors

OK, FAILED, USAGE, INTERRUPTED = 0, 1, 2, 130

#: Exit code -> what it means, and the errors that end with it.
CODES: dict[int, tuple[str, tuple[type[BaseException], ...]]] = {
    OK: ("done", ()),
    FAILED: ("the provider failed, or a part of the work did", (errors.PolyportError,)),
    USAGE: ("wrong command line or request", (errors.BadRequestError, errors.UnprocessableEntityError, OSError)),
    3: ("no key, or one that is not accepted", (errors.AuthenticationError, errors.PermissionDeniedError)),
    4: ("no such model, job, file or plugin", (errors.NotFoundError, errors.PluginError)),
    5: ("rate limit or budget reached", (errors.RateLimitError, errors.BudgetExceededError)),
    6: ("no connection, or no answer in time", (errors.APIConnectionError, errors.Timeout)),
    7: ("refused: content policy or guardrail", (errors.ContentPolicyViolationError, errors.GuardrailError)),
    INTERRUPTED: ("interrupted", (KeyboardInterrupt,)),
}

#: C0 and C1 control characters but tab and newline: what a reply or an error could steer a terminal with.
CONTROLS = {code: "\ufffd" for code in (*range(32), 127, *range(128, 160)) if code not in (9, 10)}


def code_for(error: BaseException) -> int:
    """Return the exit code for an error: that of its nearest class in the table."""
    rows = {kind: code for code, (_, kinds) in CODES.items() for kind in kinds}
    return next((rows[kind] for kind in type(error).__mro__ if kind in rows), FAILED)


def one_line(error: BaseException) -> str:
    """Return an error as one line that is safe to print."""
    text = str(error) or type(error).__name__
    wait = getattr(error, "retry_after", None)
    if wait:
        text += f" (try again in {wait:g} s)"
    return re.sub(r"\s+", " ", text).strip().translate(CONTROLS)


def stop(message: str, code: int = USAGE) -> NoReturn:
    """End the command with a message and an exit code."""
    from typer import Exit, echo

    echo(f"Error: {one_line(Exception(message))}", err=True)
    raise Exit(code)


def table() -> str:
    """Return the codes as text, for `--help`."""
    return "\n".join(f"{code:>4}  {meaning}" for code, (meaning, _) in CODES.items())
