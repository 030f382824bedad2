"""What observers are told of a call."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest
from core.tests.conftest import ASK, DONE, KEY, ROLE, completion, event
from core.tests.observing.conftest import PRICES, USAGE, Everything, answer

from polyport import Observer, Router
from polyport.caching import Cache
from polyport.errors import APIConnectionError, AuthenticationError, BadRequestError, RateLimitError
from polyport.observing import Event
from polyport.testing import Reply, Wire


def test_a_success_is_told_whole(mode, observed):
    """What was asked and answered, whom, how long, for how much."""
    seen: list[Event] = []
    one = observed([seen.append])
    result = mode.chat(
        one.client, temperature=0.5, user="ann", prices=PRICES, metadata={"team": "red", "tags": ["a", "b"]}
    )
    one.tell()
    (told,) = seen
    assert (told.operation, told.function) == ("chat", "completion")
    assert (told.provider, told.model, told.answered_by) == ("fake", "m", "m")
    assert told.request["messages"] == ASK
    assert told.request["temperature"] == 0.5
    assert told.response == result.to_dict()
    assert told.finish_reasons == ["stop"]
    assert told.usage == {"input": 1000, "output": 200}
    assert told.cost == result.meta.cost == pytest.approx(0.0014)
    assert (told.user, told.tags, told.metadata["team"]) == ("ann", ["a", "b"], "red")
    assert (told.attempts, told.stream, told.complete, told.cache_hit, told.error) == (1, False, True, False, None)
    assert told.latency is not None
    assert 0 < told.latency < 5
    assert told.started > 1.7e9
    assert told.time_to_first_content is None
    assert told.withheld == []


def test_a_failure_is_told_with_its_class_and_status(mode, observed):
    """After the last attempt; what failed between is in `attempts`."""
    seen: list[Event] = []
    body = {"error": {"message": "slow down", "code": "rate_limited"}}
    one = observed(failure_callback=[seen.append], answers=Reply.of(body, status=429, headers={"retry-after": "0"}))
    with pytest.raises(RateLimitError):
        mode.chat(one.client, num_retries=2)
    one.tell()
    (told,) = seen
    assert told.error is not None
    assert (told.error.kind, told.error.status, told.error.message) == ("RateLimitError", 429, "slow down")
    assert told.error.code == "rate_limited"
    assert (told.attempts, told.response, told.answered_by) == (3, None, "m")


def test_a_stream_is_told_as_the_answer_it_makes(mode, observed):
    """Once, at its end, with the time to its first content."""
    seen: list[Event] = []
    one = observed([seen.append])
    assert mode.stream(one.client) == "Hello"
    one.tell()
    (told,) = seen
    assert told.stream
    assert told.complete
    assert told.response is not None
    assert told.response["object"] == "chat.completion"
    assert told.response["choices"][0]["message"]["content"] == "Hello"
    assert told.finish_reasons == ["stop"]
    assert told.time_to_first_content is not None
    assert told.latency is not None
    assert 0 < told.time_to_first_content <= told.latency


@pytest.mark.parametrize("leave", ["close", "with", "break", "del"])
def test_a_stream_that_is_left_early_says_so_and_what_it_used(mode, observed, serve, client, leave):
    """However it is left: by then it cost something, which its provider did not tell."""
    seen: list[Event] = []

    def slowly(exchange: Any) -> None:
        exchange.begin()
        exchange.piece(ROLE, event("Hello there"))
        exchange.wait_gone()

    server = serve(slowly)
    one = observed([seen.append])
    made = client(server.url, middleware=[one.layer])
    assert mode.stream(made, take=2, leave=leave, prices=PRICES) == "Hello there"
    assert server.until(lambda: one.dispatcher.flush(5) and seen)
    (told,) = seen
    assert (told.stream, told.complete, told.error) == (True, False, None)
    assert told.response is not None
    assert told.response["choices"][0]["message"]["content"] == "Hello there"
    assert told.finish_reasons == []
    assert told.usage["output"] > 0
    assert told.cost is not None
    assert told.cost > 0


def test_a_stream_that_breaks_is_a_failure_with_what_came(mode, observed):
    """The part that was read is in the event, beside the error."""
    seen: list[Event] = []
    body = ROLE + event("Hel") + event("lo")
    one = observed([seen.append], answers=Reply.of(body + DONE, reset_at=len(body)))
    with pytest.raises(APIConnectionError):
        mode.stream(one.client)
    one.tell()
    (told,) = seen
    assert told.error is not None
    assert told.error.kind == "APIConnectionError"
    assert told.complete is False
    assert told.response is not None
    assert told.response["choices"][0]["message"]["content"].startswith("Hel")


def test_a_stream_of_bytes_is_told_by_its_length(observed):
    """Speech is not kept."""
    seen: list[Event] = []
    one = observed([seen.append], answers=Reply.of(b"\x00" * 5000))
    with one.client.speech("fake/m", "say this", voice="x", stream=True) as stream:
        assert len(stream.read()) == 5000
    one.client.speech("fake/m", "say this", voice="x")
    one.tell()
    assert [told.response and told.response["content"] for told in seen] == ["<5000 bytes>"] * 2
    json.dumps([told.to_dict() for told in seen])


def test_other_operations_are_told_too(observed):
    """Vectors, files: bytes that went out are told by their length."""
    seen: list[Event] = []
    vectors = {"object": "list", "model": "v", "data": [{"index": 0, "embedding": [0.5]}], "usage": USAGE}
    one = observed([seen.append], answers=lambda sent: vectors if "embed" in sent.path else {"text": "hi"})
    one.client.embedding("fake/m", ["x"])
    one.client.transcription("fake/m", b"RIFF" + bytes(100))
    one.tell()
    assert [told.operation for told in seen] == ["embed", "transcribe"]
    assert seen[0].request["input"] == ["x"]
    assert seen[0].response is not None
    assert seen[0].response["data"][0]["embedding"] == [0.5]
    assert seen[1].response is not None
    assert seen[1].response["text"] == "hi"
    assert seen[1].request["file"] == "<104 bytes>"


def test_what_a_caller_changes_afterwards_changes_no_event(observed):
    """Messages go on being written to; the event holds what was asked."""
    seen: list[Event] = []
    one = observed([seen.append])
    messages = [{"role": "user", "content": "first"}]
    one.client.completion("fake/m", messages)
    messages[0]["content"] = "changed"
    messages.append({"role": "user", "content": "second"})
    one.tell()
    assert seen[0].request["messages"] == [{"role": "user", "content": "first"}]


def test_a_cancelled_call_is_told(observed, serve, client):
    """A task that is cancelled is a failure of its own kind."""
    seen: list[Event] = []
    server = serve(lambda exchange: exchange.wait_gone())
    one = observed([seen.append])
    made = client(server.url, middleware=[one.layer])

    async def main() -> None:
        task = asyncio.create_task(made.acompletion("fake/m", ASK))
        await asyncio.to_thread(server.until, lambda: server.seen)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    one.tell()
    assert [told.error and told.error.kind for told in seen] == ["CancelledError"]


# --- the forms of callbacks ---


def test_the_four_argument_form(observed):
    """`f(kwargs, completion_response, start_time, end_time)`, sync and async, for successes and failures."""
    seen: list[Any] = []

    def track(kwargs, completion_response, start_time, end_time):
        seen.append((kwargs, completion_response, end_time - start_time))

    async def fail(kwargs, completion_response, start_time, end_time):
        seen.append((kwargs, completion_response, type(start_time)))

    one = observed(success_callback=[track], failure_callback=[fail], answers=[completion("hi"), Reply(status=400)])
    result = one.client.completion("fake/m", ASK, temperature=0.1, metadata={"a": "b"}, prices=PRICES)
    with pytest.raises(BadRequestError):
        one.client.completion("fake/m", ASK)
    one.tell()
    (good, response, took), (bad, nothing, kind) = seen
    assert response is result
    assert response["choices"][0]["message"]["content"] == "hi"
    assert took.total_seconds() > 0
    assert (good["model"], good["messages"], good["optional_params"]["temperature"]) == ("m", ASK, 0.1)
    assert good["litellm_params"]["metadata"] == {"a": "b"}
    assert (good["call_type"], good["cache_hit"], good["stream"]) == ("completion", False, False)
    assert isinstance(bad["exception"], BadRequestError)
    assert (nothing, kind) == (None, datetime)


def test_the_four_argument_form_has_a_streams_completion(observed):
    """As an object, in its place among the arguments and in `complete_streaming_response`."""
    seen: list[Any] = []
    one = observed([lambda kwargs, response, start, end: seen.append((kwargs, response))])
    "".join(c.choices[0].delta.content or "" for c in one.client.completion("fake/m", ASK, stream=True))
    one.tell()
    ((kwargs, response),) = seen
    assert response.choices[0].message.content == "Hello"
    assert kwargs["complete_streaming_response"] is response


def test_objects_of_either_form(observed):
    """An Observer, with what begins told too; LiteLLM's form, of whose twins the last defined one is called."""
    seen: list[str] = []

    class Ours(Observer):
        def on_start(self, event):
            seen.append(f"start {event.id}")

        async def on_success(self, event):
            seen.append(f"success {event.id}")

    class Base:
        def log_success_event(self, kwargs, response_obj, start_time, end_time):
            seen.append("base")

        async def async_log_success_event(self, kwargs, response_obj, start_time, end_time):
            seen.append("base, async")

    class Theirs(Base):
        def log_success_event(self, kwargs, response_obj, start_time, end_time):
            seen.append("theirs")

    one = observed([Ours(), Theirs(), Base()])
    one.client.completion("fake/m", ASK)
    one.tell()
    starts = [line for line in seen if line.startswith("start")]
    assert len(starts) == 1
    assert starts[0].replace("start", "success") in seen
    assert sorted(seen)[:1] == ["base, async"]
    assert "theirs" in seen
    assert "base" not in seen


