"""The body of a job: polyport's parameters under the names that an app has for them."""

from __future__ import annotations

from typing import Any

from polyport.types.record import Request
from polyport_fal.apps import App


class Body:
    """Collects an app's fields. What an app does not take is refused, or dropped where the user says so."""

    def __init__(self, request: Request, app: App) -> None:
        self.request = request
        self.app = app
        self.fields: dict[str, Any] = {}

    def put(self, parameter: str, value: Any, *names: str) -> None:
        """Set the first of some fields that the app takes; a name with a dot is of a field within one."""
        name = self.app.name(*names)
        if name is None:
            self.request.unsupported(parameter, f"{self.app.path} has no such setting")
            return
        allowed = self.app.values(name)
        if allowed and isinstance(value, str):
            found = next((one for one in allowed if one.lower() == value.lower()), None)
            if found is None:
                self.request.unsupported(parameter, f"{self.app.path} takes {', '.join(allowed)}, not {value!r}")
                return
            value = found
        self.set(name, value)

    def set(self, name: str, value: Any) -> None:
        """Set a field as it is."""
        outer, dot, inner = name.partition(".")
        if dot:
            self.fields.setdefault(outer, {})[inner] = value
        else:
            self.fields[name] = value

    def finish(self) -> dict[str, Any]:
        """Return the body. The user's own keyword arguments win, and settings within one are joined."""
        made = dict(self.fields)
        for name, value in self.request.extra.items():
            inner = made.get(name)
            made[name] = {**inner, **value} if isinstance(inner, dict) and isinstance(value, dict) else value
        return made


def refuse(request: Request, neutral: dict[str, tuple[Any, ...]], why: str) -> None:
    """Refuse parameters that no app has, but for values that ask for what happens anyway."""
    for name, harmless in neutral.items():
        value = getattr(request, name, None)
        if value is not None and value not in harmless:
            request.unsupported(name, why)
    if getattr(request, "user", None) is not None:
        request.adapt("user", "dropped", "fal is not told about users")
