"""Two gateways, each a process, on one PostgreSQL and one Redis: budgets, limits and keys are one; nothing is lost.

What goes wrong around them (databases that stop, providers that hang, reset, drip and lie) is put on while callers go
on calling. POLYPORT_CHAOS makes the load of each phase so many times as long. The table of it is printed (`-s`).
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import select

pytest.importorskip("redis", reason="pip install polyport-gateway[redis]")

from sqlalchemy import func

from polyport_gateway.store import Store, tables

from .conftest import KEY, USAGE, Gateway, Upstream
from .services import PostgreSQL, Redis, postgres, redis

CHAOS = float(os.environ.get("POLYPORT_CHAOS", "1"))
#: Replies of a phase at least, and callers.
REPLIES, CALLERS = int(30 * CHAOS), 8
#: What one call costs in USD: three tokens of answer.
PRICE = 0.004
COST = USAGE["completion_tokens"] * PRICE
ADMIN = {"authorization": f"Bearer {KEY}"}
HELLO = {"model": "gpt", "messages": [{"role": "user", "content": "Hello?"}], "max_tokens": 3}

Pair = tuple[Gateway, Gateway]


class Shared:
    """Two gateways and what they share."""

    def __init__(self, pair: Pair, database: PostgreSQL, memory: Redis) -> None:
        self.pair, self.database, self.memory = pair, database, memory
        self.urls = [one.url for one in pair]

    def key(self, **body: Any) -> dict[str, Any]:
        """Make a key."""
        reply = httpx.post(f"{self.urls[0]}/key/generate", json=body, headers=ADMIN, timeout=60, trust_env=False)
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found


def settings(url: str, database: str, memory: str, **more: Any) -> dict[str, Any]:
    """Return the configuration of both."""
    params = {"model": "openai/gpt-4o", "api_base": url, "api_key": "sk-upstream-secret"}
    prices = {"input_cost_per_token": 0.0, "output_cost_per_token": PRICE}
    return {
        "model_list": [{"model_name": "gpt", "litellm_params": {**params, **prices}}],
        "general_settings": {"master_key": KEY, "database_url": database, "redis_url": memory},
        "router_settings": {"num_retries": 0, **more},
    }


@pytest.fixture(scope="module")
def shared(
    upstream: Upstream, start: Callable[..., Gateway], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shared]:
    """Two gateways before a provider that answers."""
    with postgres() as database, redis(tmp_path_factory.mktemp("redis")) as memory:
        given = settings(upstream.url, database.url, memory.url)
        yield Shared((start(given), start(given)), database, memory)


async def many(urls: list[str], key: str, count: int, **body: Any) -> list[httpx.Response]:
    """Call `count` times at once, in turn on each."""
    limits = httpx.Limits(max_connections=count)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(headers=headers, timeout=120, limits=limits, trust_env=False) as client:
        calls = (
            client.post(f"{urls[number % len(urls)]}/v1/chat/completions", json={**HELLO, **body})
            for number in range(count)
        )
        return list(await asyncio.gather(*calls))


def spent(shared: Shared, made: dict[str, Any], least: float) -> float:
    """Return what the ledger says of a key, once it is so much and no more comes."""
    url = f"{shared.urls[1]}/key/info"
    found, before, end = -1.0, -2.0, time.monotonic() + 60
    while found != before or (found < least and time.monotonic() < end):
        time.sleep(1.0)
        reply = httpx.get(url, params={"key_id": made["key_id"]}, headers=ADMIN, timeout=60, trust_env=False)
        before, found = found, float(reply.json()["spend"])
    return found


@pytest.mark.parametrize("limit", [3, 1])
def test_a_dollar_is_shared_by_64_callers_of_two_gateways(shared: Shared, well: Any, limit: int) -> None:
    """Where what a call may cost is known before, to the cent; else overspent by no more than what was in flight."""
    made = shared.key(max_budget=1)

    async def run() -> Counter[int]:
        found: Counter[int] = Counter()
        while not found[400]:
            found += Counter(one.status_code for one in await many(shared.urls, made["key"], 64, max_tokens=limit))
        return found

    found = asyncio.run(run())
    assert set(found) == {200, 400}
    total = spent(shared, made, found[200] * COST * 0.999999)
    assert total == pytest.approx(found[200] * COST)
    assert total <= 1 + (0 if limit == 3 else 64 * (COST - limit * PRICE))
    assert total > 1 - COST
    print(f"budget $1, answers of {limit} tokens foreseen: {found[200]} calls, ${total:.3f}")


def test_requests_a_minute_are_exact_over_two_gateways(shared: Shared, well: Any) -> None:
    """Of 120 at once, exactly as many as may get in; the others are told when to come back."""
    made = shared.key(rpm_limit=40)
    replies = asyncio.run(many(shared.urls, made["key"], 120))
    assert Counter(one.status_code for one in replies) == {200: 40, 429: 80}
    assert all(0 < int(one.headers["retry-after"]) <= 63 for one in replies if one.status_code == 429)


def test_a_key_that_is_blocked_on_one_is_refused_by_the_other_within_a_second(shared: Shared, well: Any) -> None:
    """No call that begins a second later is let in."""
    made = shared.key()
    key = {"authorization": f"Bearer {made['key']}"}
    with httpx.Client(timeout=60, trust_env=False) as client:
        url = f"{shared.urls[1]}/v1/models"
        assert client.get(url, headers=key).status_code == 200
        reply = client.post(f"{shared.urls[0]}/key/block", json={"key_id": made["key_id"]}, headers=ADMIN)
        assert reply.status_code == 200
        blocked = time.monotonic()
        while True:
            begun = time.monotonic() - blocked
            if client.get(url, headers=key).status_code == 403:
                break
            assert begun < 1
    print(f"refused {begun:.2f} s after the block")


def test_official_sdks_know_what_refused_them(shared: Shared, well: Any) -> None:
    """openai's and anthropic's own classes, codes, waiting times and headers, for limits and for budgets."""
    openai = pytest.importorskip("openai")
    anthropic = pytest.importorskip("anthropic")
    once = {"rpm_limit": 1, "tpm_limit": 5000}
    url = shared.urls[0]
    ours = [openai.OpenAI(api_key=shared.key(**body)["key"], base_url=f"{url}/v1", max_retries=0, timeout=60)
            for body in (once, {"max_budget": 0})]  # fmt: skip
    theirs = [anthropic.Anthropic(api_key=shared.key(**body)["key"], base_url=url, max_retries=0, timeout=60)
              for body in (once, {"max_budget": 0})]  # fmt: skip
    told = ours[0].chat.completions.with_raw_response.create(**HELLO).headers
    assert (told["x-ratelimit-limit-requests"], told["x-ratelimit-remaining-requests"]) == ("1", "0")
    assert told["x-ratelimit-reset-requests"] == told["x-ratelimit-reset-tokens"] == "1m0s"
    with pytest.raises(openai.RateLimitError) as limited:
        ours[0].chat.completions.create(**HELLO)
    assert (limited.value.code, limited.value.type) == ("rate_limit_exceeded", "rate_limit_error")
    assert 0 < int(limited.value.response.headers["retry-after"]) <= 63
    assert limited.value.response.headers["x-ratelimit-remaining-requests"] == "0"
    with pytest.raises(openai.BadRequestError) as spent:
        ours[1].chat.completions.create(**HELLO)
    assert spent.value.code == "budget_exceeded"
    told = theirs[0].messages.with_raw_response.create(**HELLO).headers
    assert told["anthropic-ratelimit-requests-remaining"] == "0"
    assert told["anthropic-ratelimit-tokens-reset"].endswith("Z")
    with pytest.raises(anthropic.RateLimitError) as slow:
        theirs[0].messages.create(**HELLO)
    assert slow.value.body["error"]["type"] == "rate_limit_error"
    assert 0 < int(slow.value.response.headers["retry-after"]) <= 63
    with pytest.raises(anthropic.BadRequestError) as broke:
        theirs[1].messages.create(**HELLO)
    assert broke.value.body["error"]["type"] == "invalid_request_error"
    for client in (*ours, *theirs):
        client.close()


# --- what goes wrong around them ---


class Odd:
    """A provider on a bare socket, which answers as `mode` says."""

    def __init__(self) -> None:
        self.mode = "well"
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._held: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more."""
        self._socket.close()
        for one in self._held:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._held.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as lines:
                while self._one(connection, lines):
                    pass
        except (OSError, ValueError):
            pass

    def _one(self, connection: socket.socket, lines: Any) -> bool:
        length = 0
        while (line := lines.readline()) not in (b"\r\n", b""):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        asked = lines.read(length)
        if not asked:
            return False
        return bool(getattr(self, f"_{self.mode}")(connection, b'"stream":true' in asked.replace(b" ", b"")))

    def _well(self, connection: socket.socket, stream: bool) -> bool:
        connection.sendall(_stream() if stream else _whole())
        return True

    def _hangs(self, connection: socket.socket, stream: bool) -> bool:
        time.sleep(30)
        return False

    def _resets(self, connection: socket.socket, stream: bool) -> bool:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        connection.sendall((_stream() if stream else _whole())[:150])
        return False

    def _drips(self, connection: socket.socket, stream: bool) -> bool:
        data = _stream() if stream else _whole()
        for start in range(0, len(data), 40):
            connection.sendall(data[start : start + 40])
            time.sleep(0.002)
        return True

    def _promises(self, connection: socket.socket, stream: bool) -> bool:
        """Says that more is to come than comes."""
        connection.sendall(_whole(more=500))
        return False

    def _exceeds(self, connection: socket.socket, stream: bool) -> bool:
        """Sends more than it says."""
        connection.sendall(_whole(more=-20))
        return False

    def _babbles(self, connection: socket.socket, stream: bool) -> bool:
        connection.sendall(b"I am no HTTP server\r\n\r\n")
        return False