def test_an_observer_in_two_lists_is_told_once(observed):
    """Of a success by the one, of a failure by the other."""
    seen: list[Event] = []
    see = seen.append
    one = observed(success_callback=[see], failure_callback=[see], answers=[completion(), Reply(status=400)])
    one.client.completion("fake/m", ASK)
    with pytest.raises(BadRequestError):
        one.client.completion("fake/m", ASK)
    one.tell()
    assert [told.error is None for told in seen] == [True, False]


def test_what_is_no_callback_is_refused_at_once(observed):
    """With what would be one."""
    with pytest.raises(BadRequestError, match="is no callback"):
        observed([42])
    with pytest.raises(BadRequestError, match="must take"):
        observed([lambda a, b: None])


def test_no_key_is_in_an_event(observed):
    """Wherever the key was given, and whatever echoes it."""
    seen: list[Event] = []
    other = "hunter2-hunter2-hunter2"

    def echo(sent: Any) -> Reply:
        return Reply.of({"error": f"wrong: {sent.headers} {sent.url} {sent.json}"}, status=401)

    one = observed([seen.append], answers=echo)
    cases: tuple[dict[str, Any], ...] = (
        {"extra_headers": {"x-api-key": other}},
        {"aws_secret_access_key": other},
        {"api_key": other},
        {"extra_query": {"access_token": other}},
        {"extra_body": {"password": other}},
        {"metadata": {"api_key": KEY, "note": f"it is {KEY}"}},
    )
    for given in cases:
        key = other if "api_key" in given else KEY
        with pytest.raises(AuthenticationError):
            one.client.completion("fake/m", [{"role": "user", "content": f"my key is {key}"}], **given)
    one.tell()
    assert len(seen) == len(cases)
    text = json.dumps([told.to_dict() for told in seen]) + repr(seen)
    assert KEY not in text
    assert other not in text
    assert "my key is ***" in text


