"""The cache's layer: what is asked again is answered without asking again, and told so."""

from __future__ import annotations

import asyncio
import logging
import threading
import time

import pytest
from core.tests.caching.conftest import USAGE, Away, Everything, answer
from core.tests.conftest import ASK, KEY, PATIENCE, completion
from msgspec.structs import replace

from polyport import Router
from polyport.caching import CALL_TYPES, Cache
from polyport.drivers.simulation import Simulation
from polyport.errors import BadRequestError, InternalServerError, UnsupportedParamsError
from polyport.operations import BY_FUNCTION
from polyport.testing import Reply, Wire

OTHER = [{"role": "user", "content": "something else"}]


def test_the_second_answer_comes_from_the_cache(mode, cached):
    """Equal in all, and `meta` says where it came from: no attempt, no cost."""
    client, wire = cached(Cache())
    first, second = mode.chat(client), mode.chat(client)
    assert len(wire.requests) == 1
    assert (first.meta.cache_hit, second.meta.cache_hit) == (False, True)
    assert (second.meta.attempts, second.meta.cost) == (0, 0.0)
    assert (second.meta.provider, second.meta.model) == ("fake", "m")
    assert second.to_dict() == first.to_dict()
    assert second.extra == {"citations": ["https://example.com"]}
    assert second.raw == first.raw
    assert second.usage.to_dict() == USAGE
    assert mode.chat(client, messages=OTHER).text != second.text


def test_nobody_can_change_what_another_is_given(cached):
    """Answers are kept as bytes."""
    client, _ = cached(Cache())
    first = client.completion("fake/m", ASK)
    text = first.text
    first.choices[0].message.content = "changed"
    client.completion("fake/m", ASK).choices.clear()
    assert client.completion("fake/m", ASK).text == text


def test_the_key_is_nobodys_part_of_the_question(client, cached):
    """Callers with different API keys share answers; no key is in any entry."""
    cache = Cache()
    one, wire = cached(cache, api_key=KEY)
    one.completion("fake/m", ASK)
    assert one.completion("fake/m", ASK, api_key="sk-another").meta.cache_hit
    assert one.completion("fake/m", ASK, extra_headers={"Authorization": "Bearer x"}).meta.cache_hit
    assert len(wire.requests) == 1
    assert all(KEY.encode() not in value[0] for value in cache.store._entries.values())


@pytest.mark.parametrize(
    ("given", "asked", "kept"),
    [
        ({"no-cache": True}, True, True),
        ({"no-store": True}, False, False),
        ({"no-cache": True, "no-store": True}, True, False),
        ({"use-cache": False}, True, False),
        ({"ttl": 0}, False, False),
    ],
)
def test_a_call_says_what_it_wants_of_the_cache(cached, given, asked, kept):
    """Whether it is looked for, and whether it is kept."""
    cache = Cache()
    client, wire = cached(cache)
    client.completion("fake/m", ASK, cache=given)
    assert len(cache.store) == (1 if kept else 0)
    client.completion("fake/m", ASK)
    client.completion("fake/m", ASK, cache=given)
    assert len(wire.requests) == (1 if kept else 2) + (1 if asked else 0)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"no_cache": True}, "no-cache', 'no-store', 'ttl', 's-maxage', 's-max-age', 'namespace', 'use-cache"),
        ({"no-cache": "yes"}, "Expected `bool`"),
        ({"ttl": -1}, "Expected seconds"),
        ({"s-maxage": True}, "Expected seconds"),
        ({"namespace": ""}, "Expected a name"),
    ],
)
def test_what_a_call_cannot_want_is_an_error_that_says_what_it_can(mode, cached, given, said):
    """Before anything is sent."""
    client, wire = cached(Cache())
    with pytest.raises(BadRequestError, match=said):
        mode.chat(client, cache=given)
    assert wire.requests == []


