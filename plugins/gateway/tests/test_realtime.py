"""Realtime sessions: the official SDK over the gateway, with limits and a ledger, to a provider on real sockets."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.server import Response, ServerConnection, serve as serve_sockets
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from .waiting import until

pytest.importorskip("polyport_openai")

pytest.importorskip("openai")
import openai

MASTER = "sk-master-1234"
SECRET = "sk-upstream-secret"
USAGE = {
    "total_tokens": 40, "input_tokens": 30, "output_tokens": 10,
    "input_token_details": {"text_tokens": 10, "audio_tokens": 20, "cached_tokens": 5,
                            "cached_tokens_details": {"text_tokens": 5, "audio_tokens": 0}},
    "output_token_details": {"text_tokens": 4, "audio_tokens": 6},
}  # fmt: skip


class Provider:
    """A realtime provider in a thread of its own. `asked` has the path and headers of each session."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Headers]] = []
        self.heard: list[Any] = []
        self.closed: list[int | None] = []
        self.refuse: Response | None = None
        #: What a session.update is answered with, beside what it says; None: with nothing.
        self.updates: dict[str, Any] | None = None
        self.finish = threading.Event()
        self.finish.set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(60)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._over = asyncio.Event()
        async with serve_sockets(self._session, "127.0.0.1", 0, process_request=self._process, max_size=None) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            self._ready.set()
            await self._over.wait()

    def _process(self, connection: ServerConnection, request: Any) -> Response | None:
        self.asked.append((request.path, request.headers))
        return self.refuse

    async def _session(self, connection: ServerConnection) -> None:
        await connection.send(json.dumps({"type": "session.created", "event_id": "e", "session": {"id": "s"}}))
        try:
            async for frame in connection:
                self.heard.append(frame)
                if isinstance(frame, bytes):
                    await connection.send(frame[::-1])
                else:
                    await self._answer(connection, json.loads(frame))
        except ConnectionClosed:
            pass
        self.closed.append(connection.close_code)

    async def _answer(self, connection: ServerConnection, event: dict[str, Any]) -> None:
        if event["type"] == "response.create":
            await connection.send(json.dumps({"type": "response.created", "response": {"id": "r"}}))
            await asyncio.to_thread(self.finish.wait, 20)
            text = {"type": "response.output_text.delta", "delta": 'hi "response.done"', "own": 1.5}
            await connection.send(json.dumps(text))
            done = {"type": "response.done", "event_id": "d", "response": {"id": "r", "usage": USAGE}}
            await connection.send(json.dumps(done))
        elif event["type"] == "session.update" and self.updates is not None:
            session = {"id": "s", **event["session"]}
            await connection.send(json.dumps({"type": "session.updated", "session": session, **self.updates}))
        elif event["type"] == "bye":
            await connection.close(event["code"], "as asked")
        elif event["type"] == "large":
            await connection.send("x" * event["size"])

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join(60)


@pytest.fixture(scope="module")
def serving() -> Iterator[Provider]:
    """The provider."""
    made = Provider()
    yield made
    made.stop()


@pytest.fixture
def provider(serving: Provider) -> Iterator[Provider]:
    """The provider, with nothing asked yet."""
    for seen in (serving.asked, serving.heard, serving.closed):
        seen.clear()
    yield serving
    serving.refuse = serving.updates = None
    serving.finish.set()


def config(port: int, **sections: Any) -> dict[str, Any]:
    """Return a configuration of one model, with prices: 1 USD a million tokens read, 2 a million written."""
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    params = {"model": "openai/gpt-realtime", "api_base": f"http://127.0.0.1:{port}/v1", "api_key": SECRET, **prices}
    general = {"master_key": MASTER, **sections.pop("general_settings", {})}
    return {"model_list": [{"model_name": "voice", "litellm_params": params}], "general_settings": general, **sections}


@pytest.fixture(scope="module")
def gateway(serving: Provider, start: Callable[..., Any]) -> Any:
    """A gateway in front of it."""
    return start(config(serving.port, general_settings={"realtime": {"max_message_mb": 1}}))


def address(gateway: Any, query: str = "?model=voice") -> str:
    """Return where sessions are."""
    return f"{gateway.url.replace('http', 'ws')}/v1/realtime{query}"