def test_what_only_looks_like_a_secret_by_its_name_is_told(observed):
    """A tool may have a parameter `token`; a message's text is what it is."""
    seen: list[Event] = []
    one = observed([seen.append])
    schema = {"type": "object", "properties": {"token": {"type": "string"}, "api_key": {"type": "string"}}}
    tools = [{"type": "function", "function": {"name": "f", "parameters": schema}}]
    one.client.completion("fake/m", ASK, tools=tools, vendor={"token": "hidden-0123456789"}, prompt_cache_key="k")
    one.tell()
    assert seen[0].request["tools"] == tools
    assert seen[0].request["vendor"] == {"token": "***"}
    assert seen[0].request["prompt_cache_key"] == "k"


def test_the_environment_may_say_what_is_redacted(observed, monkeypatch):
    """For every client of the process."""
    monkeypatch.setenv("POLYPORT_OBSERVE_REDACT", "email, phone")
    seen: list[Event] = []
    one = observed([seen.append])
    one.client.completion("fake/m", ASK, metadata={"email": "a@b.c", "phone": 1, "team": "x"}, phone="2")
    one.tell()
    assert seen[0].metadata == {"email": "***", "phone": "***", "team": "x"}
    assert seen[0].request["phone"] == "***"


def test_metadata_that_is_to_be_redacted_is(observed):
    """By name, in whichever depth."""
    seen: list[Event] = []
    one = observed([seen.append], redact=["email"])
    one.client.completion("fake/m", ASK, metadata={"email": "a@b.c", "who": {"email": "d@e.f"}, "team": "x"})
    one.tell()
    assert seen[0].metadata == {"email": "***", "who": {"email": "***"}, "team": "x"}
    assert "a@b.c" not in repr(seen[0])