def test_namespaces_are_apart(cached):
    """A cache's own, and a call's in its place."""
    cache = Cache(namespace="a")
    client, _ = cached(cache)
    client.completion("fake/m", ASK)
    assert not client.completion("fake/m", ASK, cache={"namespace": "b"}).meta.cache_hit
    assert client.completion("fake/m", ASK, cache={"namespace": "b"}).meta.cache_hit
    assert client.completion("fake/m", ASK).meta.cache_hit
    cache.clear("b")
    assert client.completion("fake/m", ASK).meta.cache_hit
    assert not client.completion("fake/m", ASK, cache={"namespace": "b"}).meta.cache_hit
    asyncio.run(cache.aclear())
    assert len(cache.store) == 0


def test_default_off_caches_only_who_asks_for_it(cached):
    """`use-cache` turns it on for a call."""
    client, wire = cached(Cache(mode="default_off"))
    for _ in range(2):
        client.completion("fake/m", ASK)
    for _ in range(2):
        client.completion("fake/m", ASK, cache={"use-cache": True})
    assert len(wire.requests) == 3


def test_only_the_named_functions_are_cached(cached):
    """By their names or their twins'; an unknown one is an error."""
    client, wire = cached(Cache(supported_call_types=["aembedding"]))
    for _ in range(2):
        client.completion("fake/m", ASK)
        client.embedding("fake/v", "aa")
    assert len(wire.requests) == 3
    with pytest.raises(BadRequestError, match="'create_file' are not cached; there are completion"):
        Cache(supported_call_types=["create_file"])


def test_errors_are_not_kept(mode, cached):
    """The next call asks again."""
    client, _ = cached(Cache(), [Reply.of({"error": "broken"}, status=500), completion()], num_retries=0)
    with pytest.raises(InternalServerError):
        mode.chat(client)
    assert not mode.chat(client).meta.cache_hit
    assert mode.chat(client).meta.cache_hit


def test_a_fallbacks_answer_is_not_kept_for_the_model_that_was_asked(client):
    """The other model's answer is right for this call, not for the next hour."""
    cache = Cache()

    def fall_back(call, proceed):
        return (yield from proceed(replace(call, request=replace(call.request, model="other"))))

    made = client(http=Wire(answer), middleware=[cache.layer, fall_back])
    assert made.completion("fake/m", ASK).meta.model == "other"
    assert not made.completion("fake/m", ASK).meta.cache_hit
    assert cache.stats["not_stored"] == 2


def test_what_is_stored_at_the_provider_is_asked_every_time(cached):
    """`store=True` leaves something behind, which a hit would not."""
    client, wire = cached(Cache())
    for _ in range(2):
        client.completion("fake/m", ASK, store=True)
    assert len(wire.requests) == 2


def response(**more):
    """A response as it stands on the wire."""
    text = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "hi"}]}
    return {"id": "r1", "object": "response", "created_at": 1, "status": "completed", "output": [text], **more}


@pytest.mark.parametrize(
    ("said", "hits"), [({}, True), ({"store": True}, False), ({"store": False}, True), ({"status": "failed"}, False)]
)
def test_responses_are_kept_where_the_provider_does_not_store_them(cached, said, hits):
    """The answer itself says whether it is stored, and whether it is one."""
    client, _ = cached(Cache(), lambda sent: response(**said))
    client.responses(model="fake/m", input="hello")
    assert client.responses(model="fake/m", input="hello").meta.cache_hit is hits


def test_adaptations_are_told_again(cached):
    """A hit says what the translation had done to the request."""
    client, _ = cached(Cache())
    first = client.completion("fake/m", ASK, logit_bias={"1": 1}, drop_params=True)
    assert [one.action for one in first.meta.adaptations] == ["dropped"]
    second = client.completion("fake/m", ASK, logit_bias={"1": 1}, drop_params=True)
    assert second.meta.cache_hit
    assert second.meta.adaptations == first.meta.adaptations
    with pytest.raises(UnsupportedParamsError):
        client.completion("fake/m", ASK, logit_bias={"1": 1})