@contextmanager
def session(gateway: Any, key: str = MASTER) -> Iterator[ClientConnection]:
    """A session that has begun."""
    with connect(address(gateway), additional_headers={"authorization": f"Bearer {key}"}, max_size=None) as made:
        assert json.loads(made.recv(60))["type"] == "session.created"
        yield made


def said(made: ClientConnection, *until: str) -> list[dict[str, Any]]:
    """Return the events up to one of these types."""
    found: list[dict[str, Any]] = []
    while not found or found[-1]["type"] not in until:
        found.append(json.loads(made.recv(60)))
    return found


def call(gateway: Any, method: str, path: str, **more: Any) -> Any:
    """Return what the management says."""
    reply = httpx.request(method, gateway.url + path, headers={"authorization": f"Bearer {MASTER}"}, timeout=60, **more)
    assert reply.is_success, reply.text
    return reply.json()


def new_key(gateway: Any, **about: Any) -> str:
    """Make a virtual key."""
    return str(call(gateway, "POST", "/key/generate", json=about)["key"])


def id_of(gateway: Any, key: str) -> str:
    """Return a key's id, which the ledger knows it by."""
    return str(call(gateway, "GET", "/key/info", params={"key": key})["key_id"])


def rows(gateway: Any, count: int, **by: Any) -> list[dict[str, Any]]:
    """Return the ledger's rows, once there are so many; and no more come."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = call(gateway, "GET", "/spend/logs", params=by)["results"]
        if len(found) >= count:
            assert len(found) == count, found
            return list(found)
        time.sleep(0.05)
    raise AssertionError("the ledger does not have them")


@pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")  # the SDK's own, of its websockets client
def test_the_official_sdk_holds_a_session(gateway: Any, provider: Provider) -> None:
    """Events come as the provider sent them; the ledger has each response, and what it cost."""
    key = new_key(gateway)
    client = openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, organization="theirs")
    kinds = []
    with client, client.realtime.connect(model="voice") as connection:
        connection.session.update(session={"type": "realtime", "instructions": "Be brief."})
        connection.response.create()
        for event in connection:
            kinds.append(event.type)
            if event.type == "response.done":
                assert event.response.usage.total_tokens == 40
                break
    assert kinds == ["session.created", "response.created", "response.output_text.delta", "response.done"]
    path, headers = provider.asked[0]
    assert path == "/v1/realtime?model=gpt-realtime"
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert "openai-organization" not in headers
    assert json.loads(provider.heard[0])["session"]["instructions"] == "Be brief."
    last, first = rows(gateway, 2, key=id_of(gateway, key))
    assert (first["operation"], first["model"], first["status"]) == ("realtime", "voice", 200)
    assert (first["prompt"], first["completion"]) == (30, 10)
    assert first["spend"] == pytest.approx(30e-6 + 20e-6)
    assert (last["prompt"], last["spend"], last["status"]) == (0, 0, 200)


def test_keys_stand_where_sdks_put_them(gateway: Any, provider: Provider) -> None:
    """In a subprotocol, as browsers must, or in the address; the provider sees none of it."""
    offered = ["realtime", f"openai-insecure-api-key.{MASTER}"]
    with connect(address(gateway), subprotocols=offered) as made:
        assert made.subprotocol == "realtime"
        assert json.loads(made.recv(60))["type"] == "session.created"
    for name in ("api-key", "key"):
        with connect(address(gateway, f"?model=voice&{name}={MASTER}")) as made:
            assert json.loads(made.recv(60))["type"] == "session.created"
    assert all(MASTER not in path and MASTER not in str(headers) for path, headers in provider.asked)


def test_who_may_not_is_told_in_the_handshake(gateway: Any, provider: Provider) -> None:
    """With HTTP's status, and an error in OpenAI's shape."""
    bound = new_key(gateway, models=["other"])
    for key, query, status in (
        ("sk-wrong", "?model=voice", 401), (MASTER, "?model=nope", 404), (MASTER, "", 400),
        (bound, "?model=voice", 403),
    ):  # fmt: skip
        headers = {"authorization": f"Bearer {key}"}
        with pytest.raises(InvalidStatus) as refused, connect(address(gateway, query), additional_headers=headers):
            pass
        assert refused.value.response.status_code == status
        assert json.loads(refused.value.response.body)["error"]["message"]
    assert not provider.asked


def test_a_providers_refusal_is_told_without_its_key(gateway: Any, provider: Provider) -> None:
    """A key of the gateway's that is not taken is no fault of the caller's; redirects are not followed."""
    for status, seen in ((401, 502), (429, 429), (302, 502)):
        headers = Headers({"location": f"http://127.0.0.1:{provider.port}/elsewhere", "content-length": "25"})
        provider.refuse = Response(status, "No", headers, f"wrong {SECRET} ".encode().ljust(25)[:25])
        with pytest.raises(InvalidStatus) as refused, session(gateway):
            pass
        assert refused.value.response.status_code == seen
        assert SECRET.encode() not in refused.value.response.body
    assert len(provider.asked) == 3


def test_frames_pass_both_ways(gateway: Any, provider: Provider) -> None:
    """Text and bytes, in order; and what looks like an event inside a text is none."""
    with session(gateway) as made:
        for number in range(50):
            made.send(bytes([number]) * 3)
        assert [made.recv(60) for _ in range(50)] == [bytes([number]) * 3 for number in range(50)]
        made.send(json.dumps({"type": "response.create"}))
        assert said(made, "response.done")[-2]["own"] == 1.5


def test_a_used_up_budget_ends_a_session(gateway: Any, provider: Provider) -> None:
    """After the response that used it up, with an error event."""
    key = new_key(gateway, max_budget=0.00203)
    with session(gateway, key) as made:
        made.send(json.dumps({"type": "response.create"}))
        events = said(made, "error")
        assert [event["type"] for event in events][-2:] == ["response.done", "error"]
        assert events[-1]["error"]["code"] == "budget_exceeded"
        with pytest.raises(ConnectionClosed):
            made.recv(60)
        assert made.close_code == 1008
    with pytest.raises(InvalidStatus), session(gateway, key):
        pass


def test_a_providers_spent_budget_ends_sessions(provider: Provider, start: Callable[..., Any]) -> None:
    """As a key's does: after the response that used it up; there is no other session then."""
    budget = {"provider_budget_config": {"openai": {"budget_limit": 0.00203}}}
    gateway = start(config(provider.port, router_settings=budget))
    with session(gateway) as made:
        made.send(json.dumps({"type": "response.create"}))
        events = said(made, "error")
        assert [event["type"] for event in events][-2:] == ["response.done", "error"]
        assert events[-1]["error"]["code"] == "budget_exceeded"
    with pytest.raises(InvalidStatus) as refused, session(gateway):
        pass
    assert refused.value.response.status_code == 429


