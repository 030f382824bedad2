"""What users write into `callbacks`, `success_callback` and `failure_callback`, as Watchers.

    "langfuse"                                             an installed observer (entry-point group polyport.observers)
    f(event)                                               a function, sync or async
    f(kwargs, completion_response, start_time, end_time)   the form that LiteLLM's users know
    an object with on_success / on_failure                 an Observer, or anything like one
    an object with log_success_event / log_failure_event   or their async_log_... twins, in LiteLLM's form

https://docs.litellm.ai/docs/observability/custom_callback
"""

from __future__ import annotations

import difflib
import inspect
import os
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any

from polyport import plugins
from polyport.errors import BadRequestError, PluginError
from polyport.observing.event import Event
from polyport.observing.records import Record

OBSERVERS = "polyport.observers"
CONTENT = "POLYPORT_OBSERVE_CONTENT"
REDACT = "POLYPORT_OBSERVE_REDACT"
TRUE = frozenset({"1", "true", "yes", "on"})
#: What a callback is called with: the event, and what it was made of for the form that takes the answer itself.
Handler = Callable[[Event, Record], Any]
#: Our method -> LiteLLM's.
FOREIGN = {"on_success": "log_success_event", "on_failure": "log_failure_event"}


def content_allowed() -> bool:
    """Whether observers that are installed and given by name see content."""
    return os.environ.get(CONTENT, "").lower() in TRUE


def redacted() -> frozenset[str]:
    """Return the names of metadata and parameters that the environment says nobody is to see: "email,phone"."""
    return frozenset(name.strip() for name in os.environ.get(REDACT, "").split(",") if name.strip())


class Watcher:
    """One observer as the dispatcher calls it. Two of the same observer are equal, whatever lists it stood in.

    `capture` is called on the caller's thread when a call begins, and must be quick; what it returns is the event's
    `captured`. `failed` counts how often the observer raised.
    """

    def __init__(self, given: Any, name: str, *, content: bool) -> None:
        self.given = given
        self.name = name
        self.content = content
        self.start: Handler | None = None
        self.success: Handler | None = None
        self.failure: Handler | None = None
        self.capture: Callable[[], Any] | None = getattr(given, "capture", None)
        self.flush: Callable[[], Any] | None = getattr(given, "flush", None)
        self.close: Callable[[], Any] | None = getattr(given, "close", None)
        self.failed = 0


def watchers(
    callbacks: Iterable[Any] = (), success: Iterable[Any] = (), failure: Iterable[Any] = ()
) -> tuple[Watcher, ...]:
    """Return a Watcher for each observer in the three lists. Raises BadRequestError or PluginError for what is none."""
    found: dict[int, Watcher] = {}
    for listed, ends in ((callbacks, ("success", "failure")), (success, ("success",)), (failure, ("failure",))):
        for given in [listed] if isinstance(listed, str) or callable(listed) else listed:
            observer, name, content = _resolve(given)
            watcher = found.setdefault(id(observer), Watcher(observer, name, content=content))
            _attach(watcher, ends)
    return tuple(found.values())


def _resolve(given: Any) -> tuple[Any, str, bool]:
    if isinstance(given, str):
        observer = installed(given)
        return observer, given, content_allowed() if observer.content is None else observer.content
    wanted = getattr(given, "content", None)
    name = getattr(given, "__qualname__", None) or type(given).__qualname__
    return given, name, wanted if isinstance(wanted, bool) else True


def _attach(watcher: Watcher, ends: tuple[str, ...]) -> None:
    given = watcher.given
    if any(hasattr(given, f"on_{end}") for end in ("success", "failure")):
        for end in ends:
            setattr(watcher, end, _of_event(getattr(given, f"on_{end}", None)))
        watcher.start = _of_event(getattr(given, "on_start", None))
        return
    methods = {end: _foreign(given, FOREIGN[f"on_{end}"]) for end in ends}
    if any(methods.values()):
        for end, method in methods.items():
            setattr(watcher, end, method and _of_four(method))
    elif callable(given):
        form = _of_four if _takes_four(given) else _of_event
        for end in ends:
            setattr(watcher, end, form(given))
    else:
        raise BadRequestError(
            f"{given!r} is no callback: give the name of an installed observer, a function of (event) or of (kwargs, "
            "completion_response, start_time, end_time), or an object with on_success or on_failure."
        )


