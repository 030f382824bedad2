"""OpenAI's look-alikes, one class a row of rows.json: `from polyport_compatible import TogetherAi`.

A class is made of its row when it is asked for. Adding a provider is adding a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from polyport.provider import Provider


def __getattr__(name: str) -> type[Provider]:
    """Return the class of a row, made on first use. Raises AttributeError where no row has it."""
    from polyport_compatible.rows import by_class

    row = None if name.startswith("_") else by_class().get(name)
    if row is None:
        raise AttributeError(f"module {__name__!r} has no look-alike {name!r}")
    from polyport_compatible.look_alike import to_class

    made = globals()[name] = to_class(row)
    return made


def __dir__() -> list[str]:
    from polyport_compatible.rows import by_class

    return [*by_class(), *globals()]