def test_limits_hold_for_sessions(gateway: Any, provider: Provider) -> None:
    """A key with one parallel request has one session; when that is over, another."""
    key = new_key(gateway, max_parallel_requests=1)
    with session(gateway, key), pytest.raises(InvalidStatus) as refused, session(gateway, key):
        pass
    assert refused.value.response.status_code == 429
    end = time.monotonic() + 20
    while True:
        try:
            with session(gateway, key):
                break
        except InvalidStatus:
            assert time.monotonic() < end


@pytest.mark.parametrize("code", [1000, 4001])
def test_either_side_may_close(gateway: Any, provider: Provider, code: int) -> None:
    """And the other is told with the same code."""
    with session(gateway) as made:
        made.send(json.dumps({"type": "bye", "code": code}))
        with pytest.raises(ConnectionClosed):
            made.recv(60)
        assert (made.close_code, made.close_reason) == (code, "as asked")
    until(lambda: provider.closed, "the provider's side is closed")
    provider.closed.clear()
    with session(gateway) as made:
        made.close(code)
    end = time.monotonic() + 20
    while not provider.closed and time.monotonic() < end:
        time.sleep(0.02)
    assert provider.closed == [code]


def test_a_lost_caller_is_settled_once(gateway: Any, provider: Provider) -> None:
    """In the middle of a response: with what was set aside for it, as nobody will tell what it used."""
    key = new_key(gateway, max_budget=5)
    provider.finish.clear()
    with session(gateway, key) as made:
        made.send(json.dumps({"type": "response.create"}))
        said(made, "response.created")
        made.socket.shutdown(2)
    (row,) = rows(gateway, 1, key=id_of(gateway, key))
    assert (row["status"], row["estimated"]) == (499, True)
    assert row["spend"] == row["reserved"] > 0
    provider.finish.set()


