"""Beside the call, for logs only, chosen by a call; and what fails."""

from __future__ import annotations

import asyncio
import threading

import pytest
from core.tests.conftest import completion
from core.tests.guarding.conftest import ASK, blocks, entry, masks, passes, stream
from hypothesis import HealthCheck, given, settings, strategies as st

from polyport import BadRequestError, GuardrailError, InternalServerError, PluginError, RateLimitError
from polyport.drivers.simulation import Simulation
from polyport.flow import NOW, Call, HttpRequest, Sleep
from polyport.guarding.verdicts import PASS, Block, Mask
from polyport.middleware.guardrails import Guardrails
from polyport.testing import Reply, Wire
from polyport.types.guard import for_logs


def slow(verdict, seconds=1.0):
    """A guardrail that takes its time."""

    def check(seen):
        yield Sleep(seconds)
        return verdict

    return check


# --- during_call ---


def test_the_verdict_comes_beside_the_call_and_before_the_answer(guarded):
    """A call of 2 s with a guardrail of 1 s takes 2 s; with one of 3 s it takes 3 s."""
    for seconds, total in ((1.0, 2.0), (3.0, 3.0)):
        client = guarded(Wire(Reply.of(completion(), delay=2.0)), entry(slow(PASS, seconds), "during_call"))
        simulation = Simulation(client._drivers._http.simulated)
        result = simulation.run_flow(client.flow("completion", model="fake/m", messages=ASK))
        assert (result.meta.latency, result.meta.guardrails[0].outcome) == (total, "passed")


@pytest.mark.parametrize("streamed", [False, True])
def test_a_verdict_that_blocks_cancels_the_call(guarded, streamed):
    """At once under a clock; nothing of the answer is seen, and nothing stays open."""
    body = stream("never", "seen") if streamed else completion("never seen")
    wire = Wire(Reply.of(body, delay=5.0))
    client = guarded(wire, entry(slow(Block("no")), "during_call"))
    simulation = Simulation(wire.simulated)
    task = simulation.start(client.flow("completion", model="fake/m", messages=ASK, stream=streamed))
    simulation.run(until=1.5)
    assert task.done
    assert isinstance(task.error, GuardrailError)
    assert task.error.mode == "during_call"


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_blocked_call_opened_is_closed_again(guarded, streamed):
    """With both drivers, when the answer comes before the verdict."""
    release = threading.Event()

    def late(seen):
        yield Call(lambda: release.wait(60) and None, lambda: asyncio.sleep(0.05))
        return Block("no")

    def answer(sent):
        threading.Timer(0.05, release.set).start()
        return stream("a", "b") if streamed else completion()

    wire = Wire(answer)
    client = guarded(wire, entry(late, "during_call"))
    with pytest.raises(GuardrailError, match="during_call"):
        client.completion("fake/m", ASK, stream=streamed)
    assert wire.open == 0

    async def main():
        with pytest.raises(GuardrailError, match="during_call"):
            await client.acompletion("fake/m", ASK, stream=streamed)
        await client.aclose()

    asyncio.run(main())
    assert wire.open == 0


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    answer=st.floats(0, 5),
    pause=st.floats(0, 2),
    delays=st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=3),
    streamed=st.booleans(),
    fails=st.booleans(),
)
def test_whatever_comes_first_nothing_is_seen_before_every_verdict(guarded, answer, pause, delays, streamed, fails):
    """The call ends as its verdicts say, when the last of them or the answer is there; every flow is over then."""
    running = []

    def judge(seconds, blocks):
        def check(seen):
            running.append(seconds)
            try:
                yield Sleep(seconds)
            finally:
                running.remove(seconds)
            return Block("no") if blocks else PASS

        return check

    body = stream("a", "b") if streamed else completion()
    reply = Reply.of(b"{}", status=500, delay=answer) if fails else Reply.of(body, delay=answer, pause=pause)
    entries = [entry(judge(seconds, blocks), "during_call", f"g{n}") for n, (seconds, blocks) in enumerate(delays)]
    client = guarded(Wire(lambda sent: reply), *entries)
    simulation = Simulation(client._drivers._http.simulated)
    task = simulation.start(client.flow("completion", model="fake/m", messages=ASK, stream=streamed))
    simulation.run()
    refusals = [seconds for seconds, blocks in delays if blocks]
    assert task.done
    assert not running
    if isinstance(task.error, GuardrailError):
        assert task.ended >= min(refusals)
        assert not task.chunks
    elif fails:
        assert isinstance(task.error, InternalServerError)
    else:
        assert not refusals
        assert task.error is None
        assert task.ended >= max([answer, *(seconds for seconds, _ in delays)])