def _whole(more: int = 0) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}
    body = json.dumps({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice],
                       "usage": USAGE}).encode()  # fmt: skip
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body) + more}\r\n\r\n"
    return head.encode() + body


def _stream() -> bytes:
    frame = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas = [({"content": "hello"}, None), ({"content": "!"}, None), ({}, "stop")]
    events = [{**frame, "choices": [{"index": 0, "delta": one, "finish_reason": end}]} for one, end in deltas]
    told = [json.dumps(one) for one in [*events, {**frame, "choices": [], "usage": USAGE}]]
    body = "".join(f"data: {one}\n\n" for one in [*told, "[DONE]"]).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


class Phase(msgspec.Struct):
    """What callers saw while something was wrong."""

    name: str
    delivered: list[str] = []
    refused: Counter[str] = msgspec.field(default_factory=Counter)
    seconds: float = 0.0

    @property
    def told(self) -> str:
        """How calls were refused, the most frequent first."""
        return ", ".join(f"{count} x {name}" for name, count in self.refused.most_common()) or "-"


@contextmanager
def calling(urls: list[str], key: str, phase: Phase) -> Iterator[None]:
    """Have callers call, every other one streaming, until what is done meanwhile is done."""
    over = threading.Event()
    headers = {"authorization": f"Bearer {key}"}

    def call(number: int) -> None:
        url = f"{urls[number % len(urls)]}/v1/chat/completions"
        stream = number % 4 >= 2
        with httpx.Client(headers=headers, timeout=60, trust_env=False) as client:
            while not over.is_set():
                try:
                    reply = client.post(url, json={**HELLO, "stream": stream})
                except httpx.TransportError as error:
                    phase.refused[type(error).__name__] += 1
                    continue
                whole = reply.status_code == 200 and (not stream or reply.text.endswith("data: [DONE]\n\n"))
                if whole:
                    phase.delivered.append(reply.headers["x-polyport-request-id"])
                else:
                    phase.refused[str(reply.status_code) if reply.status_code != 200 else "cut stream"] += 1
                    time.sleep(0.02)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
        phase.seconds = time.monotonic() - start


