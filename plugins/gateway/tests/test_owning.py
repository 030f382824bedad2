"""What a provider keeps for a caller is that caller's: files, batches, videos, responses; and a batch is paid once."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from polyport.operations import BY_FUNCTION
from polyport_gateway import config, management as manage, owning, spending
from polyport_gateway.assembly import app_of
from polyport_gateway.identity import MASTER
from polyport_gateway.keeper import Keeper
from polyport_gateway.limits import MemoryLimits

from .services import Answering, Local, listening

MASTER_KEY = "sk-master-1234"
#: What a batch used, as its provider tells it.
USED = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100}


class Provider(Local):
    """Keeps files, batches and responses, and gives anybody anything."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.numbers = itertools.count(1)
        self.kept: dict[str, dict[str, Any]] = {}
        self.tells_usage = True
        self.url = f"{self.address}/v1"

    def new(self, kind: str, **more: Any) -> dict[str, Any]:
        """Make something."""
        name = f"{kind}-{next(self.numbers)}"
        self.kept[name] = {"id": name, "object": kind, "created_at": 1_764_590_000, **more}
        return self.kept[name]


class Handler(Answering):
    """Answers as OpenAI does."""

    server: Provider

    def serve(self) -> None:
        body = self.body()
        asked = json.loads(body) if body.startswith(b"{") else {}
        kind, name, *more = [*self.path.removeprefix("/v1/").split("?")[0].split("/"), "", ""][:3]
        provider = self.server
        if self.path.partition("?")[0].endswith(":generateContent"):
            content = {"role": "model", "parts": [{"text": "hi"}]}
            return self.send(json.dumps({"candidates": [{"content": content, "finishReason": "STOP"}]}).encode())
        if more[0] == "content":
            answer = {"model": "gpt-4o", "usage": {"prompt_tokens": 1000, "completion_tokens": 100}, "id": "c"}
            line = {"custom_id": "1", "response": {"status_code": 200, "body": answer}}
            return self.send(json.dumps(line).encode() + b"\n")
        if name and kind != "chat":
            return self.send(json.dumps(provider.kept[name]).encode())
        if self.command == "GET":
            found = [one for one in provider.kept.values() if one["id"].startswith(kind[:4])]
            listed = {"object": "list", "data": found, "has_more": False}
            return self.send(json.dumps(listed).encode())
        if kind == "files":
            made = provider.new("file", bytes=3, filename="f.jsonl", purpose="batch", status="processed")
        elif kind == "batches":
            usage = {"usage": USED} if provider.tells_usage else {}
            made = provider.new(
                "batch", endpoint="/v1/chat/completions", status="completed", input_file_id=asked["input_file_id"],
                output_file_id=f"file-out-{next(provider.numbers)}", completion_window="24h", model="gpt-4o",
                completed_at=1_764_590_400, **usage,
            )  # fmt: skip
        elif kind == "responses":
            made = provider.new(
                "response", model="gpt-4o", status="completed",
                output=[{"type": "message", "id": "o", "role": "assistant", "status": "completed",
                         "content": [{"type": "output_text", "text": "hello", "annotations": []}]}],
                usage={"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
            )  # fmt: skip
            if asked.get("stream"):
                events = [
                    {"type": "response.created", "response": made},
                    {"type": "response.completed", "response": made},
                ]
                text = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in events)
                return self.send(text.encode(), **{"content-type": "text/event-stream"})
        else:
            made = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [
                {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]}  # fmt: skip
        self.send(json.dumps(made).encode())
        return None


@pytest.fixture
def provider() -> Iterator[Provider]:
    """The provider."""
    with listening(Provider()) as server:
        yield server


Test = Callable[["Caller", "Caller", "Caller", Keeper], Awaitable[None]]