def test_a_call_that_fails_first_ends_its_guardrail(guarded):
    """At once: a pause is cut short. The error is the provider's."""
    ended = []

    def check(seen):
        try:
            yield Sleep(60)
        finally:
            ended.append(seen.mode)

    wire = Wire(Reply.of({"error": {"message": "slow down"}}, status=429))
    client = guarded(wire, entry(check, "during_call", timeout=90.0))
    with pytest.raises(RateLimitError):
        client.completion("fake/m", ASK)
    assert ended == ["during_call"]


def test_a_guardrail_that_knows_at_once_blocks_before_anything_is_sent(guarded):
    """Nobody need be cancelled then."""
    wire = Wire([])
    with pytest.raises(GuardrailError, match="an address"):
        guarded(wire, entry(blocks, "during_call")).completion("fake/m", ASK)
    assert not wire.requests


def test_what_would_be_masked_beside_the_call_is_blocked(guarded):
    """It is on its way already."""
    with pytest.raises(GuardrailError, match="pre_call masks before"):
        guarded(completion(), entry(masks, "during_call")).completion("fake/m", ASK)


# --- failing closed ---


def broken(seen):
    """Fails, and says of what."""
    raise ValueError(seen.text)


async def later(seen):
    """A coroutine function."""
    await asyncio.sleep(0)
    return Block("later")


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (broken, "ValueError"),
        (lambda seen: "yes", "a verdict is Pass, Block, Mask, a bool or None, not a str"),
        (lambda seen: Mask([masks(seen).edits[0].__class__(7, 0, 1, "x")]), "fits no text"),
    ],
)
@pytest.mark.parametrize("mode", ["pre_call", "during_call", "post_call"])
def test_a_guardrail_that_fails_blocks(guarded, function, why, mode):
    """The error says which and how, and nothing of the text."""
    client = guarded(completion("bob@example.com"), entry(function, mode, "mine"))
    with pytest.raises(GuardrailError, match=r"'mine'.*could not judge") as caught:
        client.completion("fake/m", ASK)
    assert why in caught.value.message
    assert "bob" not in caught.value.message
    assert caught.value.status_code == 400


def test_a_guardrail_that_takes_too_long_blocks(guarded):
    """After its `timeout`, in seconds."""
    client = guarded(completion(), entry(slow(PASS, 60.0), name="slow", timeout=2.0))
    simulation = Simulation(client._drivers._http.simulated)
    with pytest.raises(GuardrailError, match="TimeoutError: no verdict within 2 s"):
        simulation.run_flow(client.flow("completion", model="fake/m", messages=ASK))
    assert simulation.now < 60


def test_one_that_may_fail_lets_calls_pass(guarded):
    """And that is told."""
    result = guarded(completion(), entry(broken, on_failure="allow")).completion("fake/m", ASK)
    assert [(one.outcome, one.reason) for one in result.meta.guardrails] == [("failed", "ValueError")]


def test_coroutine_functions_are_guardrails_too(guarded):
    """Awaited by the asynchronous driver, run by the other."""
    client = guarded(completion(), entry(later))
    with pytest.raises(GuardrailError, match="later"):
        client.completion("fake/m", ASK)
    with pytest.raises(GuardrailError, match="later"):
        asyncio.run(client.acompletion("fake/m", ASK))


def test_false_blocks_and_a_guardrail_error_does(guarded):
    """So that a function can be as short as it likes."""

    def raises(seen):
        raise GuardrailError("not here", reason="not here")

    with pytest.raises(GuardrailError, match="refused"):
        guarded(completion(), entry(lambda seen: False, name="x")).completion("fake/m", ASK)
    with pytest.raises(GuardrailError, match=r"'raises' \(pre_call\) blocked the request: not here"):
        guarded(completion(), entry(raises)).completion("fake/m", ASK)


# --- logs ---


@pytest.mark.parametrize("streamed", [False, True])
def test_logs_get_masked_texts_and_nobody_else_does(guarded, streamed):
    """The provider and the caller see what there is; what is found is told."""
    seen = []

    def watch(call, proceed):
        seen.append(call)
        return proceed(call)

    wire = Wire(stream("from amy@ex", "ample.com.") if streamed else completion("from amy@example.com."))
    client = guarded(wire, entry(masks, "logging_only"))
    client.middleware.insert(0, watch)
    result = client.completion("fake/m", ASK, stream=streamed)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in result) if streamed else result.text
    assert text == "from amy@example.com."
    assert b"bob@example.com" in wire.requests[0].content
    logged = for_logs(seen[0].request)
    assert logged.request.messages[0]["content"] == "write to [EMAIL] please"
    if streamed:
        assert "".join(chunk.choices[0].delta.content or "" for chunk in logged.chunks) == "from [EMAIL]."
    else:
        assert logged.result.text == "from [EMAIL]."
    assert {(one.mode, one.outcome) for one in result.meta.guardrails} == {("logging_only", "masked")}