def test_without_content_only_settings_and_frames_are_told(observed):
    """What is left out is named; nothing that was said is in the event, nor an error's message that may quote it."""
    seen: list[Event] = []

    class Exporter(Observer):
        content = False

        def on_success(self, event):
            seen.append(event)

        on_failure = on_success

    tools = [{"type": "function", "function": {"name": "f", "description": "a secret tool"}}]
    refused = Reply.of({"error": {"message": "a secret thing is not allowed", "code": "policy"}}, status=400)
    one = observed([Exporter()], answers=lambda sent: refused if "n" in sent.json else answer(sent))
    ask = [{"role": "user", "content": "a secret question"}]
    one.client.completion("fake/m", ask, tools=tools, temperature=0.5, reasoning_effort="low", guess="a secret")
    [*one.client.completion("fake/m", ask, stream=True, stop="a secret word")]
    with pytest.raises(BadRequestError):
        one.client.completion("fake/m", ask, n=2)
    one.tell()
    assert "secret" not in repr(seen)
    first, _, failed = seen
    assert first.request == {"temperature": 0.5, "reasoning_effort": "low"}
    assert first.withheld == ["guess", "messages", "tools"]
    assert first.response is not None
    assert first.response["choices"] == [{"index": 0, "finish_reason": "stop"}]
    assert first.response["usage"] == USAGE
    assert failed.error is not None
    assert (failed.error.message, failed.error.code) == (None, "policy")


def test_a_routed_call_names_its_group_and_deployment(observed):
    """And tells nothing of the deployments' own keys, wherever they come back."""
    seen: list[Event] = []
    secret = "sk-deployments-own-0123456789"

    def echo(sent: Any) -> Any:
        return Reply.of({"error": f"{sent.headers}"}, status=401) if sent.json["model"] == "bad" else completion("hi")

    one = observed([seen.append])
    router = Router(
        [
            {"model_name": "g", "params": {"model": "fake/bad", "api_key": secret}, "model_info": {"id": "d1"}},
            {"model_name": "g2", "params": {"model": "fake/good", "api_key": secret}, "model_info": {"id": "d2"}},
        ],
        http=Wire(echo),
        providers={"fake": Everything},
        middleware=[one.layer],
        fallbacks=[{"g": ["g2"]}],
        num_retries=0,
    )
    with router.client:
        router.completion("g2", ASK)
        router.completion("g", ASK)
        with pytest.raises(AuthenticationError):
            router.client.completion("fake/bad", ASK, api_key=secret)
    one.tell()
    direct, fallen_back, failed = seen
    assert (direct.group, direct.deployment, direct.model, direct.provider) == ("g2", "d2", "g2", "fake")
    assert (fallen_back.deployment, fallen_back.model) == ("d2", "g")
    assert fallen_back.attempts == 2
    assert failed.error is not None
    assert secret not in repr(seen)


def test_what_the_cache_answered_says_so(observed):
    """It cost nothing; its usage is the answer's own."""
    seen: list[Event] = []
    one = observed([seen.append])
    one.client.middleware.append(Cache().layer_for(one.client))
    for _ in range(2):
        one.client.completion("fake/m", ASK, prices=PRICES)
    [*one.client.completion("fake/m", ASK, stream=True)]
    one.tell()
    assert [told.cache_hit for told in seen] == [False, True, True]
    assert [told.attempts for told in seen] == [1, 0, 0]
    assert seen[1].cost == 0.0