PNG = b"\x89PNG\r\n\x1a\n...."
DRAWN = {"created": 1, "data": [{"b64_json": "aGk="}]}
RANKED = {"id": "r", "results": [{"index": 1, "relevance_score": 0.5}]}
CALLS = {
    "text_completion": ({"prompt": "hello"}, {"id": "t", "choices": [{"index": 0, "text": "hi"}]}),
    "moderation": ({"input": "hello"}, {"id": "m", "model": "m", "results": [{"flagged": False}]}),
    "image_generation": ({"prompt": "a cat"}, DRAWN),
    "image_edit": ({"image": PNG, "prompt": "a cat"}, DRAWN),
    "rerank": ({"query": "q", "documents": ["a", {"text": "b"}]}, RANKED),
    "transcription": ({"file": b"ID3sound"}, {"text": "hello"}),
    "speech": ({"input": "hello", "voice": "a"}, Reply(content=b"sound", headers={"content-type": "audio/mpeg"})),
}


@pytest.mark.parametrize("function", CALLS)
def test_every_kind_of_answer_comes_back_as_it_was(mode, cached, function):
    """Its type, its fields, its bytes."""
    params, body = CALLS[function]
    client, wire = cached(Cache(), lambda sent: body)
    first, second = (mode.call(client, function, model="fake/m", **params) for _ in range(2))
    assert len(wire.requests) == 1
    assert second.meta.cache_hit
    assert type(second) is type(first)
    assert second.to_dict() == first.to_dict()


def test_plain_text_is_kept_too(cached):
    """Subtitles have no `meta`, and are asked for once all the same."""
    client, wire = cached(Cache(), lambda sent: Reply.of("1\n00:00 --> 00:01\nhello"))
    texts = [client.transcription(model="fake/m", file=b"ID3sound", response_format="srt") for _ in range(2)]
    assert texts[0] == texts[1]
    assert len(wire.requests) == 1


def test_files_are_told_apart_by_their_content(cached, tmp_path):
    """Whatever they are called, however they are given."""
    client, wire = cached(Cache(), lambda sent: {"text": "hello"})
    path = tmp_path / "other.mp3"
    path.write_bytes(b"ID3sound")
    client.transcription(model="fake/m", file=b"ID3sound")
    assert client.transcription(model="fake/m", file=path).meta.cache_hit
    assert client.transcription(model="fake/m", file=("x.mp3", b"ID3sound")).meta.cache_hit
    assert not client.transcription(model="fake/m", file=b"ID3silence").meta.cache_hit
    assert len(wire.requests) == 2


def test_images_by_address_are_not_kept_longer_than_addresses_last(client):
    """Half an hour, of the hour that the shortest ones live."""
    cache = Cache(ttl=86400)
    wire = Wire(lambda sent: {"created": 1, "data": [{"url": "https://images.example/1.png"}]})
    simulation = Simulation(wire.simulated)
    made = client(http=wire, providers={"fake": Everything}, middleware=[cache.layer])
    draw = lambda: simulation.run_flow(made.flow("image_generation", model="fake/m", prompt="a cat"))  # noqa: E731
    assert not draw().meta.cache_hit
    simulation.run(until=1799)
    assert draw().meta.cache_hit
    simulation.run(until=1801)
    assert not draw().meta.cache_hit


def test_times_are_the_drivers(client):
    """`ttl` ends an entry; `s-maxage` asks for a younger one and leaves it to others."""
    cache = Cache(ttl=100)
    wire = Wire(answer)
    simulation = Simulation(wire.simulated)
    made = client(http=wire, middleware=[cache.layer])

    def ask(**asked):
        return simulation.run_flow(made.flow("completion", model="fake/m", messages=ASK, cache=asked or None))

    ask()
    simulation.run(until=60)
    assert ask().meta.cache_hit
    assert not ask(**{"s-maxage": 59, "no-store": True}).meta.cache_hit
    assert ask(**{"s-max-age": 61}).meta.cache_hit
    simulation.run(until=100)
    assert not ask(ttl=10).meta.cache_hit
    simulation.run(until=109)
    assert ask().meta.cache_hit
    simulation.run(until=110)
    assert not ask().meta.cache_hit


