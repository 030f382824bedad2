"""The seam between surfaces and accounts: every request is admitted once and settled once, before its last byte."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import pytest

from polyport_gateway import config
from polyport_gateway.app import App
from polyport_gateway.gate import Asked, Caller, GateError, Outcome

pytest.importorskip("polyport_openai")


class Counting:
    """A gate that writes down, in the order of the wire, what it is asked and told."""

    def __init__(self, wire: list[Any], refuse: GateError | None = None) -> None:
        self.wire = wire
        self.refuse = refuse
        self.asked: list[Asked] = []
        self.caller = Caller(id="k")
        self.models = {"gpt", "team/*"}
        self.aliases = {"mine": "gpt"}
        self.policy = None
        self.headers = [(b"x-ratelimit-remaining-requests", b"4")]

    async def identify(self, token: str | None, client: str | None = None) -> Caller:
        return self.caller

    def admit_now(self, asked: Asked) -> None:
        """Each has to wait."""

    async def admit(self, asked: Asked) -> Counting:
        self.asked.append(asked)
        if self.refuse is not None:
            raise self.refuse
        return self

    def settle_now(self, outcome: Outcome) -> bool:
        """Each has to wait."""
        return False

    async def settle(self, outcome: Outcome) -> None:
        self.wire.append(outcome)

    async def aclose(self) -> None: ...


def call(upstream: Any, body: Any, *, leave_after: int | None = None, refuse: GateError | None = None) -> Any:
    """Return what went over the wire, settlements in their place, and the gate."""
    params = {"model": "openai/gpt-4o", "api_base": upstream.url, "api_key": "sk-u"}
    models = [{"model_name": name, "params": params} for name in ("gpt", "other")]
    wire: list[Any] = []
    gate = Counting(wire, refuse)

    async def run() -> None:
        app = App(config.read({"model_list": models, "router_settings": {"num_retries": 0}}), gate=gate)
        requests = [{"type": "http.request", "body": json.dumps(body).encode(), "more_body": False}]
        left = asyncio.Event()

        async def receive() -> Any:
            if requests:
                return requests.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            wire.append(message)
            if leave_after is not None and len(wire) > leave_after:
                left.set()
                await asyncio.sleep(0)

        if leave_after == 0:
            asyncio.get_running_loop().call_later(0.2, left.set)
        headers = [(b"authorization", b"Bearer sk-1")]
        scope = {"type": "http", "method": "POST", "path": "/v1/chat/completions", "query_string": b"",
                 "headers": headers, "client": ("10.0.0.1", 5)}  # fmt: skip
        await app(scope, receive, send)
        await app.aclose()

    asyncio.run(run())
    return wire, gate


CHAT = {"model": "mine", "messages": [{"role": "user", "content": "hi"}], "user": "anna"}


def only(wire: list[Any]) -> Outcome:
    """Return the one settlement, which must stand before the last byte."""
    places = [place for place, one in enumerate(wire) if isinstance(one, Outcome)]
    assert len(places) == 1, wire
    ends = [place for place, one in enumerate(wire) if isinstance(one, dict) and one.get("more_body") is False]
    assert all(places[0] < end for end in ends)
    found: Outcome = wire[places[0]]
    return found


def test_an_answer_is_settled_before_it_goes_out(well: Any) -> None:
    """With what was used, what it cost, and who it was for; the caller's alias leads to the model."""
    wire, gate = call(well, CHAT)
    outcome = only(wire)
    assert (outcome.status, outcome.usage, outcome.provider) == (200, {"input": 7, "output": 3}, "openai")
    assert outcome.nano == 47_500
    asked = gate.asked[0]
    assert (asked.token, asked.client, asked.user, asked.operation) == ("sk-1", "10.0.0.1", "anna", "completion")
    start = next(one for one in wire if isinstance(one, dict))
    assert (b"x-ratelimit-remaining-requests", b"4") in start["headers"]
    assert asked.request_id == outcome.request_id


def test_a_stream_is_settled_before_its_end(well: Any) -> None:
    """Usage comes with the last chunk, which the caller did not ask for and does not get."""
    wire, _ = call(well, {**CHAT, "stream": True})
    outcome = only(wire)
    assert (outcome.usage, outcome.nano) == ({"input": 7, "output": 3}, 47_500)
    assert wire[-1]["body"] == b"data: [DONE]\n\n"
    assert b'"usage"' not in b"".join(one.get("body", b"") for one in wire if isinstance(one, dict))


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_is_settled(well: Any, stream: bool) -> None:
    """As 499, with what is known by then."""
    well.slow = 0.6
    wire, _ = call(well, {**CHAT, "stream": stream}, leave_after=1 if stream else 0)
    assert only(wire).status == 499
    assert all(one.get("more_body") is not False for one in wire if isinstance(one, dict))


def test_failures_are_settled(well: Any) -> None:
    """A model that the key may not have, and a provider that fails."""
    wire, _ = call(well, {**CHAT, "model": "other"})
    assert only(wire).status == 403
    assert not well.asked
    well.failing = (500, {}, {"error": {"message": "broken"}})
    wire, _ = call(well, CHAT)
    outcome = only(wire)
    assert (outcome.status, outcome.error, "broken" in outcome.message) == (500, "InternalServerError", True)
    assert [one.error for one in outcome.failures] == ["InternalServerError"]


def test_who_is_refused_is_told_when_to_come_back(well: Any) -> None:
    """In the surface's shape, with the gate's own headers; nothing is settled and nothing sent."""
    error = GateError(429, "rate_limit_exceeded", "Too many", retry_after=12.2, headers={"x-ratelimit-limit": "1"})
    wire, _ = call(well, CHAT, refuse=error)
    start, body = wire
    assert start["status"] == 429
    assert (b"retry-after", b"13") in start["headers"]
    assert (b"x-ratelimit-limit", b"1") in start["headers"]
    assert json.loads(body["body"])["error"]["code"] == "rate_limit_exceeded"
    assert not well.asked


@pytest.mark.parametrize(
    "name", ["aws_bedrock_runtime_endpoint", "aws_region_name", "aws_role_name", "s3_bucket_name", "s3_endpoint_url"]
)
def test_where_bedrock_is_asked_is_no_callers_to_choose(name: str) -> None:
    """Else the gateway's credentials would sign requests to wherever a caller says."""
    pytest.importorskip("polyport_bedrock")
    params = {"model": "bedrock/amazon.nova-lite-v1:0", "aws_region_name": "eu-west-1"}
    app = App(config.read({"model_list": [{"model_name": "nova", "litellm_params": params}]}))
    body = {"model": "nova", "messages": [{"role": "user", "content": "hi"}], name: "http://127.0.0.1:9"}

    async def main() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway") as client:
            reply = await client.post("/v1/chat/completions", json=body)
        await app.aclose()
        return reply

    reply = asyncio.run(main())
    assert reply.status_code == 400
    assert f"$.{name} is set by the gateway's configuration" in reply.json()["error"]["message"]
