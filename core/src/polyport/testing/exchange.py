"""Exchange: one call and what the provider answered to it, as a plugin's author recorded it."""

from __future__ import annotations

import copy
import difflib
import enum
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from polyport.operations import BY_HOOK, Operation
from polyport.testing.wire import Answerable, Reply


class InProcess(enum.Enum):
    """The mark of answers that a provider makes in this process, without the wire."""

    IN_PROCESS = "in process"


IN_PROCESS = InProcess.IN_PROCESS
Recorded: TypeAlias = "Answerable | InProcess | None"


class Exchange(msgspec.Struct, frozen=True):
    """One call of one hook, and the recorded bodies that answer it.

    `call` are the keyword arguments of the SDK's function (files as bytes or paths), the model without its prefix.
    `reply` is the body of the answer, `stream` the body of the streamed answer; IN_PROCESS where nothing is sent.
    `before` are the answers to the requests that the flow makes ahead of its last one: a job that is submitted and
    polled, a file that is looked up. `env` stands for environment variables. `text` is what the answer says, where
    you want it compared. `label` tells two exchanges of one hook apart.
    """

    hook: str
    call: Mapping[str, Any]
    reply: Recorded = None
    stream: Recorded = None
    before: Sequence[Answerable] = ()
    env: Mapping[str, str] = {}
    text: str | None = None
    label: str = ""

    def __post_init__(self) -> None:
        if self.hook not in BY_HOOK:
            near = difflib.get_close_matches(self.hook, BY_HOOK, 1)
            hint = f"Did you mean {near[0]!r}?" if near else f"The hooks are {', '.join(BY_HOOK)}."
            raise ValueError(f"Exchange: there is no hook {self.hook!r}. {hint}")
        if self.reply is None and self.stream is None:
            raise ValueError(f"Exchange({self.hook!r}): give a recorded reply=, a recorded stream=, or both")

    @property
    def name(self) -> str:
        """What tests call it."""
        return self.label or self.hook

    @property
    def operation(self) -> Operation:
        """Its row in the table of operations."""
        return BY_HOOK[self.hook]

    def fields(self, *, stream: bool = False, **more: Any) -> dict[str, Any]:
        """Return the keyword arguments of the call, copied, so that no run can change another's."""
        fields = copy.deepcopy(dict(self.call))
        return {**fields, **({"stream": True} if stream else {}), **more}

    def recorded(self, *, stream: bool = False) -> Reply:
        """Return the last answer as a reply. Raises ValueError where it was not recorded or is made in process."""
        value = self.stream if stream else self.reply
        if value is None or isinstance(value, InProcess):
            raise ValueError(f"Exchange({self.name!r}) has no recorded {'stream' if stream else 'reply'}")
        return Reply.of(value)

    def answers(self, *, stream: bool = False, last: Reply | None = None) -> list[Answerable]:
        """Return every answer in order; `last` takes the last one's place. What is made in process needs none."""
        if (self.stream if stream else self.reply) is IN_PROCESS:
            return []
        return [*self.before, last or self.recorded(stream=stream)]
