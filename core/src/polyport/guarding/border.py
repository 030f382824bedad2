"""One guardrail asked about one request or result. It fails closed: what cannot be judged is blocked."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Generator
from types import NoneType
from typing import Any, Literal, TypeAlias

from polyport.border import Call, exchange
from polyport.errors import APIError, GuardrailError, PluginError
from polyport.flow import All, Call as Blocking, First, Flow, Read, Sleep
from polyport.guarding.rules import Rule
from polyport.guarding.verdicts import PASS, Block, Edit, Mask, Mode, Pass, Seen, Text, Verdict
from polyport.types.guard import Finding, Guarded, Outcome
from polyport.types.record import Meta, Options, Request

#: Effects that may take any time. Nothing else that a guardrail yields does.
RACED = frozenset({Blocking, All, First, Read})
#: What is a verdict, and nothing that has to be waited for.
AT_ONCE = (bool, NoneType, Pass, Block, Mask)
Ask: TypeAlias = Callable[..., Flow[Any]]


class Judge:
    """One guardrail in one mode, about one call."""

    __slots__ = ("_ask", "call", "mode", "rule", "side")

    def __init__(self, rule: Rule, call: Call, mode: Mode, side: Literal["request", "result"], ask: Ask) -> None:
        self.rule, self.call, self.mode, self.side = rule, call, mode, side
        self._ask = ask

    def see(self, texts: list[Text], partial: bool = False, result: Any = None) -> Seen:
        """Return these texts as the guardrail sees them."""
        call = self.call
        return Seen(
            texts=texts, side=self.side, mode=self.mode, operation=call.operation.function,
            provider=call.provider.name, model=call.request.model, request=call.request, result=result,
            partial=partial, ask=self._ask,
        )  # fmt: skip

    def ask(self, seen: Seen) -> Flow[Verdict]:
        """Return the verdict. Raises GuardrailError where there is none, unless such calls may pass."""
        rule = self.rule
        try:
            found: Any = rule.guardrail.check(seen)
            if isinstance(found, AT_ONCE):
                return to_verdict(found, seen)
            if isinstance(found, Generator):
                found = yield from _Bounded(exchange(found, _own_call(rule, self.call)), rule.frame.timeout)
            elif inspect.isawaitable(found):
                found = yield from _Bounded(_awaited(found), rule.frame.timeout)
            return to_verdict(found, seen)
        except GuardrailError as error:  # a function's own way to say no
            return Block(error.reason or error.message, list(error.findings))
        except Exception as error:
            _hide(error)
            why = _failure(error)
            if rule.frame.on_failure == "allow":
                self._note("failed", why, [])
                return PASS
            self._note("blocked", why, [])
            raise GuardrailError(
                f"The guardrail {rule.name!r} ({self.mode}) could not judge the {self.side}, which is therefore "
                f"blocked: {why}. on_failure: allow lets such calls pass.",
                guardrail=rule.name, mode=self.mode, reason="could not judge",
            ) from error  # fmt: skip

    def allow(self, verdict: Pass | Mask, seen: Seen) -> None:
        """Note a verdict with which the call goes on."""
        if isinstance(verdict, Mask):
            self._note("masked", verdict.reason, findings_of(verdict, seen))
        else:
            self._note("passed", None, verdict.findings)

    def refuse(self, verdict: Block) -> GuardrailError:
        """Note a verdict that blocks, and return the error for it."""
        name, side = self.rule.name, "request" if self.side == "request" else "answer"
        self._note("blocked", verdict.reason, verdict.findings)
        return GuardrailError(
            f"The guardrail {name!r} ({self.mode}) blocked the {side}: {verdict.reason}",
            guardrail=name, mode=self.mode, reason=verdict.reason, findings=verdict.findings,
        )  # fmt: skip

    def _note(self, outcome: Outcome, reason: str | None, findings: list[Finding]) -> None:
        """Write into `meta` what the guardrail said; of several checks in one mode, the worst counts."""
        told, name = self.call.meta.guardrails, self.rule.name
        for said in told:
            if said.guardrail == name and said.mode == self.mode:
                break
        else:
            said = Guarded(guardrail=name, mode=self.mode)
            told.append(said)
        said.add(outcome, reason or None, findings)


def to_verdict(found: Any, seen: Seen) -> Verdict:
    """Return what a guardrail said as a verdict. Raises PluginError for what is none."""
    if found is None or found is True:
        return PASS
    if found is False:
        return Block("refused")
    if isinstance(found, Mask):
        if wrong := next((edit for edit in found.edits if not _fits(edit, seen)), None):
            raise PluginError(f"an edit of characters {wrong.start} to {wrong.end} of text {wrong.text} fits no text")
        return found if found.edits else PASS
    if isinstance(found, Pass | Block):
        return found
    raise PluginError(f"a verdict is Pass, Block, Mask, a bool or None, not a {type(found).__name__}")


def findings_of(mask: Mask, seen: Seen) -> list[Finding]:
    """Return where edits are made, without the texts."""
    return [Finding(e.entity or "masked", seen.texts[e.text].where, e.start, e.end) for e in mask.edits]


def _fits(edit: Edit, seen: Seen) -> bool:
    return 0 <= edit.text < len(seen.texts) and 0 <= edit.start < edit.end <= len(seen.texts[edit.text].text)


def _failure(error: Exception) -> str:
    """Say what went wrong, without anything that may quote the text."""
    kind = type(error).__name__
    if isinstance(error, APIError):
        return f"{kind} (HTTP {error.status_code})" if error.status_code else kind
    return f"{kind}: {error}" if isinstance(error, PluginError | TimeoutError) else kind


def _hide(error: Exception) -> None:
    """Take out of an error what a service answered, which may quote the texts: it goes into tracebacks."""
    if isinstance(error, APIError) and error.body is not None:
        error.body = None
        error.message = "what was answered is withheld, as it may quote what was judged"
        error.args = (error.message,)


# --- running it ---


def _own_call(rule: Rule, call: Call) -> Call:
    """Return the call that a guardrail's own requests are part of: its key, its address, and nothing of the user's."""
    frame = rule.frame
    options = Options(api_key=frame.api_key, api_base=frame.api_base, timeout=frame.timeout)
    return Call(
        operation=call.operation,
        request=Request(extra=rule.settings, options=options),
        provider=rule.plugin,
        options=options,
        meta=Meta(provider=rule.name),
        api_key=frame.api_key,
        headers=frame.headers or {},
        secrets=call.secrets,
        random=call.random,
    )


def _awaited(waiting: Any) -> Flow[Any]:
    def blocking() -> Any:
        async def run() -> Any:
            return await waiting

        return asyncio.run(run())

    try:
        return (yield Blocking(blocking, lambda: waiting))
    finally:
        if inspect.iscoroutine(waiting):
            waiting.close()  # one that was never begun would warn; for one that is over this does nothing


class Begun(Generator[Any, Any, Any]):
    """A flow whose first effect is known already."""

    __slots__ = ("_effect", "_flow")

    def __init__(self, flow: Flow[Any], effect: Any) -> None:
        self._flow, self._effect = flow, effect

    def send(self, value: Any) -> Any:
        """Give the first effect once more, then go on with the flow."""
        if self._effect is None:
            return self._flow.send(value)
        effect, self._effect = self._effect, None
        return effect

    def throw(self, *error: Any) -> Any:
        """Raise in the flow."""
        self._effect = None
        return self._flow.throw(*error)


class _Bounded(Generator[Any, Any, Any]):
    """A guardrail's flow, in which nothing takes longer than it may: what it waits for races a clock.

    A request has a time limit of its own. A pause is cut short: a race would need threads under the blocking driver.
    """

    __slots__ = ("_flow", "_late", "_left", "_raced", "_seconds")

    def __init__(self, flow: Flow[Any], seconds: float) -> None:
        self._flow = flow
        self._seconds = self._left = seconds
        self._late = self._raced = False

    def send(self, value: Any) -> Any:
        """Go on with the flow; raise TimeoutError in it where what it waited for did not come."""
        raced, self._raced = self._raced, False
        if self._late or (raced and value is None):
            return self.throw(TimeoutError(f"no verdict within {self._seconds:g} s"))
        if not raced:
            return self._limited(self._flow.send(value))
        given, error = value
        return self._limited(self._flow.send(given)) if error is None else self.throw(error)

    def throw(self, *error: Any) -> Any:
        """Raise in the flow."""
        self._raced = False
        return self._limited(self._flow.throw(*error))

    def _limited(self, effect: Any) -> Any:
        if type(effect) is Sleep:
            self._left, self._late = self._left - effect.seconds, effect.seconds > self._left
            return Sleep(max(0.0, self._left + effect.seconds)) if self._late else effect
        if type(effect) in RACED:
            self._raced = True
            return First([_outcome(effect), _clock(self._left)])
        return effect


def _outcome(effect: Any) -> Flow[tuple[Any, Exception | None]]:
    """Return an effect's result, or its error: in a race, an error is an end like any other."""
    try:
        return (yield effect), None
    except Exception as error:  # noqa: BLE001  raised in the flow that asked
        return None, error


def _clock(seconds: float) -> Flow[None]:
    yield Sleep(max(0.0, seconds))