def test_what_is_blocked_for_logs_is_withheld_from_them(guarded):
    """The call itself goes on, also where the guardrail fails."""
    for function in (blocks, broken):
        kept = []

        def watch(call, proceed, kept=kept):
            kept.append(call)
            return proceed(call)

        client = guarded(completion("amy@example.com"), entry(function, "logging_only"))
        client.middleware.insert(0, watch)
        assert client.completion("fake/m", ASK).text == "amy@example.com"
        logged = for_logs(kept[0].request)
        assert (logged.withheld, logged.silent) == (True, True)


@pytest.mark.parametrize("streamed", [False, True])
def test_observers_are_told_what_logs_may_hold(guarded, streamed):
    """The masked texts of both sides; of what is masked before the call, that it was."""
    told = []
    wire = Wire(stream("from amy@ex", "ample.com.") if streamed else completion("from amy@example.com."))
    client = guarded(wire, entry(masks, ["pre_call", "logging_only"]), success_callback=[told.append])
    result = client.completion("fake/m", ASK, stream=streamed)
    _ = list(result) if streamed else result
    client.close()
    observed = until(told)
    assert observed.request["messages"][0]["content"] == "write to [EMAIL] please"
    assert observed.response["choices"][0]["message"]["content"] == "from [EMAIL]."


def test_observers_are_told_nothing_of_a_stream_that_was_left(guarded):
    """It was not judged to its end."""
    told = []
    client = guarded(
        Wire(stream("from amy@example.com ", "bye")), entry(masks, "logging_only"), success_callback=[told.append]
    )
    with client.completion("fake/m", ASK, stream=True) as chunks:
        next(chunks)
        next(chunks)
    assert "amy" not in str(until(told).to_dict())


def until(told):
    """What an observer was told, once it was."""
    from polyport.observing.dispatcher import shared

    assert shared().flush(5.0)
    return told[0]


# --- chosen by a call ---


def test_a_call_names_those_that_are_not_on_by_default(guarded):
    """A list or a mapping; unknown names are an error that lists them."""
    wire = Wire(lambda sent: completion())
    client = guarded(wire, entry(blocks, default_on=False), entry(passes, optional=True))
    assert [one.guardrail for one in client.completion("fake/m", ASK).meta.guardrails] == ["passes"]
    assert client.completion("fake/m", ASK, guardrails={"passes": False}).meta.guardrails == []
    for chosen in (["blocks"], {"blocks": True}):
        with pytest.raises(GuardrailError):
            client.completion("fake/m", ASK, guardrails=chosen)
    with pytest.raises(BadRequestError, match=r"No guardrail is called 'bloks'.*There are: blocks, passes"):
        client.completion("fake/m", ASK, guardrails=["bloks"])
    assert all("guardrails" not in sent.json for sent in wire.requests)


def test_one_that_is_not_optional_stays_on(guarded):
    """No call turns it off, nor guesses the way that guardrails themselves have."""
    client = guarded(completion(), entry(blocks))
    with pytest.raises(BadRequestError, match="'blocks' is not optional"):
        client.completion("fake/m", ASK, guardrails={"blocks": False})


def test_a_guardrail_asks_a_model_without_being_asked_about_that(guarded):
    """By a call of the same client."""

    def judge(seen):
        answer = yield from seen.ask(
            "completion", model="fake/judge", messages=[{"role": "user", "content": seen.text}]
        )
        return Block("the judge said no") if answer.text == "no" else PASS

    wire = Wire(lambda sent: completion("no" if sent.json["model"] == "judge" else "hi"))
    client = guarded(wire, entry(judge))
    with pytest.raises(GuardrailError, match="the judge said no"):
        client.completion("fake/m", ASK)
    assert [sent.json["model"] for sent in wire.requests] == ["judge"]
    assert "guardrails" not in wire.requests[0].json


