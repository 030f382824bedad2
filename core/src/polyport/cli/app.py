"""The root of the command line: commands by name, each imported when it is used; errors to one line and a code."""

from __future__ import annotations

import difflib
import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

import polyport.plugins as plugins  # not `from polyport`: its names are looked up among functions first
from polyport.cli import exits
from polyport.errors import PluginError, PolyportError

#: Command -> where it is. Plugins add theirs through the entry-point group `polyport.commands`.
COMMANDS: dict[str, str] = {
    "chat": "chat:chat",
    "embed": "texts:embed",
    "rerank": "texts:rerank",
    "moderate": "texts:moderate",
    "image": "image:image",
    "transcribe": "audio:transcribe",
    "speak": "audio:speak",
    "video": "video:video",
    "batch": "batch:app",
    "call": "call:call",
    "render": "render:render",
    "models": "models:models",
    "audit": "audit:audit",
    "simulate": "simulate:simulate",
    "plugins": "plugins:plugins",
    "conformance": "develop:conformance",
    "new-plugin": "develop:new_plugin",
    "version": "version:version",
}

HELP = """One command over every model provider.

Keys come from the environment (OPENAI_API_KEY ...); `polyport plugins` lists what is installed, `polyport models`
what is known of its models.
"""

#: What typer raises for a wrong command line: the base of its public BadParameter.
WrongUsage: type[Any] = typer.BadParameter.__mro__[2]
SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"]}
#: Where a command notes in its context that a traceback is wanted.
DEBUG = "polyport.debug"


class Commands(TyperGroup):
    """Finds commands by name. Listing them imports no plugin; a broken plugin breaks its own command only."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands, ours first."""
        return [*COMMANDS, *(entry.name for entry in _plugin_commands())]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command as a line of the help: its name and what it does, without its options."""
        if cmd_name in COMMANDS:
            target = _own(cmd_name)
            about = target.info.help if isinstance(target, typer.Typer) else target.__doc__
            return to_command(cmd_name, _line(str(about)))
        entry = next((entry for entry in _plugin_commands() if entry.name == cmd_name), None)
        return None if entry is None else to_command(cmd_name, _line(f"Commands of {plugins.distribution(entry)}."))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that `args` begin with, loaded, and the rest. Raises WrongUsage naming near misses."""
        name = args[0]
        if name in COMMANDS:
            return name, to_command(name, _own(name)), args[1:]
        entry = plugins.find(plugins.COMMANDS, name)
        if entry is not None:
            return name, _load(name, entry), args[1:]
        near = difflib.get_close_matches(name, self.list_commands(ctx), 2)
        return ctx.fail(f"No such command {name!r}." + (f" Did you mean {' or '.join(near)}?" if near else ""))

    def invoke(self, ctx: Any) -> Any:
        """Run the command. Its errors become one line and an exit code, or with `--debug` a traceback."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except (PolyportError, OSError) as error:
            if ctx.meta.get(DEBUG):
                raise
            typer.echo(f"Error: {exits.one_line(error)}", err=True)
            raise typer.Exit(exits.code_for(error)) from error
        return result

    def main(self, args: Any = None, prog_name: str | None = None, standalone_mode: bool = True, **extra: Any) -> Any:  # type: ignore[override]
        """Run a command line. A wrong one is one line and exit code 2."""
        try:
            code = super().main(args, prog_name, standalone_mode=False, **extra)
        except WrongUsage as error:
            context = getattr(error, "ctx", None)
            path = context.command_path if context is not None else "polyport"
            typer.echo(f"Error: {exits.one_line(Exception(error.format_message()))} See: {path} --help", err=True)
            code = exits.USAGE
        except typer.Abort:
            code = exits.FAILED
        if not standalone_mode:
            return code
        sys.exit(code if isinstance(code, int) else exits.OK)


def _plugin_commands() -> list[Any]:
    return [entry for entry in plugins.entries(plugins.COMMANDS) if entry.name not in COMMANDS]


def _load(name: str, entry: Any) -> Any:
    target = plugins.load(entry)
    try:
        return to_command(name, target)
    except Exception as error:  # the border to a stranger's commands: building them may raise anything
        where = plugins.distribution(entry)
        raise PluginError(f"The command {name!r} of {where} is broken: {type(error).__name__}: {error}") from error


def _own(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(":")
    return getattr(importlib.import_module(f"polyport.cli.{module}"), attribute)


def _line(text: str) -> Any:
    """Return a function that does nothing but say what a command does."""

    def listed() -> None: ...

    listed.__doc__ = text
    return listed


def to_command(name: str, target: Any) -> Any:
    """Return a Typer app (always with subcommands) or a function as the command called `name`."""
    command: Any
    if isinstance(target, typer.Typer):
        command = typer.main.get_group(target)
    elif callable(target):
        single = typer.Typer(add_completion=False, rich_markup_mode=None, context_settings=SETTINGS)
        single.command(name, no_args_is_help=False)(target)
        command = typer.main.get_command(single)
    else:
        raise PluginError(f"A command is a typer.Typer or a function, not {target!r}.")
    command.name = name
    return command


app = typer.Typer(
    name="polyport",
    cls=Commands,
    help=HELP,
    epilog=f"\b\nExit codes:\n{exits.table()}",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings=SETTINGS,
)


@app.callback(invoke_without_command=True)
def root(
    ctx: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
) -> None:
    """See HELP: this is what runs before every command."""
    if version:
        from polyport import __version__

        typer.echo(__version__)
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        typer.echo(ctx.get_help())
        raise typer.Exit(exits.USAGE)


def run() -> None:
    """Run the process's own command line. What nobody foresaw is one line too; `--debug` shows its traceback."""
    if "--debug" not in sys.argv:
        sys.excepthook = _unforeseen
    typer.main.get_command(app)(prog_name="polyport")


def _unforeseen(kind: type[BaseException], error: BaseException, _: Any) -> None:
    text = f"{kind.__name__}: {exits.one_line(error)}"
    sys.stderr.write(f"Error: {text}. This should not happen; --debug shows where it did.\n")