# --- one request for many askers ---


def test_threads_that_ask_the_same_at_once_ask_once(cached):
    """The others wait for the answer that is on its way."""
    begun, cache = threading.Event(), Cache()

    def slow(sent):
        begun.set()
        limit = time.monotonic() + PATIENCE
        while cache.stats["misses"] < 8 and time.monotonic() < limit:
            time.sleep(0.005)
        return Reply.of(completion(), delay=0.2)

    client, wire = cached(cache, slow)
    results = []
    threads = [threading.Thread(target=lambda: results.append(client.completion("fake/m", ASK))) for _ in range(8)]
    threads[0].start()
    assert begun.wait(PATIENCE)
    for thread in threads[1:]:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wire.requests) == 1
    assert sorted(result.meta.cache_hit for result in results) == [False] + [True] * 7
    assert cache.stats["waited"] == 7


def test_tasks_that_ask_the_same_at_once_ask_once(cached):
    """On one event loop."""
    client, wire = cached(Cache(), lambda sent: Reply.of(completion(), delay=0.05))

    async def ask():
        return await asyncio.gather(*(client.acompletion("fake/m", ASK) for _ in range(50)))

    results = asyncio.run(ask())
    assert len(wire.requests) == 1
    assert sum(result.meta.cache_hit for result in results) == 49


def test_flows_of_a_simulation_that_ask_the_same_at_once_ask_once(client):
    """They share a thread, so that nobody may block."""
    wire = Wire(lambda sent: Reply.of(completion(), delay=3.0))
    simulation = Simulation(wire.simulated)
    made = client(http=wire, middleware=[Cache().layer])
    tasks = [simulation.start(made.flow("completion", model="fake/m", messages=ASK)) for _ in range(100)]
    simulation.run()
    assert len(wire.requests) == 1
    assert all(task.done and task.error is None for task in tasks)
    assert simulation.now < 3.1


def test_who_waited_for_a_failure_asks_for_himself(cached):
    """Nobody is given another's error."""
    replies = [Reply.of({"error": "x"}, status=500, delay=0.05), *[Reply.of(completion())] * 4]
    client, wire = cached(Cache(), replies, num_retries=0)

    async def ask():
        return await asyncio.gather(*(client.acompletion("fake/m", ASK) for _ in range(5)), return_exceptions=True)

    results = asyncio.run(ask())
    assert sum(isinstance(result, InternalServerError) for result in results) == 1
    assert len(wire.requests) == 5


def test_who_waited_for_a_call_that_was_cancelled_asks_for_himself(cached):
    """A flight is over when its flow is, however that ended."""
    client, wire = cached(Cache(), [Reply.of(completion(), delay=30), Reply.of(completion())])

    async def ask():
        first = asyncio.create_task(client.acompletion("fake/m", ASK))
        while not wire.requests and not first.done():
            await asyncio.sleep(0)
        second = asyncio.create_task(client.acompletion("fake/m", ASK))
        await asyncio.sleep(0.01)
        first.cancel()
        return await second

    assert asyncio.run(ask()).text == "hi"


# --- what is broken breaks no call ---


def test_a_store_that_fails_is_said_once_and_left_alone_for_a_while(client, caplog):
    """Calls are answered; the store is tried again later, and it is said when it is back."""
    store = Away()
    cache = Cache(store)
    wire = Wire(answer)
    simulation = Simulation(wire.simulated)
    made = client(http=wire, middleware=[cache.layer])

    def ask():
        return simulation.run_flow(made.flow("completion", model="fake/m", messages=ASK))

    store.error = ConnectionError("nobody there")
    with caplog.at_level(logging.WARNING, "polyport.cache"):
        for _ in range(5):
            assert not ask().meta.cache_hit
        assert store.asked == 1
        simulation.run(until=0.6)
        ask()
        assert store.asked == 2
        store.error = None
        ask()
        assert store.asked == 2
        simulation.run(until=2)
        ask()
        assert ask().meta.cache_hit
    assert [record.getMessage() for record in caplog.records] == [
        "The Away cache fails (ConnectionError: nobody there). Calls are answered without it until it is back.",
        "The Away cache is back.",
    ]
    assert cache.stats["errors"] == 2


