"""polyport: one interface, shaped like OpenAI's, over every model provider.

    import polyport
    polyport.completion("anthropic/claude-sonnet-4-5", [{"role": "user", "content": "Hello"}])

Every function has an asynchronous twin with an `a` in front. Names are loaded on first use (PEP 562), so that
importing polyport costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyport.api import *  # noqa: F403
    from polyport.client import Client as Client
    from polyport.errors import *  # noqa: F403
    from polyport.flow import TimeoutSpec as TimeoutSpec
    from polyport.hookspecs import hookimpl as hookimpl
    from polyport.provider import Provider as Provider

__version__ = "0.1.0"

# Settings of the module's own functions. They are plain attributes: `polyport.timeout = 30`.
api_key: str | dict[str, str] | None = None
api_base: str | None = None
api_version: str | None = None
timeout: float | None = None
num_retries: int | None = None
drop_params: bool | None = None
strict: bool | None = None

#: Public names that are not functions of the interface -> the module that has them.
_HOMES = {
    "Client": "client",
    "Provider": "provider",
    "Setting": "provider",
    "hookimpl": "hookspecs",
    "TimeoutSpec": "flow",
    "HttpRequest": "flow",
    "Streaming": "flow",
    "Items": "flow",
    "Sleep": "flow",
    "Call": "flow",
    "ApiKey": "auth",
    "Bearer": "auth",
    "Query": "auth",
    "AnyOf": "auth",
    "Signer": "auth",
    "model_info": "models",
    "supports": "models",
    "run_batch": "batching",
    "arun_batch": "batching",
}


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(name)
    if name.endswith("Error") or name == "Timeout":
        value = getattr(import_module("polyport.errors"), name)
    elif name in _HOMES:
        value = getattr(import_module(f"polyport.{_HOMES[name]}"), name)
    else:
        api = import_module("polyport.api")
        if name not in vars(api):
            raise AttributeError(f"module 'polyport' has no attribute {name!r}")
        value = vars(api)[name]
    globals()[name] = value
    return value
