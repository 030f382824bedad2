"""A reply's headers, decoded when somebody looks: providers send twenty or more, and most are never read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from wreq import HeaderMap


class Headers(Mapping[str, str]):
    """Headers by name; repeated ones are joined by ", ". Names come out in lower case and go in in any."""

    __slots__ = ("_raw",)

    def __init__(self, raw: HeaderMap) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        values = [str(value, "latin-1") for value in self._raw.get_all(name)]
        if not values:
            raise KeyError(name)
        return ", ".join(values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self._raw.contains_key(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(str(name, "latin-1") for name, _ in self._raw))

    def __len__(self) -> int:
        return self._raw.keys_len()

    def __repr__(self) -> str:
        return repr(dict(self))

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (dict(self),)