@pytest.mark.parametrize("error", [RuntimeError("x"), KeyError("x"), OSError("x"), ZeroDivisionError()])
def test_whatever_a_store_raises_no_call_sees_it(mode, cached, error):
    """It is a stranger's code."""
    store = Away()
    store.error = error
    client, _ = cached(Cache(store))
    assert mode.chat(client).text
    assert mode.stream(client) is not None


@pytest.mark.parametrize("harm", ["cut", "flip", "version", "nothing", "stranger"])
def test_bytes_that_are_no_entry_are_asked_for_anew(cached, caplog, harm):
    """Torn, changed, of another version, somebody else's: counted, said once, overwritten."""
    store = Away()
    cache = Cache(store)
    client, _ = cached(cache)
    client.completion("fake/m", ASK)
    ((key, (value, *times)),) = store.inner._entries.items()
    changed = {
        "cut": value[: len(value) // 2],
        "flip": value[:40] + bytes([value[40] ^ 1]) + value[41:],
        "version": value[:4] + b"\xff" + value[5:],
        "nothing": b"",
        "stranger": b"pickle me",
    }[harm]
    for _ in range(2):
        store.inner._entries[key] = (changed, *times)
        assert not client.completion("fake/m", ASK).meta.cache_hit
    assert client.completion("fake/m", ASK).meta.cache_hit
    assert cache.stats["unreadable"] == 2
    assert len([record for record in caplog.records if record.name == "polyport.cache"]) == 1


def test_every_function_that_is_cached_is_an_operation():
    """Videos, files and batches are none of them."""
    assert set(CALL_TYPES) <= set(BY_FUNCTION)
    assert not {BY_FUNCTION[name].capability for name in CALL_TYPES} & {"video", "batch", "models"}


# --- routed calls ---


def test_all_deployments_of_a_group_give_one_answer(mode):
    """The group is what was asked for; a group and a model of one name are two things."""
    entries = [{"model_name": "g", "params": {"model": f"fake/m{n}", "api_key": KEY}} for n in range(2)]
    wire = Wire(answer)
    router = Router(entries, http=wire, providers={"fake": Everything}, cache=Cache())
    first = mode.chat(router, model="g")
    for _ in range(5):
        again = mode.chat(router, model="g")
        assert (again.meta.cache_hit, again.meta.group, again.meta.model) == (True, "g", first.meta.model)
    assert len(wire.requests) == 1


def test_a_group_that_stood_in_for_another_is_not_kept_for_it(mode):
    """Its answer is right for this call alone."""
    entries = [{"model_name": name, "params": {"model": f"fake/{name}", "api_key": KEY}} for name in ("bad", "good")]
    wire = Wire(lambda sent: Reply.of({"error": "x"}, status=401) if sent.json["model"] == "bad" else completion())
    router = Router(
        entries, http=wire, providers={"fake": Everything}, fallbacks=[{"bad": ["good"]}], num_retries=0, cache=Cache()
    )
    for _ in range(2):
        assert not mode.chat(router, model="bad").meta.cache_hit
    mode.chat(router, model="good")
    assert mode.chat(router, model="good").meta.cache_hit


def test_a_group_that_is_a_pattern_has_an_answer_for_each_model(mode):
    """What stood for the star is part of the question."""
    wire = Wire(answer)
    entries = [{"model_name": "any/*", "params": {"model": "fake/*", "api_key": KEY}}]
    router = Router(entries, http=wire, providers={"fake": Everything}, cache=Cache())
    assert [mode.chat(router, model=name).meta.cache_hit for name in ("any/a", "any/b", "any/a")] == [
        False,
        False,
        True,
    ]