def test_messages_have_a_largest_size(gateway: Any, provider: Provider) -> None:
    """On either side."""
    with session(gateway) as made:
        made.send("x" * (1024 * 1024 + 1))
        with pytest.raises(ConnectionClosed):
            made.recv(60)
        assert made.close_code == 1009
    with session(gateway) as made:
        made.send(json.dumps({"type": "large", "size": 1024 * 1024 + 1}))
        with pytest.raises(ConnectionClosed):
            made.recv(60)
        assert made.close_code == 1009


def test_sessions_end_when_nothing_is_said_or_they_are_old(provider: Provider, start: Callable[..., Any]) -> None:
    """With an event that says why."""
    for settings, code in (
        ({"idle_seconds": 0.3}, "session_idle"),
        ({"max_seconds": 0.3}, "session_expired"),
    ):
        gateway = start(config(provider.port, general_settings={"realtime": settings}))
        with session(gateway) as made:
            assert said(made, "error")[-1]["error"]["code"] == code
            with pytest.raises(ConnectionClosed):
                made.recv(60)
        gateway.stop()


def test_sessions_say_in_their_address_what_calls_have_to(provider: Provider, start: Callable[..., Any]) -> None:
    """As they have no body; who is blocked has none, and the provider is not told."""
    general = {"required_params": ["user", "metadata.project"], "blocked_customers": ["spammer"]}
    gateway = start(config(provider.port, general_settings=general))
    headers = {"authorization": f"Bearer {MASTER}"}
    for more, status in (("", 400), ("&user=u", 400), ("&user=spammer&metadata.project=p", 403)):
        with pytest.raises(InvalidStatus) as refused:
            connect(address(gateway, f"?model=voice{more}"), additional_headers=headers)
        assert refused.value.response.status_code == status, more
    assert provider.asked == []
    where = address(gateway, "?model=voice&user=u&metadata.project=p")
    with connect(where, additional_headers=headers) as made:
        assert json.loads(made.recv(60))["type"] == "session.created"
        made.send(json.dumps({"type": "response.create"}))
        said(made, "response.done")
    assert provider.asked[0][0] == "/v1/realtime?model=gpt-realtime"

    def spent() -> bool:
        report = call(gateway, "GET", "/spend/report", params={"group_by": "customer"})["results"]
        return any(row["customer"] == "u" and row["spend"] > 0 for row in report)

    until(spent, "the response is the customer's")


def test_guardrails_are_not_gone_around(provider: Provider, start: Callable[..., Any]) -> None:
    """Where there are some, there are no sessions, unless the configuration says so."""
    pytest.importorskip("polyport_guardrails")
    rail = {"guardrail": "deny-list", "mode": "pre_call", "words": ["x"]}
    rails = [{"guardrail_name": "g", "litellm_params": rail}]
    gateway = start(config(provider.port, guardrails=rails))
    with pytest.raises(InvalidStatus) as refused, session(gateway):
        pass
    assert refused.value.response.status_code == 403
    open_to = start(config(provider.port, guardrails=rails, general_settings={"realtime": {"unguarded": True}}))
    with session(open_to):
        pass


def test_a_stopping_gateway_lets_a_response_finish(provider: Provider, start: Callable[..., Any]) -> None:
    """Then it says that it goes, and is gone."""
    gateway = start(config(provider.port))
    provider.finish.clear()
    with session(gateway) as made, session(gateway) as idle:
        made.send(json.dumps({"type": "response.create"}))
        said(made, "response.created")
        gateway.process.send_signal(signal.SIGTERM)
        with pytest.raises(ConnectionClosed):
            idle.recv(60)
        assert idle.close_code == 1001
        provider.finish.set()
        assert said(made, "response.done")
        with pytest.raises(ConnectionClosed):
            made.recv(60)
        assert made.close_code == 1001
    assert gateway.stop() == 0