def _foreign(given: Any, name: str) -> Any:
    """Return the method of LiteLLM's form that the object's class defines last; of twins there, the async one."""
    for kind in type(given).__mro__:
        for method in (f"async_{name}", name):
            if method in vars(kind):
                return getattr(given, method)
    return None


def _takes_four(function: Callable[..., Any]) -> bool:
    """Whether a function is of the four-argument form. Raises BadRequestError where it is of neither."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # written in C
        return False
    for count in (1, 4):
        try:
            signature.bind(*range(count))
        except TypeError:
            continue
        return count == 4
    raise BadRequestError(
        f"The callback {getattr(function, '__qualname__', function)!r} takes {signature}: it must take (event), or "
        "(kwargs, completion_response, start_time, end_time)."
    )


def _of_event(method: Any) -> Handler | None:
    return None if method is None else lambda event, _: method(event)


def _of_four(method: Callable[..., Any]) -> Handler:
    def call(event: Event, record: Record) -> Any:
        answer = record.whole()
        start, end = (datetime.fromtimestamp(seconds, UTC) for seconds in (event.started, event.ended))
        return method(keywords(event, record, start, end), answer, start, end)

    return call


def keywords(event: Event, record: Record, start: datetime, end: datetime) -> dict[str, Any]:
    """Return what the four-argument form is told of the call. No key is in it."""
    params = {name: value for name, value in event.request.items() if name not in ("messages", "input")}
    return {
        "model": event.model,
        "messages": event.request.get("messages"),
        "input": event.request.get("input", event.request.get("messages")),
        "user": event.user,
        "stream": event.stream,
        "call_type": event.function,
        "litellm_call_id": event.id,
        "custom_llm_provider": event.provider,
        "optional_params": params,
        "litellm_params": {"metadata": event.metadata, "model_group": event.group, "deployment": event.deployment},
        "response_cost": event.cost,
        "cache_hit": event.cache_hit,
        "complete_streaming_response": record.whole() if event.stream and event.complete else None,
        "exception": record.error,
        "log_event_type": "successful_api_call" if record.error is None else "failed_api_call",
        "start_time": start,
        "end_time": end,
        "event": event,
    }


# --- installed ones ---

_made: dict[str, Any] = {}
_making = threading.Lock()


def installed(name: str) -> Any:
    """Return the installed observer of that name: made on first use, one for the process, like the place it reports to.

    Raises PluginError that names those there are, or says what the observer is missing.
    """
    with _making:
        if name not in _made:
            _made[name] = _make(name)
        return _made[name]


def names() -> list[str]:
    """Return the names of the installed observers; nothing is imported."""
    return [entry.name for entry in plugins.entries(OBSERVERS)]


def _make(name: str) -> Any:
    entry = plugins.find(OBSERVERS, name)
    if entry is None:
        near = difflib.get_close_matches(name, names(), 1)
        guess = f"Did you mean {near[0]!r}? " if near else ""
        raise PluginError(
            f"No observer {name!r} is installed. Installed: {', '.join(names()) or 'none'}. {guess}"
            "Try: pip install polyport-otel, polyport-prometheus or polyport-logs."
        )
    kind = plugins.load(entry)
    observer = kind() if callable(kind) else kind
    if not (hasattr(observer, "on_success") or hasattr(observer, "on_failure")):
        raise PluginError(f"The observer {name!r} is {observer!r}; it must have on_success or on_failure.")
    if not hasattr(observer, "content"):
        raise PluginError(f"The observer {name!r} does not say whether it sees content: subclass polyport.Observer.")
    return observer
