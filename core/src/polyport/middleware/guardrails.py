"""The guardrails' layer: what is asked is judged before or beside the call, what is answered before it is handed out.

    pre_call      before anything is sent; masked texts are sent masked
    during_call   beside the call, which it cancels where it blocks; nothing of the answer comes before its verdict
    post_call     the answer, of a stream window by window before it is let out
    logging_only  both, when they are known: noted in `meta`, and masked for logs only

It stands outside the cache: what is kept was asked masked, and what is kept is judged again. What each guardrail said
is in `meta.guardrails`. A call chooses with `guardrails=["name"]` or `{"name": False}`; see `Guardrails`.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from msgspec.structs import replace

from polyport import plugins
from polyport.border import Call, Next
from polyport.errors import BadRequestError, GuardrailError
from polyport.flow import All, Flow, Streaming
from polyport.guarding import border, texts
from polyport.guarding.border import Begun, Judge
from polyport.guarding.rules import Rule, rule
from polyport.guarding.shapes import GUARDED, REQUESTS, RESULTS
from polyport.guarding.verdicts import Block, Mask, Mode, Path, Seen
from polyport.guarding.windows import guard, listen
from polyport.types.guard import Logged, for_logs

TOO_LATE = "what it would mask is on its way already; mode: pre_call masks before"


class Flows(Protocol):
    """Makes flows of calls: a client, or a router."""

    def flow(self, function: str, **fields: Any) -> Flow[Any]:
        """Return the flow of a call."""


class Guardrails:
    """The middleware `(call, proceed) -> Flow` of some guardrails, asked in this order.

    `given` are entries of a configuration, Guardrails, functions, or names of installed ones. A call adds those that
    are not on by default with `guardrails=["name"]` or `{"name": True}`, and turns those off that are optional with
    `{"name": False}`. `client` is whom guardrails ask that judge by a model.
    """

    def __init__(
        self,
        given: Iterable[Any],
        client: Flows | None = None,
        secret: Callable[[str], str | None] = plugins.secret,
    ) -> None:
        self.rules: dict[str, Rule] = {}
        for number, one in enumerate(given):
            made = rule(one, number, secret)
            if made.name in self.rules:
                raise BadRequestError(f"Two guardrails are called {made.name!r}, at $.guardrails[{number}]")
            self.rules[made.name] = made
        self._client = client
        #: What calls that a guardrail makes carry; nobody else can know it.
        self._pass = secrets.token_hex()
        self._standing = self._by_mode([one for one in self.rules.values() if one.frame.default_on])

    def layer_for(self, client: Flows | None) -> Guardrails:
        """Return the same guardrails for a client."""
        return self if client is None or client is self._client else Guardrails(self.rules.values(), client)

    def __call__(self, call: Call, proceed: Next) -> Flow[Any]:
        """Wrap a call. One without any text is handed on as it is."""
        asked = call.options.guardrails
        chosen = self._standing if asked is None else self._chosen(asked)
        if not chosen or call.operation.hook not in GUARDED:
            return proceed(call)
        return self._guarded(call, proceed, chosen)

    def _chosen(self, asked: list[str] | dict[str, bool]) -> dict[Mode, list[Rule]]:
        wanted = asked if isinstance(asked, Mapping) else dict.fromkeys(asked, True)
        if self._pass in wanted:
            return {}
        for name, on in wanted.items():
            one = self.rules.get(name)
            if one is None:
                there = ", ".join(self.rules) or "none"
                raise BadRequestError(f"No guardrail is called {name!r}, at $.guardrails. There are: {there}")
            if not on and one.frame.default_on and not one.frame.optional:
                raise BadRequestError(f"The guardrail {name!r} is not optional: no call can turn it off")
        return self._by_mode([one for name, one in self.rules.items() if wanted.get(name, one.frame.default_on)])

    @staticmethod
    def _by_mode(rules: list[Rule]) -> dict[Mode, list[Rule]]:
        found: dict[Mode, list[Rule]] = {}
        for one in rules:
            for mode in one.modes:
                found.setdefault(mode, []).append(one)
        return found

    # --- the way of a call ---

    def _guarded(self, call: Call, proceed: Next, chosen: Mapping[Mode, list[Rule]]) -> Flow[Any]:
        outer = call
        for one in chosen.get("pre_call", ()):
            call = yield from self._before(call, one)
        if call is not outer:
            Logged.of(outer.request).request = call.request
        during = chosen.get("during_call")
        result = yield from self._beside(call, proceed, during) if during else proceed(call)
        for one in chosen.get("post_call", ()):
            result = yield from self._after(result, call, one)
        if "logging_only" in chosen:
            logged = for_logs(outer.request) or Logged.of(outer.request)
            for one in chosen["logging_only"]:
                yield from self._request_noted(call, one, logged)
                result = yield from self._answer_noted(result, call, one, logged)
        return result

    def _before(self, call: Call, one: Rule) -> Flow[Call]:
        """Judge a request; return the call, masked where that was the verdict."""
        if call.operation.hook not in REQUESTS:
            return call
        judge = Judge(one, call, "pre_call", "request", self._ask)
        _readable(call, judge)
        seen = judge.see(texts.of_request(call))
        verdict = yield from judge.ask(seen)
        if isinstance(verdict, Block):
            raise judge.refuse(verdict)
        judge.allow(verdict, seen)
        if isinstance(verdict, Mask):
            return texts.with_request(call, texts.changes(seen.texts, verdict.edits))
        return call

    def _beside(self, call: Call, proceed: Next, rules: Iterable[Rule]) -> Flow[Any]:
        """Make the call, and judge its request meanwhile. Guardrails that need nobody else judge before it is sent."""
        waiting: list[Flow[None]] = []
        if call.operation.hook in REQUESTS:
            for one in rules:
                flow = self._during(call, one)
                try:
                    effect = flow.send(None)
                except StopIteration:
                    continue
                waiting.append(Begun(flow, effect))
        if not waiting:
            return (yield from proceed(call))
        answer: list[Any] = []

        def ask() -> Flow[None]:
            answer.append((yield from proceed(call)))

        try:
            yield All([ask(), *waiting])
        except BaseException as error:
            for result in answer:  # what a driver does not see it cannot close
                if isinstance(result, Streaming):
                    yield from result.end(error)
            raise
        return answer[0]

    def _during(self, call: Call, one: Rule) -> Flow[None]:
        """Judge a request that is on its way: it can be stopped, and not be changed any more."""
        judge = Judge(one, call, "during_call", "request", self._ask)
        _readable(call, judge)
        seen = judge.see(texts.of_request(call))
        verdict = yield from judge.ask(seen)
        if isinstance(verdict, Mask):
            verdict = Block(TOO_LATE, border.findings_of(verdict, seen))
        if isinstance(verdict, Block):
            raise judge.refuse(verdict)
        judge.allow(verdict, seen)

    def _after(self, result: Any, call: Call, one: Rule) -> Flow[Any]:
        """Judge an answer; return it, masked where that was the verdict."""
        if call.operation.hook not in RESULTS:
            return result
        judge = Judge(one, call, "post_call", "result", self._ask)
        if isinstance(result, Streaming):
            return guard(result, judge)
        seen = judge.see(texts.of_result(call.operation.hook, result), result=result)
        verdict = yield from judge.ask(seen)
        if isinstance(verdict, Block):
            raise judge.refuse(verdict)
        judge.allow(verdict, seen)
        texts.bare(result)
        if isinstance(verdict, Mask):
            return texts.with_result(result, texts.changes(seen.texts, verdict.edits))
        return result

    # --- for logs only ---

    def _request_noted(self, call: Call, one: Rule, logged: Logged) -> Flow[None]:
        """Judge a request for the logs: what is found is noted, and what is masked is masked there."""
        if call.operation.hook not in REQUESTS or logged.withheld:
            return
        if logged.request is not None:
            call = replace(call, request=logged.request)
        judge = Judge(one, call, "logging_only", "request", self._ask)
        if texts.tokens_of(call):
            logged.withheld = True
            return
        seen = judge.see(texts.of_request(call))
        changed = yield from _for_logs(judge, seen)
        logged.withheld = changed is None
        if changed:
            logged.request = texts.with_request(call, changed).request

    def _answer_noted(self, result: Any, call: Call, one: Rule, logged: Logged) -> Flow[Any]:
        if call.operation.hook not in RESULTS or (logged.silent and not isinstance(result, Streaming)):
            return result
        judge = Judge(one, call, "logging_only", "result", self._ask)
        if isinstance(result, Streaming):
            logged.silent = True  # until it has been heard to its end
            return listen(result, judge, logged.hear)
        answer = logged.result if logged.heard else result
        seen = judge.see(texts.of_result(call.operation.hook, answer), result=answer)
        changed = yield from _for_logs(judge, seen)
        logged.heard, logged.silent = True, changed is None
        logged.result = texts.with_result(answer, changed) if changed else answer
        return result

    def _ask(self, function: str, **fields: Any) -> Flow[Any]:
        if self._client is None:
            raise BadRequestError("A guardrail that asks a model needs a client: Client(guardrails=[...])")
        return self._client.flow(function, **fields, guardrails={self._pass: False})


def _readable(call: Call, judge: Judge) -> None:
    """Raise GuardrailError for a request in tokens: what cannot be judged is not sent, unless such calls may pass."""
    name = texts.tokens_of(call)
    if name and judge.rule.frame.on_failure != "allow":
        raise judge.refuse(Block(f"tokens cannot be judged; give $.{name} as text"))


def _for_logs(judge: Judge, seen: Seen) -> Flow[Mapping[Path, str] | None]:
    """Return the texts that are to be others in logs; None where nothing may be in them. The call goes on anyway."""
    try:
        verdict = yield from judge.ask(seen)
    except GuardrailError:
        return None
    if isinstance(verdict, Block):
        judge.refuse(verdict)
        return None
    judge.allow(verdict, seen)
    return texts.changes(seen.texts, verdict.edits) if isinstance(verdict, Mask) else {}
