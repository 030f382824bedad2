"""Optional libraries: imported when they are needed, or an error that says what to install."""

from __future__ import annotations

import importlib
from types import ModuleType

from polyport.errors import PluginError


def require(module: str, extra: str, what: str) -> ModuleType:
    """Import `module`, which the extra named `extra` installs. Raises PluginError with the command to run.

    `what` is what cannot be done without it, as the sentence's subject: "Speech to text".
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        missing = f"{what} needs '{module}', which is not installed. Run: pip install \"polyport-local[{extra}]\""
        raise PluginError(missing) from error