def until(condition: Callable[[], bool], within: float = 120.0) -> None:
    """Wait for a condition."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def resident(gateway: Gateway) -> float:
    """Return the memory of a process, in MB."""
    status = Path(f"/proc/{gateway.process.pid}/status").read_text(encoding="ascii")
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def test_whatever_goes_wrong_around_them_no_reply_is_lost(
    start: Callable[..., Gateway], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every reply that came whole is in the ledger, once; callers are told of the others; memory stays flat."""
    odd = Odd()
    with postgres() as database, redis(tmp_path) as memory:
        given = settings(odd.url, database.url, memory.url, timeout=5)
        shared = Shared((start(given), start(given)), database, memory)
        key = shared.key(max_budget=1_000_000, rpm_limit=10_000_000)["key"]
        phases: list[Phase] = []

        def phase(name: str, mode: str = "well") -> Phase:
            odd.mode = mode
            phases.append(Phase(name=name))
            return phases[-1]

        def busy(one: Phase, more: int = REPLIES) -> None:
            count = len(one.delivered) + one.refused.total()
            until(lambda: len(one.delivered) + one.refused.total() >= count + more)

        with calling(shared.urls, key, one := phase("all is well")):
            busy(one, 5 * REPLIES)
        before = [resident(gateway) for gateway in shared.pair]
        with calling(shared.urls, key, one := phase("PostgreSQL stops and starts")):
            database.stop()
            busy(one)
            database.start()
            busy(one)
        with calling(shared.urls, key, one := phase("Redis stops and starts")):
            memory.stop()
            busy(one)
            memory.start()
            busy(one)
        for name, mode in (
            ("upstream hangs", "hangs"), ("upstream resets", "resets"), ("upstream drips", "drips"),
            ("upstream sends less than it says", "promises"), ("upstream sends more than it says", "exceeds"),
            ("upstream speaks no HTTP", "babbles"),
        ):  # fmt: skip
            with calling(shared.urls, key, one := phase(name, mode)):
                busy(one, REPLIES if mode != "hangs" else 2 * CALLERS)
        with calling(shared.urls, key, one := phase("all is well again")):
            until(lambda: len(one.delivered) > 2 * REPLIES)
        after = [resident(gateway) for gateway in shared.pair]
        rows, days = asyncio.run(kept(database.url, {name for one in phases for name in one.delivered}))
        stopped = [gateway.stop() for gateway in shared.pair]
    odd.close()
    with capsys.disabled():
        tell(phases, rows, before, after)
    ids = Counter(rows)
    assert not {name for one in phases for name in one.delivered} - ids.keys()
    assert set(ids.values()) == {1}
    assert days == len(rows)
    by_name = {one.name: one for one in phases}
    assert not by_name["all is well"].refused
    assert by_name["PostgreSQL stops and starts"].delivered
    assert not by_name["Redis stops and starts"].refused
    assert not by_name["upstream hangs"].delivered
    assert not by_name["upstream drips"].refused
    assert all(new < old + 40 for old, new in zip(before, after, strict=True))
    assert stopped == [0, 0]