class Caller:
    """Somebody with a key."""

    def __init__(self, client: httpx.AsyncClient, key: str) -> None:
        self.client, self.headers = client, {"authorization": f"Bearer {key}"}

    async def __call__(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self.client.request(method, path, headers=self.headers, **more)

    async def upload(self) -> str:
        """Upload a file, and return its id."""
        reply = await self("POST", "/v1/files", files={"file": ("f.jsonl", b"{}\n")}, data={"purpose": "batch"})
        assert reply.status_code == 200, reply.text
        return str(reply.json()["id"])


def run(folder: Path, provider: Provider, test: Test, more: Iterable[dict[str, Any]] = (), **general: Any) -> None:
    """Run a test with ann, bob of her team, and a master, before a gateway in this process."""
    params = {"model": "openai/gpt-4o", "api_base": provider.url, "api_key": "sk-upstream-secret"}
    given = {
        "model_list": [{"model_name": "gpt", "litellm_params": params}, *more],
        "general_settings": {"master_key": MASTER_KEY, **general},
    }

    async def main() -> None:
        app = app_of(config.read(given), data=folder)
        keeper = app.gate
        assert isinstance(keeper, Keeper)
        await keeper.start()
        await manage.create(keeper.store, MASTER, "team", {"team_id": "t"})
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
            people = []
            for user in ("ann", "bob"):
                await manage.create(keeper.store, MASTER, "user", {"user_id": user})
                body = {"user_id": user, "team_id": "t", "max_budget": 1000}
                people.append(Caller(client, (await manage.generate_key(keeper.store, MASTER, body))["key"]))
            await test(*people, Caller(client, MASTER_KEY), keeper)
        await app.aclose()

    asyncio.run(main())


@pytest.fixture(autouse=True)
def _wire(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYPORT_TRANSPORT", "httpx")


def test_a_file_is_its_owners(tmp_path: Path, provider: Provider) -> None:
    """Retrieved, read, deleted, used in a batch or a chat, listed: by its owner and by admins alone."""

    async def test(ann: Caller, bob: Caller, master: Caller, keeper: Keeper) -> None:
        mine, his = await ann.upload(), await bob.upload()
        part = {"type": "file", "file": {"file_id": mine}}
        chat = {"model": "gpt", "messages": [{"role": "user", "content": [part]}]}
        uses: list[tuple[str, str, dict[str, Any]]] = [
            ("GET", f"/v1/files/{mine}", {}),
            ("GET", f"/v1/files/{mine}/content", {}),
            ("POST", "/v1/batches", {"json": {"input_file_id": mine, "endpoint": "/v1/chat/completions"}}),
            ("POST", "/v1/chat/completions", {"json": chat}),
            ("DELETE", f"/v1/files/{mine}", {}),
        ]
        for method, path, more in uses:
            refused = await bob(method, path, **more)
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "not_found"), path
            assert (await master(method, path, **more)).status_code == 200, path
            assert (await ann(method, path, **more)).status_code == 200, path
        for who, seen in ((ann, {mine}), (bob, {his}), (master, {mine, his})):
            listed = (await who("GET", "/v1/files")).json()
            assert {one["id"] for one in listed["data"]} == seen
        assert (await bob("GET", "/v1/files/file-that-nobody-made")).status_code == 404

    run(tmp_path, provider, test)


GOOGLE = "https://generativelanguage.googleapis.com/v1beta/"


@pytest.mark.parametrize(
    ("part", "names"),
    [
        ({"type": "file", "file": {"file_id": "abc"}}, ["abc"]),
        ({"type": "file", "file": {"file_id": "files/abc"}}, ["abc"]),
        ({"type": "file", "file": {"file_id": f"{GOOGLE}files/abc"}}, ["abc"]),
        ({"type": "file", "file": {"file_data": f"{GOOGLE}files/abc:download?alt=media"}}, ["abc"]),
        ({"type": "file", "file": {"file_url": "files/abc"}}, ["abc"]),
        ({"type": "image_url", "image_url": {"url": f"{GOOGLE}files/abc"}}, ["abc"]),
        ({"type": "image_url", "image_url": "files/abc"}, ["abc"]),
        ({"type": "video_url", "video_url": {"url": "files/abc"}}, ["abc"]),
        ({"type": "input_audio", "input_audio": {"data": "files/abc", "format": "wav"}}, ["abc"]),
        ({"type": "input_file", "file_url": f"{GOOGLE}files/abc"}, ["abc"]),
        ({"type": "gemini", "fileData": {"fileUri": f"{GOOGLE}files/abc"}}, ["abc"]),
        ({"type": "tool_result", "content": [{"type": "image", "source": {"file_id": "abc"}}]}, ["abc"]),
        ({"type": "gemini", "functionResponse": {"parts": [{"fileData": {"fileUri": "files/abc"}}]}}, ["abc"]),
        ({"type": "image_url", "image_url": {"url": f"{GOOGLE}files/a/b"}}, [f"{GOOGLE}files/a/b"]),
        ({"type": "image_url", "image_url": {"url": "HTTPS://GenerativeLanguage%2egoogleapis.com/v1/files/a"}},
         ["HTTPS://GenerativeLanguage%2egoogleapis.com/v1/files/a"]),
        ({"type": "image_url", "image_url": {"url": "https://x.example/files/abc"}}, []),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}, []),
        ({"type": "text", "text": "files/abc"}, []),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {"file_id": "abc", "url": "files/abc"}}, []),
    ],
)  # fmt: skip
def test_files_are_known_by_id_name_and_address(part: dict[str, Any], names: list[str]) -> None:
    """Wherever a part says it, and in whatever way its provider takes it; what a tool is called with is no file."""
    chat = {"messages": [{"role": "user", "content": [{"type": "text", "text": "look"}, part]}]}
    assert owning.named(BY_FUNCTION["completion"], chat) == names
    parts = {"gemini_parts": [part]}
    said = {"role": "assistant", "content": "hi", "provider_specific_fields": parts}
    assert owning.named(BY_FUNCTION["completion"], {"messages": [said]}) == names
    assert owning.named(BY_FUNCTION["responses"], {"contents": {"parts": [part]}}) == names
    answered = {"type": "function_call_output", "call_id": "c", "output": [part]}
    assert owning.named(BY_FUNCTION["responses"], {"input": [answered]}) == names