# --- configurations ---


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        ({"guardrail_name": "x", "params": {"guardrail": "nowhere"}}, PluginError, "No guardrail 'nowhere'.*custom"),
        ({"guardrail_name": "x"}, BadRequestError, r"\$.guardrails\[0\].litellm_params"),
        ({"params": {"guardrail": "custom"}}, BadRequestError, "needs a name"),
        ({"guardrail_name": "x", "parms": {}}, BadRequestError, "Unknown parms"),
        (entry(passes, "before"), BadRequestError, "mode must be of pre_call, during_call, post_call, logging_only"),
        (entry(passes, timeout="soon"), BadRequestError, r"\$.guardrails\[0\].litellm_params.timeout"),
        ({"guardrail_name": "x", "params": {"guardrail": "custom"}}, BadRequestError, "needs path="),
        ({"guardrail_name": "x", "params": {"guardrail": "no.such.module:f"}}, PluginError, "cannot be loaded"),
        ({"guardrail_name": "x", "params": {"guardrail": passes, "api_key": "os.environ/NOT_SET_AT_ALL"}},
         BadRequestError, "NOT_SET_AT_ALL is not set"),
        (7, PluginError, "A guardrail is a Guardrail, a function, a name or an entry"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_an_entry_is_said(wrong, error, says):
    """Before the first call."""
    with pytest.raises(error, match=says):
        Guardrails([wrong])
    with pytest.raises(BadRequestError, match="Two guardrails are called 'passes'"):
        Guardrails([passes, passes])


def test_a_file_of_ones_own_is_a_guardrail(guarded, tmp_path):
    """With settings for a function; a class is made of them."""
    (tmp_path / "mine.py").write_text(
        "from polyport.guarding.guardrail import Guardrail\n"
        "from polyport.guarding.verdicts import Block\n"
        "def no(seen, word='x'):\n    return Block('said it') if word in seen.text else None\n"
        "class No(Guardrail):\n"
        "    def __init__(self, word):\n        super().__init__('no')\n        self.word = word\n"
        "    def check(self, seen):\n        return no(seen, self.word)\n"
    )
    for name in ("no", "No"):
        for params in ({"guardrail": f"{tmp_path}/mine.py:{name}"},
                       {"guardrail": "custom", "path": f"{tmp_path}/mine.py:{name}"}):  # fmt: skip
            one = {"guardrail_name": "mine", "litellm_params": {**params, "word": "please"}}
            with pytest.raises(GuardrailError, match="said it"):
                guarded(completion(), one).completion("fake/m", ASK)


# --- services ---


def test_a_guardrails_own_request_is_signed_with_its_own_key(guarded):
    """Not with the call's, whose headers it does not carry either; an error hides the key and the text."""
    from polyport.auth import ApiKey
    from polyport.guarding.guardrail import Service

    class Asks(Service):
        auth = ApiKey("x-guard-key", env="GUARD_KEY")
        base_url = "http://guard.invalid/v1"

        def check(self, seen):
            reply = yield self.post("/judge", json={"text": seen.text})
            return Block("the service said no") if reply.content == b"no" else PASS

    wire = Wire([b"yes", completion()])
    one = {"guardrail_name": "asks", "params": {"guardrail": Asks(), "api_key": "guard-secret"}}
    client = guarded(wire, one, headers={"x-user": "amy"})
    client.completion("fake/m", ASK, extra_headers={"x-more": "1"})
    asked = wire.requests[0]
    assert (asked.url, asked.json) == ("http://guard.invalid/v1/judge", {"text": ASK[0]["content"]})
    assert asked.headers["x-guard-key"] == "guard-secret"
    assert not {"authorization", "x-user", "x-more"} & set(asked.headers)
    assert wire.requests[1].headers["authorization"] == "Bearer k"

    echo = Wire(lambda sent: Reply.of({"error": f"bad key guard-secret for {sent.json['text']}"}, status=401))
    with pytest.raises(GuardrailError, match=r"AuthenticationError \(HTTP 401\)") as caught:
        guarded(echo, one).completion("fake/m", ASK)
    told = f"{caught.value} {caught.value.__cause__} {vars(caught.value.__cause__)}"
    assert "guard-secret" not in told
    assert "bob" not in told


def test_the_clock_is_there_for_guardrails(guarded):
    """Any effect is."""

    def clocked(seen):
        now = yield NOW
        assert now >= 0
        reply = yield HttpRequest(method="POST", url="http://other.invalid/", json={"a": 1})
        return reply.content == b"fine"

    wire = Wire([b"fine", completion()])
    guarded(wire, entry(clocked)).completion("fake/m", ASK)
    assert wire.requests[0].json == {"a": 1}