async def kept(url: str, delivered: set[str]) -> tuple[list[str], int]:
    """Return the ids in the ledger, once all that were delivered are there or a while has passed, and the days' sum."""
    store = Store(url)
    rows: list[str] = []
    days = 0
    for _ in range(600):
        async with store.transaction() as connection:
            rows = list((await connection.execute(select(tables.ledger.c.id))).scalars())
            days = int((await connection.execute(select(func.sum(tables.days.c.requests)))).scalar_one() or 0)
        if delivered <= set(rows):
            break
        await asyncio.sleep(0.1)
    await store.aclose()
    return rows, days


def tell(phases: list[Phase], rows: list[str], before: list[float], after: list[float]) -> None:
    """Print what happened."""
    there = Counter(rows)
    print(f"\n{'while':34} {'seconds':>7} {'whole':>6} {'lost':>5} {'twice':>6}  otherwise")
    for one in phases:
        lost = sum(name not in there for name in one.delivered)
        twice = sum(there[name] > 1 for name in one.delivered)
        print(f"{one.name:34} {one.seconds:7.1f} {len(one.delivered):6} {lost:5} {twice:6}  {one.told}")
    told = ", ".join(f"{old:.0f} -> {new:.0f}" for old, new in zip(before, after, strict=True))
    print(f"{len(rows)} rows in the ledger; MB resident: {told}")