def test_caches_and_files_of_containers_are_named() -> None:
    """In both of the ways that a cache of Gemini's is written."""
    row = BY_FUNCTION["responses"]
    assert owning.named(row, {"cached_content": "cachedContents/1"}) == ["cachedContents/1"]
    assert owning.named(row, {"cachedContent": "cachedContents/1"}) == ["cachedContents/1"]
    tools = [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}}, {"type": "x"}]
    assert owning.named(row, {"input": "hi", "tools": tools}) == ["file-1"]
    assert owning.named(row, {"input": "hi", "tools": [{"type": "code_interpreter", "container": "auto"}]}) == []


def test_what_gemini_keeps_is_its_owners(tmp_path: Path, provider: Provider) -> None:
    """A file by its address, for its owner and admins; a cache, for admins: on OpenAI's surface and on Gemini's."""
    pytest.importorskip("polyport_gemini")
    gemini = {
        "model": "gemini/gemini-2.5-flash", "api_base": provider.address, "api_key": "sk-upstream-secret",
    }  # fmt: skip

    async def test(ann: Caller, bob: Caller, master: Caller, keeper: Keeper) -> None:
        who = await keeper.identity.identify(ann.headers["authorization"].removeprefix("Bearer "))
        keeper.owners.remember(owning.Owned(id="abc", kind="file", at=0, key_id=who.key_id, user_id=who.user_id))
        at = f"{GOOGLE}files/abc"
        look = {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": at}}]}]}
        hello = {"messages": [{"role": "user", "content": "hi"}]}
        parts = {"contents": [{"role": "user", "parts": [{"fileData": {"fileUri": at, "mimeType": "image/png"}}]}]}
        chats, contents = "/v1/chat/completions", "/v1beta/models/flash:generateContent"
        uses: list[tuple[str, dict[str, Any], set[int]]] = [
            (chats, {"model": "flash", **look}, {200}),
            (contents, parts, {200}),
            (chats, {"model": "flash", **hello, "cached_content": "cachedContents/1"}, {404}),
            (chats, {"model": "flash", **hello, "cachedContent": "cachedContents/1"}, {404}),
        ]
        for path, body, hers in uses:
            told = [(await one("POST", path, json=body)) for one in (bob, ann, master)]
            assert [told[0].status_code, told[2].status_code] == [404, 200], [one.text for one in told]
            assert {told[1].status_code} == hers
            assert "is not yours" in told[0].text

    run(tmp_path, provider, test, more=[{"model_name": "flash", "litellm_params": gemini}])


@pytest.mark.parametrize("stream", [False, True])
def test_a_response_goes_on_for_its_owner_alone(tmp_path: Path, provider: Provider, stream: bool) -> None:
    """previous_response_id, retrieving, cancelling, deleting; of streams as well."""

    async def test(ann: Caller, bob: Caller, master: Caller, keeper: Keeper) -> None:
        asked = {"model": "gpt", "input": "Hello?", "stream": stream}
        assert (await ann("POST", "/v1/responses", json=asked)).status_code == 200
        (name,) = provider.kept
        again = {"model": "gpt", "input": "And?", "previous_response_id": name}
        for method, path, body in (
            ("POST", "/v1/responses", again),
            ("GET", f"/v1/responses/{name}", None),
            ("DELETE", f"/v1/responses/{name}", None),
        ):
            assert (await bob(method, path, json=body)).status_code == 404, path
            assert (await ann(method, path, json=body)).status_code == 200, path

    run(tmp_path, provider, test)


def test_ownership_outlives_a_restart_and_reaches_as_far_as_said(tmp_path: Path, provider: Provider) -> None:
    """`shared_within: team`: bob is of ann's team; by default he is not she. A new process asks the database."""
    names: list[str] = []

    async def make(ann: Caller, bob: Caller, master: Caller, keeper: Keeper) -> None:
        names.append(await ann.upload())
        assert (await bob("GET", f"/v1/files/{names[0]}")).status_code == 200

    async def again(_: Caller, __: Caller, master: Caller, keeper: Keeper) -> None:
        stranger = Caller(master.client, (await manage.generate_key(keeper.store, MASTER, {}))["key"])
        assert (await stranger("GET", f"/v1/files/{names[0]}")).status_code == 404
        mate = await manage.generate_key(keeper.store, MASTER, {"team_id": "t"})
        assert (await Caller(master.client, mate["key"])("GET", f"/v1/files/{names[0]}")).status_code == 200

    run(tmp_path, provider, make, shared_within="team")
    provider.kept.setdefault("x", {"id": "x", "object": "x"})
    run_again(tmp_path, provider, again)


def run_again(folder: Path, provider: Provider, test: Test) -> None:
    """Run a test on the same database, without its people."""
    params = {"model": "openai/gpt-4o", "api_base": provider.url, "api_key": "sk-upstream-secret"}
    given = {
        "model_list": [{"model_name": "gpt", "litellm_params": params}],
        "general_settings": {"master_key": MASTER_KEY, "shared_within": "team"},
    }

    async def main() -> None:
        app = app_of(config.read(given), data=folder)
        keeper = app.gate
        assert isinstance(keeper, Keeper)
        await keeper.start()
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://gateway") as client:
            master = Caller(client, MASTER_KEY)
            await test(master, master, master, keeper)
        await app.aclose()

    asyncio.run(main())


@pytest.mark.parametrize("tells_usage", [True, False])
def test_a_batch_is_paid_once_by_whoever_made_it(tmp_path: Path, provider: Provider, tells_usage: bool) -> None:
    """At batch prices, by its usage or by its results, however often and by whom it is looked at."""
    provider.tells_usage = tells_usage
    half = (1000 * 2.5 + 100 * 10) / 1e6 / 2

    async def test(ann: Caller, bob: Caller, master: Caller, keeper: Keeper) -> None:
        body = {"input_file_id": await ann.upload(), "endpoint": "/v1/chat/completions"}
        batch = (await ann("POST", "/v1/batches", json=body)).json()
        assert (await bob("GET", f"/v1/batches/{batch['id']}")).status_code == 404
        for who in (master, ann, ann):
            seen = (await who("GET", f"/v1/batches/{batch['id']}")).json()
            assert (await who("GET", f"/v1/files/{seen['output_file_id']}/content")).status_code == 200
        assert (await bob("GET", f"/v1/files/{batch['output_file_id']}/content")).status_code == 404
        keeper.owners._paid.clear()  # as another replica, which has not seen it
        await ann("GET", f"/v1/batches/{batch['id']}")
        await ann("GET", f"/v1/files/{batch['output_file_id']}/content")
        await keeper.ledger.drain()
        found = (await spending.logs(keeper.store, MASTER, {"operation": "batch"}))["results"]
        assert [(one["user_id"], one["prompt"], one["completion"]) for one in found] == [("ann", 1000, 100)]
        assert found[0]["spend"] == pytest.approx(half)
        assert await keeper.ledger.spent({"user": "ann"}, None) == round(half * 1e9)
        assert isinstance(keeper.limits, MemoryLimits)
        assert keeper.limits._accounts[f"key:{found[0]['key_id']}"].spent == round(half * 1e9)

    run(tmp_path, provider, test)


def test_another_replica_knows_an_owner_within_a_second(tmp_path: Path, provider: Provider) -> None:
    """What one process has just made, and not yet drained, is waited for by the other."""

    async def test(ann: Caller, bob: Caller, master: Caller, keeper: Keeper) -> None:
        name = await ann.upload()
        keeper.owners._known.clear()
        start = time.monotonic()
        assert (await ann("GET", f"/v1/files/{name}")).status_code == 200
        assert time.monotonic() - start < 10

    run(tmp_path, provider, test)
