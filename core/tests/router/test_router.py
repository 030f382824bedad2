"""The router: which deployment a call goes to, what happens when one fails, and what callers are told."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from core.tests.conftest import ASK, Fake, completion
from core.tests.router.conftest import Field, fails, ok
from msgspec.structs import replace

from polyport import Router
from polyport.drivers.simulation import Answer
from polyport.errors import (
    APIConnectionError,
    AuthenticationError,
    BadRequestError,
    ContextWindowExceededError,
    InternalServerError,
    NotFoundError,
    RateLimitError,
    ServiceUnavailableError,
)
from polyport.flow import Flow, HttpReply, Sleep
from polyport.router import RetryPolicy
from polyport.states import Limits, MemoryState, Refusal, Ticket

BOTH = [False, True]


def said(status, **error):
    """Refuse with a body as OpenAI's."""
    return lambda request, now: Answer(0.1, HttpReply(status=status, content=json.dumps({"error": error}).encode()))


TOO_LONG = said(400, message="too long", code="context_length_exceeded")
REFUSED = said(400, message="no", code="content_policy_violation")


# --- from deployment to deployment ---


@pytest.mark.parametrize("stream", BOTH, ids=["whole", "stream"])
@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 503])
def test_a_failed_deployment_is_followed_by_another_at_once(status, stream):
    """Without a wait, also for a wrong key or a missing model: the other deployment has its own."""
    field = Field(a=fails(status), b=ok())
    router = field.router(field.entry("a", order=0), field.entry("b", order=1))
    field.ask(router, stream=stream)
    assert field.seen == {"a": 1, "b": 1}
    assert field.times["b"] == [0.1]


def test_meta_tells_who_answered():
    """The deployment's id, its provider and model, and the attempts made."""
    field = Field(a=fails(), b=ok())
    got = field.ask(field.router(field.entry("a"), field.entry("b", order=1, model="fake/other")))
    assert (got.meta.deployment, got.meta.provider, got.meta.model, got.meta.attempts) == ("b", "fake", "other", 2)


@pytest.mark.parametrize("status", [400, 422])
def test_what_is_wrong_everywhere_is_tried_once(status):
    """A bad request does not become better elsewhere, and nobody rests for it."""
    field = Field(a=fails(status), b=fails(status))
    router = field.router()
    with pytest.raises((BadRequestError, Exception), match=f"status {status}"):
        field.ask(router)
    assert field.seen.total() == 1
    assert not any(one.standing.cooling or one.standing.failures for one in explain(field, router).considered)


def test_retries_are_counted_over_all_deployments():
    """`num_retries` attempts follow the first, of the call, of the deployment or of the router, in this order."""
    for settings, params, entry, wanted in (
        ({"num_retries": 1}, {}, {}, 2),
        ({"num_retries": 1}, {"num_retries": 3}, {}, 4),
        ({"num_retries": 1}, {}, {"num_retries": 2}, 3),
        ({}, {}, {}, 3),
        ({"num_retries": 0}, {}, {}, 1),
    ):
        field = Field(a=fails(), b=fails(), c=fails(), d=fails(), e=fails())
        router = field.router(*(field.entry(host, **entry) for host in field.hosts), **settings)
        with pytest.raises(InternalServerError):
            field.ask(router, **params)
        assert field.seen.total() == wanted
        assert max(field.seen.values()) == 1


def test_a_retry_policy_goes_by_the_class_of_error():
    """What it does not name is left to `num_retries`; a group may have one of its own."""
    policy = {"InternalServerErrorRetries": 0}
    field = Field(a=fails(500), b=fails(500))
    with pytest.raises(InternalServerError):
        field.ask(field.router(retry_policy=policy))
    assert field.seen.total() == 1
    field = Field(a=fails(500), b=fails(500))
    with pytest.raises(InternalServerError):
        field.ask(field.router(retry_policy=policy, model_group_retry_policy={"g": RetryPolicy()}))
    assert field.seen.total() == 3
    field = Field(a=fails(401))
    with pytest.raises(AuthenticationError):
        field.ask(field.router(retry_policy={"AuthenticationErrorRetries": 1}))
    assert field.seen.total() == 2
    with pytest.raises(BadRequestError, match=r"unknown field `ServerErrorRetries`.*retry_policy"):
        field.router(retry_policy={"ServerErrorRetries": 1})


