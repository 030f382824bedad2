"""The options that every command shares, as one value, and the client they describe."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from polyport.cli.app import DEBUG
from polyport.cli.values import parse_options

if TYPE_CHECKING:
    from polyport.client import Client
    from polyport.operations import Operation

Options = Annotated[
    list[str] | None,
    typer.Option(
        "-o",
        "--option",
        metavar="KEY=VALUE",
        help="A parameter; VALUE is JSON or text, @FILE reads it, a.b=1 nests. Repeatable.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the whole result as JSON.")]
Base = Annotated[str | None, typer.Option("--api-base", metavar="URL", help="Ask this address.")]
KeyEnv = Annotated[
    str | None, typer.Option("--key-env", metavar="NAME", help="Take the key from this environment variable.")
]
Seconds = Annotated[float | None, typer.Option("--timeout", metavar="SECONDS", help="Give up after this long.")]
Retries = Annotated[int | None, typer.Option("--retries", metavar="N", help="Try again so many times.")]
Drop = Annotated[bool, typer.Option("--drop-params", help="Leave out parameters the provider does not take.")]
Way = Annotated[str | None, typer.Option("--transport", metavar="NAME", help="httpx, reqwest ...")]
Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the shared options say. A key is never an option: other users of a machine can read command lines."""

    options: list[str] = []
    json: bool = False
    api_base: str | None = None
    key_env: str | None = None
    timeout: float | None = None
    retries: int | None = None
    drop_params: bool = False
    transport: str | None = None

    def client(self) -> Client:
        """Return the client, to be closed by the caller (`with settings.client() as client`)."""
        from polyport.client import Client

        return Client(
            api_key=self._key(),
            api_base=self.api_base,
            timeout=self.timeout,
            num_retries=self.retries,
            drop_params=self.drop_params or None,
            transport=self.transport,
        )

    def _key(self) -> str | None:
        from polyport.errors import AuthenticationError

        if self.key_env is None:
            return None
        key = os.environ.get(self.key_env)
        if not key:
            raise AuthenticationError(f"The environment variable {self.key_env} is not set.")
        return key

    def parameters(self, function: str) -> dict[str, Any]:
        """Return the `-o` parameters, read as the types that the function's request gives them."""
        from polyport.operations import BY_FUNCTION

        return parse_options(self.options, kinds(BY_FUNCTION[function]))


def kinds(operation: Operation) -> dict[str, Any]:
    """Return the types of an operation's parameters by name."""
    return {field.name: field.type for field in msgspec.structs.fields(operation.request)}


def _shared(
    options: Options = None,
    json: AsJson = False,
    api_base: Base = None,
    key_env: KeyEnv = None,
    timeout: Seconds = None,
    retries: Retries = None,
    drop_params: Drop = False,
    transport: Way = None,
) -> Settings:
    return Settings(
        options=options or [],
        json=json,
        api_base=api_base,
        key_env=key_env,
        timeout=timeout,
        retries=retries,
        drop_params=drop_params,
        transport=transport,
    )


def with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command, whose first parameter is `settings`, the shared options after its own."""
    shared = inspect.signature(_shared, eval_str=True).parameters
    own = [p for name, p in inspect.signature(command, eval_str=True).parameters.items() if name != "settings"]
    extra = [
        inspect.Parameter("ctx", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug),
    ]
    parameters = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in (*own, *shared.values())] + extra

    def run(ctx: typer.Context, debug: bool, **given: Any) -> None:
        ctx.meta[DEBUG] = debug
        settings = _shared(**{name: given.pop(name) for name in shared})
        command(settings, **given)

    run.__name__, run.__doc__ = command.__name__, command.__doc__
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # what typer reads
    return run