def test_with_one_deployment_the_waits_are_those_of_any_call():
    """Retry-After is obeyed, and the router's `retry_after` is the least."""
    field = Field(a=fails(503, retry_after="7"))
    with pytest.raises(ServiceUnavailableError):
        field.ask(field.router(num_retries=1))
    assert field.times["a"] == [0, 7.1]
    field = Field(a=fails(503, retry_after="0"))
    with pytest.raises(ServiceUnavailableError):
        field.ask(field.router(num_retries=1, retry_after=3))
    assert field.times["a"] == [0, 3.1]


def test_a_stream_that_breaks_before_its_first_content_goes_elsewhere_and_after_it_does_not():
    """The commit point is the first chunk with content."""
    pieces = list(ok()(type("R", (), {"stream": True})(), 0.0).pieces)
    broken = (0.1, APIConnectionError("broke"))
    early = Field(a=lambda r, t: Answer(0.1, HttpReply(status=200), pieces=[pieces[0], broken]), b=ok())
    chunks = early.ask(early.router(early.entry("a"), early.entry("b", order=1)), stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == "Hello"
    late = Field(a=lambda r, t: Answer(0.1, HttpReply(status=200), pieces=[*pieces[:2], broken]), b=ok())
    router = late.router(late.entry("a"), late.entry("b", order=1))
    with pytest.raises(APIConnectionError, match="broke"):
        late.ask(router, stream=True)
    assert late.seen == {"a": 1}
    assert [one.standing.busy for one in explain(late, router).considered] == [0, 0]


# --- from group to group ---


def groups(**hosts):
    """A field with one deployment a host, each a group of its host's name."""
    field = Field(**hosts)
    return field, [field.entry(host, group=host) for host in hosts]


@pytest.mark.parametrize("stream", BOTH, ids=["whole", "stream"])
def test_fallbacks_go_on_to_other_groups(stream):
    """In the order given, and an error that remains has the others for its cause."""
    field, entries = groups(a=fails(), b=fails(503), c=ok())
    router = field.router(*entries, fallbacks=[{"a": ["b", "c"]}], num_retries=0)
    field.ask(router, "a", stream=stream)
    assert list(field.seen) == ["a", "b", "c"]
    field, entries = groups(a=fails(), b=fails(503))
    with pytest.raises(ServiceUnavailableError) as caught:
        field.ask(field.router(*entries, fallbacks=[{"a": ["b"]}], num_retries=0), "a", stream=stream)
    assert isinstance(caught.value.__cause__, InternalServerError)


def test_errors_of_two_kinds_have_fallbacks_of_their_own():
    """Where the group has none of the kind, the general ones are gone to."""
    for answer, wanted in ((TOO_LONG, "long"), (REFUSED, "free"), (fails(), "general")):
        field, entries = groups(a=answer, long=ok(), free=ok(), general=ok())
        router = field.router(
            *entries,
            num_retries=0,
            fallbacks=[{"a": ["general"]}],
            context_window_fallbacks=[{"a": ["long"]}],
            content_policy_fallbacks=[{"a": ["free"]}],
        )
        field.ask(router, "a")
        assert list(field.seen) == ["a", wanted]
    field, entries = groups(a=TOO_LONG, general=ok())
    field.ask(field.router(*entries, fallbacks={"a": ["general"]}), "a")
    assert list(field.seen) == ["a", "general"]


def test_default_fallbacks_are_for_groups_without_any():
    """And `*` is a group's name for all."""
    field, entries = groups(a=fails(), b=ok(), c=ok())
    field.ask(field.router(*entries, default_fallbacks=["c"], num_retries=0), "a")
    assert list(field.seen) == ["a", "c"]
    field, entries = groups(a=fails(), b=ok(), c=ok())
    field.ask(field.router(*entries, fallbacks=[{"*": ["b"]}], default_fallbacks=["c"], num_retries=0), "a")
    assert list(field.seen) == ["a", "b"]


def test_fallbacks_never_go_in_circles():
    """Fallbacks of fallbacks are gone to, each group once, and no more than `max_fallbacks`."""
    circle = [{"a": ["b"]}, {"b": ["c"]}, {"c": ["a"]}]
    field, entries = groups(a=fails(), b=fails(), c=fails())
    with pytest.raises(InternalServerError):
        field.ask(field.router(*entries, fallbacks=circle, num_retries=0), "a")
    assert field.seen == {"a": 1, "b": 1, "c": 1}
    field, entries = groups(a=fails(), b=fails(), c=fails())
    with pytest.raises(InternalServerError):
        field.ask(field.router(*entries, fallbacks=circle, num_retries=0, max_fallbacks=1), "a")
    assert field.seen == {"a": 1, "b": 1}


def test_fallbacks_of_a_call_replace_the_routers():
    """They may name models that are no groups."""
    field, entries = groups(a=fails(), b=ok(), c=ok())
    router = field.router(*entries, fallbacks=[{"a": ["b"]}], num_retries=0)
    field.ask(router, "a", fallbacks=["c"])
    assert list(field.seen) == ["a", "c"]
    with pytest.raises(InternalServerError):
        field.ask(router, "a", fallbacks=[])
    with pytest.raises(NotFoundError, match="No model group 'nobody'"):
        field.ask(router, "a", fallbacks=["nobody"])


def test_a_bad_request_does_not_fall_back():
    """What is wrong as it stands is wrong everywhere."""
    field, entries = groups(a=fails(400), b=ok())
    with pytest.raises(BadRequestError):
        field.ask(field.router(*entries, fallbacks=[{"a": ["b"]}]), "a")


def test_a_call_that_cannot_fit_is_not_sent():
    """With `context_window_fallbacks` the token count is looked at before the call."""
    field = Field(small=ok(), large=ok())
    entries = [
        field.entry("small", group="small", info={"context_window": 100}),
        field.entry("large", group="large", info={"context_window": 100_000}),
    ]
    long = [{"role": "user", "content": "word " * 1000}]
    field.ask(field.router(*entries, context_window_fallbacks=[{"small": ["large"]}]), "small", messages=long)
    assert list(field.seen) == ["large"]
    with pytest.raises(ContextWindowExceededError, match="window of 100 tokens, and the call has about 1"):
        field.ask(field.router(*entries, enable_pre_call_checks=True), "small", messages=long)
    field.ask(field.router(*entries), "small", messages=long)
    assert field.seen["small"] == 1


# --- rests ---


def explain(field, router, model="g", **params):
    """Ask the router, at the field's virtual time."""
    return field.simulation.run_flow(router._explain(model, ASK, params))


def test_a_deployment_rests_after_more_failures_than_allowed_and_comes_back():
    """`allowed_fails` a minute; then `cooldown_time` without a call."""
    field = Field(a=fails(), b=ok(0.1))
    router = field.router(allowed_fails=2, cooldown_time=30, routing_strategy="least-busy")
    while field.seen["a"] < 3:
        field.ask(router)
    resting = next(one for one in explain(field, router).considered if one.id == "a")
    assert 29 < resting.standing.cooling <= 30
    assert "rests for" in resting.why
    before, until = field.simulation.now, field.simulation.now + 29
    while field.simulation.now < until:
        field.ask(router)
    assert field.seen["a"] == 3
    while field.seen["a"] == 3 and field.simulation.now < before + 90:
        field.ask(router)
    assert field.seen["a"] == 4


@pytest.mark.parametrize("status", [401, 403, 404, 429])
def test_some_errors_make_it_rest_at_once(status):
    """A retry soon cannot help; a Retry-After longer than `cooldown_time` is obeyed."""
    field = Field(a=fails(status, retry_after="40"), b=ok())
    router = field.router(field.entry("a"), field.entry("b", order=1), cooldown_time=10)
    field.ask(router)
    resting = next(one for one in explain(field, router).considered if one.id == "a")
    assert resting.standing.cooling == pytest.approx(39)  # one second passed in b's answer


def test_the_only_deployment_of_a_group_never_rests():
    """Nobody could stand in for it."""
    field = Field(a=fails(429))
    router = field.router(num_retries=0)
    for _ in range(5):
        with pytest.raises(RateLimitError, match="status 429"):
            field.ask(router)
    assert field.seen["a"] == 5


def test_when_all_rest_the_error_says_so_and_when():
    """Retry-After is that of the first to come back; a short rest is waited for."""
    field = Field(a=fails(429), b=fails(429))
    router = field.router(cooldown_time=60, num_retries=1)
    with pytest.raises(RateLimitError):
        field.ask(router)
    with pytest.raises(ServiceUnavailableError, match=r"No deployment of 'g' can take the call: .*rests for") as caught:
        field.ask(router)
    assert 59 < caught.value.retry_after < 60
    assert field.seen.total() == 2
    short = field.router(cooldown_time=2, num_retries=4)
    with pytest.raises(RateLimitError, match="status 429"):
        field.ask(short)


def test_cooldowns_can_be_set_by_class_and_switched_off():
    """`allowed_fails_policy` and `disable_cooldowns`."""
    for settings in ({"disable_cooldowns": True}, {"allowed_fails_policy": {"RateLimitErrorAllowedFails": 1000}}):
        field = Field(a=fails(429), b=ok(0.1))
        router = field.router(**settings)
        for _ in range(100):
            field.ask(router)
        assert field.seen["a"] > 20


# --- limits ---


def test_limits_send_calls_elsewhere_and_then_refuse():
    """rpm of each; the error says when there is room again."""
    field = Field(a=ok(0.1), b=ok(0.1))
    router = field.router(field.entry("a", rpm=2), field.entry("b", rpm=3))
    for _ in range(5):
        field.ask(router)
    assert field.seen == {"a": 2, "b": 3}
    with pytest.raises(RateLimitError, match="2 requests in the last minute, its limit") as caught:
        field.ask(router)
    assert 58 < caught.value.retry_after <= 61
    field.simulation.run(until=field.simulation.now + caught.value.retry_after)
    field.ask(router)


def test_tokens_are_counted_as_they_were_used():
    """What was taken beforehand is corrected by the reply's usage, and by a stream's."""
    for stream in BOTH:
        field = Field(a=ok(0.1))
        router = field.router(field.entry("a", tpm=1000))
        for _ in range(2):
            field.ask(router, stream=stream)
        assert explain(field, router).considered[0].standing.tokens == 30


def test_calls_at_a_time_are_limited():
    """Those beyond the limit go elsewhere."""
    field = Field(a=ok(5), b=ok(5))
    router = field.router(field.entry("a", max_parallel_requests=2), field.entry("b", order=1))
    tasks = [field.simulation.start(router.flow("completion", model="g", messages=ASK)) for _ in range(5)]
    field.simulation.run()
    assert all(task.error is None for task in tasks)
    assert field.seen == {"a": 2, "b": 3}
    assert [one.standing.busy for one in explain(field, router).considered] == [0, 0]


# --- names ---


def test_aliases_and_wildcards():
    """What stands for the star stands for it in the deployment's model; the longest beginning wins."""
    field = Field(a=ok(), b=ok(), c=ok())
    router = field.router(
        field.entry("a", group="openai/*", model="fake/*"),
        field.entry("b", group="openai/gpt-*", model="fake/four-*"),
        field.entry("c", group="openai/gpt-4"),
        model_group_alias={"best": "openai/gpt-4", "secret": {"model": "openai/gpt-4", "hidden": True}},
    )
    for name, host, model in (
        ("openai/o3", "a", "o3"),
        ("openai/gpt-5", "b", "four-5"),
        ("openai/gpt-4", "c", "m"),
        ("best", "c", "m"),
        ("secret", "c", "m"),
    ):
        field.ask(router, name)
        assert (field.requests[-1].url, json.loads(field.requests[-1].content)["model"]) == (
            f"http://{host}/v1/chat/completions",
            model,
        )
    assert router.get_model_names() == ["openai/*", "openai/gpt-*", "openai/gpt-4", "best"]
    with pytest.raises(NotFoundError, match=r"No model group 'bset'. Did you mean 'best'\? There are openai"):
        field.ask(router, "bset")


def test_tags_choose_among_deployments():
    """Of the call or its metadata; deployments with tags are for calls with one of them, or for all as "default"."""
    field = Field(free=ok(), paid=ok(), usual=ok())
    router = field.router(
        field.entry("free", tags=["free"]),
        field.entry("paid", tags=["paid", "vip"]),
        field.entry("usual", tags=["default"]),
        enable_tag_filtering=True,
    )
    for params, host in (
        ({"tags": ["free"]}, "free"),
        ({"metadata": {"tags": ["vip"]}}, "paid"),
        ({}, "usual"),
    ):
        field.seen.clear()
        field.ask(router, **params)
        assert list(field.seen) == [host]
    with pytest.raises(NotFoundError, match="has none of the tags gold"):
        field.ask(router, tags=["gold"])


# --- what goes to a deployment ---


def test_a_deployment_brings_its_key_its_place_and_its_parameters():
    """What the call itself says goes before them; what is the router's own is not sent."""
    field = Field(a=ok())
    router = field.router(
        field.entry("a", rpm=9, weight=2, tags=["x"], temperature=0.5, seed=7, special={"a": 1}, timeout=33)
    )
    field.ask(router, temperature=0.1)
    sent = field.requests[-1]
    assert sent.headers["authorization"] == "Bearer key-of-a"
    assert json.loads(sent.content) == {
        "model": "m", "messages": ASK, "temperature": 0.1, "seed": 7, "special": {"a": 1},
    }  # fmt: skip
    assert sent.timeout.total == 33
    with pytest.raises(BadRequestError, match=r"Expected `float \| null`, got `str` at deployment a.temperature"):
        bad = Field(a=ok())
        bad.ask(bad.router(bad.entry("a", temperature="hot")))


def test_time_limits():
    """The call's, then the deployment's, then the router's; streams have their own."""
    for settings, params, entry, wanted in (
        ({"timeout": 9}, {}, {}, 9),
        ({"timeout": 9}, {}, {"timeout": 8}, 8),
        ({"timeout": 9}, {"timeout": 7}, {"timeout": 8}, 7),
        ({"timeout": 9, "stream_timeout": 3}, {"stream": True}, {}, 3),
        ({"timeout": 9, "stream_timeout": 3}, {"stream": True}, {"stream_timeout": 2}, 2),
        ({"timeout": 9}, {"stream": True}, {}, 9),
    ):
        field = Field(a=ok())
        field.ask(field.router(field.entry("a", **entry), **settings), **params)
        assert field.requests[-1].timeout.total == wanted


def test_secrets_stand_for_os_environ():
    """A value that names a variable is its value; a variable that is not set is named, with its place."""
    field = Field(a=ok())
    secrets = {"THE_KEY": "from-env"}.get
    field.ask(field.router(field.entry("a", api_key="os.environ/THE_KEY"), secrets=secrets))
    assert field.requests[-1].headers["authorization"] == "Bearer from-env"
    with pytest.raises(BadRequestError, match=r"\$.model_list\[0\].params.api_key asks for OTHER, which is not set"):
        field.router(field.entry("a", api_key="os.environ/OTHER"), secrets=secrets)


def test_a_model_list_is_read_strictly():
    """What is wrong is said with its path."""
    for entry, told in (
        ({"model_name": "g"}, r"\$.model_list\[0\].params is missing"),
        ({"params": {"model": "fake/m"}}, r"\$.model_list\[0\].model_name is missing"),
        ({"model_name": "g", "litellm_params": {}}, r"\$.model_list\[0\].litellm_params.model is missing"),
        ({"model_name": "g", "parms": {}}, r"has 'parms', which nothing reads: did you mean 'params'"),
        ({"model_name": "g", "params": {"model": "fake/m", "rpm": "x"}}, r"got `str` at \$.model_list\[0\].params.rpm"),
        ({"model_name": "g", "params": {"model": "fake/m", "fallbacks": []}}, "fallbacks is no matter of one deploy"),
        (
            {"model_name": "g", "params": {"model": "fake/m", "guardrails": ["a"]}},
            "guardrails is no matter of one depl",
        ),
    ):
        with pytest.raises(BadRequestError, match=told):
            Router([entry], providers={"fake": Fake})
    with pytest.raises(BadRequestError, match="names 'gg', which is no model group: did you mean 'g'"):
        Router([{"model_name": "g", "params": {"model": "fake/m"}}], fallbacks=[{"g": ["gg"]}])
    with pytest.raises(BadRequestError, match=r"No routing strategy 'least_busy'. Did you mean 'least-busy'"):
        Router([], routing_strategy="least_busy")
    twice = {"model_name": "g", "params": {"model": "fake/m"}}
    with pytest.raises(BadRequestError, match="Two deployments have the id"):
        Router([twice, twice])


# --- at run time ---


def test_deployments_come_and_go():
    """Added, replaced and deleted while calls are made; the list tells no key."""
    field = Field(a=ok(), b=ok())
    router = field.router(field.entry("a"))
    router.add_deployment(field.entry("b", group="h"))
    field.ask(router, "h")
    with pytest.raises(BadRequestError, match="Two deployments have the id 'b'"):
        router.add_deployment(field.entry("b"))
    router.upsert_deployment(field.entry("b", group="i"))
    field.ask(router, "i")
    with pytest.raises(NotFoundError):
        field.ask(router, "h")
    assert router.delete_deployment("b").id == "b"
    assert router.delete_deployment("b") is None
    with pytest.raises(NotFoundError):
        field.ask(router, "i")
    assert router.get_model_list() == [{"model_name": "g", "params": {"model": "fake/m"}, "model_info": {"id": "a"}}]
    router.set_model_list([field.entry("b", group="j")])
    assert router.get_model_names() == ["j"]
    assert "key-of" not in repr(router) + repr(router.groups.all())


# --- hedging ---


@pytest.mark.parametrize("stream", BOTH, ids=["whole", "stream"])
def test_a_slow_call_is_sent_to_another_deployment_as_well(stream):
    """After `hedge_after`; the first to answer is taken and told of, the other is let go of."""
    field = Field(slow=ok(50), fast=ok(1))
    router = field.router(field.entry("slow"), field.entry("fast", order=1), hedge_after=2)
    task = field.simulation.start(router.flow("completion", model="g", messages=ASK, stream=stream))
    field.simulation.run(until=20)
    assert task.done
    assert task.error is None
    assert task.ended < 5
    assert field.seen == {"slow": 1, "fast": 1}
    if not stream:
        assert task.result.meta.deployment == "fast"
    assert [one.standing.busy for one in explain(field, router).considered] == [0, 0]


def test_a_call_that_answers_in_time_is_sent_once():
    """Nothing is hedged then."""
    field = Field(a=ok(1), b=ok(1))
    field.ask(field.router(hedge_after=2))
    assert field.seen.total() == 1


# --- explaining ---


def test_explain_says_who_was_considered_and_why_not():
    """Nothing is sent and nothing counted."""
    field = Field(a=ok(), b=ok(), c=ok(), d=ok())
    router = field.router(
        field.entry("a", rpm=1),
        field.entry("b", tags=["vip"]),
        field.entry("c"),
        field.entry("d", order=1),
        fallbacks=[{"g": ["fake/elsewhere"]}],
        enable_tag_filtering=True,
        routing_strategy="usage-based-routing-v2",
    )
    for _ in range(2):
        got = explain(field, router)
        assert got.group == "g"
        assert {one.id: one.why for one in got.considered}["b"] == "is for calls with one of its tags"
        assert {one.id: one.why for one in got.considered}["d"] == "stands back behind those of a lower order"
        assert got.taken.id in ("a", "c")
        assert got.fallbacks == ["fake/elsewhere"]
    assert not field.seen
    field.ask(router)
    field.ask(router)
    while field.seen["a"] < 1:
        field.ask(router)
    assert "1 requests in the last minute, its limit" in {one.why for one in explain(field, router).considered}


# --- the same in every way of calling ---


def test_blocking_and_asynchronous_calls_behave_alike():
    """One flow: the same requests go out, and the same is told."""
    made = []
    for mode in ("sync", "async"):
        seen = []

        def answer(request, seen=seen):
            seen.append(str(request.url))
            if request.url.host == "a":
                return httpx.Response(500, json={"error": {"message": "no"}})
            return httpx.Response(200, json=completion("ok"))

        field = Field(a=ok(), b=ok())
        http = httpx.MockTransport(answer)
        router = field.router(field.entry("a"), field.entry("b", order=1), http=http)
        if mode == "sync":
            with router:
                got = router.completion("g", ASK)
        else:

            async def call(router=router):
                async with router:
                    return await router.acompletion("g", ASK)

            got = asyncio.run(call())
        made.append((seen, got.text, got.meta.deployment, got.meta.attempts))
    assert made[0] == made[1]


def test_other_operations_are_routed_too():
    """Whatever has a model; a deployment whose provider cannot do it is passed over."""
    seen = []

    def answer(request):
        seen.append(str(request.url))
        return httpx.Response(200, json={"data": [{"index": 0, "embedding": [1.0]}], "model": "m"})

    field = Field(a=ok(), b=ok())
    chatty = {"model_name": "g", "params": {"model": "anthropic/claude-sonnet-4-5", "api_key": "k"}}
    with field.router(chatty, field.entry("b", model="openai/e"), http=httpx.MockTransport(answer)) as router:
        assert router.embedding("g", "hello").data[0].embedding == [1.0]
    assert seen == ["http://b/v1/embeddings"]


def test_calls_without_a_model_go_with_the_deployment_of_their_provider():
    """Files and batches: `provider=` finds whose key and place to use."""
    seen = []

    def answer(request):
        seen.append((str(request.url), request.headers["authorization"]))
        return httpx.Response(200, json={"data": []})

    field = Field(a=ok())
    with field.router(http=httpx.MockTransport(answer)) as router:
        router.list_files(provider="fake")
    assert seen == [("http://a/v1/files", "Bearer key-of-a")]


@pytest.mark.parametrize("function", ["create_batch", "create_file", "list_files", "cancel_batch"])
def test_what_a_deployment_adds_to_its_model_s_requests_is_in_no_call_about_files(function):
    """Neither sampling nor prices nor a body of its own: only the account, and the time limit, are lent."""
    asked = {
        "create_batch": {"input_file_id": "file-1"}, "cancel_batch": {"batch_id": "batch_1"},
        "create_file": {"file": b"{}", "purpose": "batch"}, "list_files": {},
    }[function]  # fmt: skip
    own = {
        "temperature": 0.5, "max_tokens": 9, "metadata": {"a": "b"}, "chat_template_kwargs": {"thinking": True},
        "input_cost_per_token": 1e-6, "prices": {"input": 1}, "extra_body": {"top_k": 3},
    }  # fmt: skip
    sent = []
    for params in ({}, own):
        field = Field(a=lambda request, now: Answer(0.1, HttpReply(status=200, content=b'{"id": "x", "data": []}')))
        row = field.entry("a", model="openai/m", extra_headers={"x-team": "t"}, timeout=7, **params)
        with field.router(row) as router:
            field.simulation.run_flow(router.flow(function, provider="openai", **asked))
        sent.append(field.requests)
    ((bare,), (made,)) = sent
    assert (made.url, made.json, made.timeout) == (bare.url, bare.json, bare.timeout)
    assert [name for name, _ in made.form or ()] == [name for name, _ in bare.form or ()]
    assert (made.headers["authorization"], made.headers["x-team"]) == ("Bearer key-of-a", "t")


def test_a_job_s_id_leads_back_to_its_deployment():
    """In another router, too: whose key started a film asks how far it is, and fetches it."""
    seen = []

    def answer(request):
        seen.append((request.url.host, request.headers["authorization"]))
        return httpx.Response(200, json={"id": "video_1", "object": "video", "status": "queued", "model": "sora-2"})

    field = Field(a=ok(), b=ok())
    rows = [field.entry(host, model="openai/sora-2") for host in "ab"]
    with field.router(*rows, http=httpx.MockTransport(answer)) as router:
        ids = {router.video_generation("a cat", "g").id for _ in range(10)}
    assert len(ids) == 2
    with field.router(*rows, http=httpx.MockTransport(answer)) as other:
        for issued in ids:
            started = len(seen)
            job = other.video_status(issued)
            assert job.id == issued
            other.video_status(job.id)
            assert len(set(seen[started:])) == 1
    assert {host for host, _ in seen[10:]} == {"a", "b"}


def test_a_deployment_whose_own_parameters_are_wrong_is_given_back():
    """The call fails with what is wrong there, and the deployment counts no call in flight."""
    hosts = Field(a=ok())
    router = hosts.router(hosts.entry("a", max_tokens="many"))
    for _ in range(2):
        with pytest.raises(BadRequestError, match="max_tokens"):
            hosts.ask(router)
    (standing,) = hosts.simulation.run_flow(router.state.look(["a"], 0.0))
    assert (standing.busy, hosts.seen["a"]) == (0, 0)


class Far(MemoryState):
    """A state that is half a second away."""

    def take(self, id: str, limits: Limits, tokens: int, now: float) -> Flow[Ticket | Refusal]:
        """Take it there."""
        yield Sleep(0.5)
        return (yield from super().take(id, limits, tokens, now))


def test_what_asking_the_state_takes_is_no_time_of_the_deployment():
    """It is measured from when it was taken to its answer, and to its error."""
    hosts = Field(a=ok(1.0), b=fails(500, 2.0))
    outcomes = []
    for host in ("a", "b"):
        one = hosts.router(hosts.entry(host), state=Far(), num_retries=0)
        call, flow = one.plan("completion", model="g", messages=ASK)
        try:
            hosts.simulation.run_flow(flow)
        except InternalServerError:
            outcomes.append(call.meta.failures[0].seconds)
        else:
            (standing,) = hosts.simulation.run_flow(one.state.look([host], 1.5))
            outcomes.append(standing.latency)
    assert outcomes == [pytest.approx(1.0), pytest.approx(2.0)]


def test_something_may_be_around_each_attempt():
    """It sees whom the attempt has come to, and what it makes of the request goes there alone."""
    hosts = Field(a=fails(500), b=ok())
    one = hosts.router(hosts.entry("a"), hosts.entry("b", group="h"), fallbacks=[{"g": ["h"]}], num_retries=0)
    seen = []

    def attempt(call, proceed):
        seen.append((call.group, call.meta.deployment, call.request.seed))
        return proceed(replace(call, request=replace(call.request, seed=len(seen))))

    call, flow = one.plan("completion", attempt=attempt, model="g", messages=ASK, seed=9)
    hosts.simulation.run_flow(flow)
    assert seen == [("g", "a", 9), ("h", "b", 9)]
    assert call.meta.deployment == "b"
