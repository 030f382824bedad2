"""Anthropic's message batches with its official SDK, over Anthropic and over a provider with OpenAI's batches."""

from __future__ import annotations

import base64
import itertools
import json
import re
from collections.abc import Callable, Iterator
from email.parser import BytesParser
from typing import Any

import httpx
import pytest

from .services import Answering, Local, listening
from .waiting import until

anthropic = pytest.importorskip("anthropic")
pytest.importorskip("polyport_anthropic")
pytest.importorskip("polyport_openai")

KEY = "sk-master-1234"
#: 2026-11-30, midnight, in seconds.
DAY = 1_795_996_800
CREATED, ENDED = "2026-11-30T00:00:00Z", "2026-11-30T01:00:00Z"
THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "c2ln"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"at": "sea"}'}}
SEE = {"name": "look", "description": "Look.", "input_schema": {"type": "object", "properties": {}}}


class Vendors(Local):
    """Two vendors that keep batches, each in its own dialect, and run them when `run` is called."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.numbers = itertools.count(1)
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.results: dict[str, list[dict[str, Any]]] = {}
        self.asked: list[tuple[str, str, str, Any]] = []

    def run(self, status: str = "completed") -> None:
        """Have every batch be over, with all that can become of a request."""
        for batch in self.batches.values():
            if batch.get("object") == "batch":
                self._run_lines(batch, status)
            else:
                self._run_messages(batch, status)

    def _run_lines(self, batch: dict[str, Any], status: str) -> None:
        lines = [json.loads(line) for line in self.files[batch["input_file_id"]].splitlines()]
        outputs, errors = [], []
        for line in lines:
            name, body = line["custom_id"], line["body"]
            if name.startswith("bad"):
                refused = {"error": {"message": "No such thing", "type": "invalid_request_error", "code": None}}
                errors.append({"custom_id": name, "response": {"status_code": 400, "request_id": "q", "body": refused}})
            elif name.startswith("late"):
                errors.append(
                    {"custom_id": name, "response": None, "error": {"code": f"batch_{status}", "message": ""}}
                )
            else:
                answer = {"status_code": 200, "request_id": "q", "body": completion(body)}
                outputs.append({"custom_id": name, "response": answer, "error": None})
        for key, made in (("output_file_id", outputs), ("error_file_id", errors)):
            if made:
                batch[key] = f"file-{batch['account']}-{next(self.numbers)}"
                self.files[batch[key]] = "".join(json.dumps({"id": "x", **one}) + "\n" for one in made).encode()
        failed = len(errors) if status == "completed" else sum(one["response"] is not None for one in errors)
        batch |= {"status": status, f"{status}_at": DAY + 3600,
                  "request_counts": {"total": len(lines), "completed": len(outputs), "failed": failed}}  # fmt: skip

    def _run_messages(self, batch: dict[str, Any], status: str) -> None:
        results, counts = [], dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        for asked in batch["requests"]:
            name, params = asked["custom_id"], asked["params"]
            found: dict[str, Any] = {"type": "succeeded", "message": message(params)}
            if name.startswith("bad"):
                error = {"type": "invalid_request_error", "message": "No such thing"}
                found = {"type": "errored", "error": {"type": "error", "error": error, "request_id": "q"}}
            elif name.startswith("late"):
                found = {"type": "canceled" if status == "cancelled" else "expired"}
            counts[found["type"]] += 1
            results.append({"custom_id": name, "result": found})
        self.results[batch["id"]] = results
        batch |= {"processing_status": "ended", "ended_at": ENDED, "request_counts": counts,
                  "results_url": f"{self.address}/v1/messages/batches/{batch['id']}/results"}  # fmt: skip


def completion(body: dict[str, Any]) -> dict[str, Any]:
    """Answer a line of OpenAI's."""
    said = {"content": None, "tool_calls": [CALL]} if body.get("tools") else {"content": "Well, hello"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": body["model"],
            "choices": [{"index": 0, "message": {"role": "assistant", **said},
                         "finish_reason": "tool_calls" if body.get("tools") else "stop"}],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}}  # fmt: skip


def message(params: dict[str, Any]) -> dict[str, Any]:
    """Answer a request of Anthropic's, with what only it has."""
    return {"id": "msg_1", "type": "message", "role": "assistant", "model": params["model"],
            "content": [THOUGHT, {"type": "text", "text": "Well, hello"}], "stop_reason": "end_turn",
            "stop_sequence": None, "usage": {"input_tokens": 1000, "output_tokens": 100}, "own_field": 1}  # fmt: skip


class Handler(Answering):
    """Answers as both vendors do; Anthropic's key begins with "sk-ant"."""

    server: Vendors

    def serve(self) -> None:
        data = self.body()
        path, _, query = self.path.removeprefix("/v1").partition("?")
        key = self.headers.get("x-api-key") or self.headers.get("authorization", "").removeprefix("Bearer ")
        body = json.loads(data) if data[:1] == b"{" else data
        self.server.asked.append((f"{self.command} {path}", query, key, body))
        answer = self.messages(path, body) if path.startswith("/messages") else self.lines(path, key, body)
        status, told = answer if isinstance(answer, tuple) else (200, answer)
        self.send(told if isinstance(told, bytes) else json.dumps(told).encode(), status)

    def lines(self, path: str, account: str, body: Any) -> Any:
        vendors = self.server
        kind, name, *more = [*path.strip("/").split("/"), "", ""][:3]
        if kind == "files" and self.command == "POST":
            name = f"file-{account}-{next(vendors.numbers)}"
            vendors.files[name] = part(self.headers["content-type"], body)
            return {"id": name, "object": "file", "bytes": 1, "created_at": DAY, "filename": "f", "purpose": "batch"}
        if kind == "files":
            assert f"-{account}-" in name
            return vendors.files[name]
        own = {name: one for name, one in vendors.batches.items() if one.get("account") == account}
        if self.command == "GET" and not name:
            after = self.path.partition("after=")[2].partition("&")[0]
            names = sorted(own, reverse=True)
            names = names[names.index(after) + 1 :] if after else names
            page = names[: int(re.findall(r"limit=(\d+)", self.path)[0])]
            return {"object": "list", "data": [own[name] for name in page], "has_more": page != names,
                    "first_id": None, "last_id": page[-1] if page else None}  # fmt: skip
        if not name:
            name = f"batch_{next(vendors.numbers):04}"
            vendors.batches[name] = {
                "id": name, "object": "batch", "status": "validating", "created_at": DAY, "expires_at": DAY + 86400,
                "account": account, "completion_window": "24h", "request_counts": None, **body,
            }  # fmt: skip
            return vendors.batches[name]
        if name not in own:
            return 404, {"error": {"message": f"No batch found with id {name!r}."}}
        if more[0] == "cancel":
            own[name] |= {"status": "cancelling", "cancelling_at": DAY + 60}
        return own[name]

    def messages(self, path: str, body: Any) -> Any:
        vendors = self.server
        name, *more = [*path.removeprefix("/messages/batches").strip("/").split("/"), ""][:2]
        own = {name: one for name, one in vendors.batches.items() if one.get("type") == "message_batch"}
        if self.command == "POST" and not name:
            name = f"msgbatch_{next(vendors.numbers):04}"
            counts = {"processing": len(body["requests"]), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
            vendors.batches[name] = {
                "id": name, "type": "message_batch", "processing_status": "in_progress", "request_counts": counts,
                "created_at": CREATED, "expires_at": "2026-12-01T00:00:00Z", "ended_at": None, "archived_at": None,
                "cancel_initiated_at": None, "results_url": None, "requests": body["requests"],
            }  # fmt: skip
            return vendors.batches[name]
        if not name:
            found = [own[name] for name in sorted(own, reverse=True)]
            ends = [one["id"] for one in found]
            return {"data": found, "has_more": False, "first_id": ends[:1], "last_id": ends and ends[-1]} | {
                "first_id": ends[0] if ends else None, "last_id": ends[-1] if ends else None
            }  # fmt: skip
        if name not in own:
            return 404, {"type": "error", "error": {"type": "not_found_error", "message": "No such batch"}}
        if self.command == "DELETE":
            del vendors.batches[name]
            return {"id": name, "type": "message_batch_deleted"}
        if more[0] == "results":
            return "".join(json.dumps(one) + "\n" for one in vendors.results[name]).encode()
        if more[0] == "cancel":
            own[name] |= {"processing_status": "canceling", "cancel_initiated_at": "2026-11-30T00:01:00Z"}
        return own[name]


def part(content_type: str, body: bytes) -> bytes:
    """Return the file in a multipart body."""
    parsed: Any = BytesParser().parsebytes(b"content-type: " + content_type.encode() + b"\r\n\r\n" + body)
    found: bytes = next(one for one in parsed.get_payload() if one.get_filename()).get_payload(decode=True)
    return found


@pytest.fixture(scope="module")
def vendors() -> Iterator[Vendors]:
    """The vendors."""
    with listening(Vendors()) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(vendors: Vendors, start: Callable[..., Any]) -> Any:
    """A gateway in front of them, with two accounts at one of them."""
    models = [
        ("gpt", "openai/gpt-4o", "sk-one"), ("mini", "openai/gpt-4o-mini", "sk-one"), ("o", "openai/o3", "sk-one"),
        ("far", "openai/gpt-4o", "sk-two"), ("claude", "anthropic/claude-sonnet-4-5", "sk-ant"),
        ("rank", "cohere/rerank-v3.5", "sk-co"),
    ]  # fmt: skip
    bases = {"openai": f"{vendors.address}/v1"}
    listed = [
        {"model_name": name, "litellm_params": {
            "model": model, "api_key": key, "api_base": bases.get(model.partition("/")[0], vendors.address)}}
        for name, model, key in models
    ]  # fmt: skip
    return start({"model_list": listed, "general_settings": {"master_key": KEY}, "router_settings": {"num_retries": 0}})


@pytest.fixture
def key(gateway: Any) -> Callable[..., str]:
    """Makes keys."""

    def make(**body: Any) -> str:
        reply = httpx.post(
            f"{gateway.url}/key/generate", json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=60
        )
        made: str = reply.json()["key"]
        return made

    return make


@pytest.fixture
def client(gateway: Any, vendors: Vendors, key: Callable[..., str]) -> Iterator[Any]:
    """Anthropic's SDK, on the gateway, with a key of its own; the vendors keep nothing yet."""
    vendors.batches.clear()
    vendors.asked.clear()
    with anthropic.Anthropic(base_url=gateway.url, api_key=key(), max_retries=0) as made:
        yield made


def ask(model: str, *names: str, **more: Any) -> list[dict[str, Any]]:
    """Return requests."""
    params = {"model": model, "max_tokens": 99, "messages": [{"role": "user", "content": "Hello?"}], **more}
    return [{"custom_id": name, "params": params} for name in names]


def spent(gateway: Any, client: Any) -> list[dict[str, Any]]:
    """Return what the batches of a client's key cost, as the ledger has it."""
    headers = {"authorization": f"Bearer {client.api_key}"}
    reply = httpx.get(f"{gateway.url}/spend/logs", params={"operation": "batch"}, headers=headers, timeout=60)
    found: list[dict[str, Any]] = reply.json()["results"]
    return found


# --- the way of a batch ---


@pytest.mark.parametrize(("model", "upstream"), [("gpt", "gpt-4o"), ("claude", "claude-sonnet-4-5")])
def test_a_batch_from_its_beginning_to_its_results(client: Any, vendors: Vendors, model: str, upstream: str) -> None:
    """Made, looked at, listed; each request's result is told once it is over."""
    made = client.messages.batches.create(requests=ask(model, "a", "bad"))
    assert (made.processing_status, made.request_counts.processing, made.results_url) == ("in_progress", 2, None)
    assert (made.created_at.isoformat(), made.expires_at.isoformat()) == (
        "2026-11-30T00:00:00+00:00", "2026-12-01T00:00:00+00:00",
    )  # fmt: skip
    with pytest.raises(anthropic.AnthropicError, match="finished"):
        client.messages.batches.results(made.id)
    vendors.run()
    over = client.messages.batches.retrieve(made.id)
    assert over.id == made.id
    assert (over.processing_status, over.ended_at.isoformat()) == ("ended", "2026-11-30T01:00:00+00:00")
    counts = over.request_counts
    assert (counts.processing, counts.succeeded, counts.errored, counts.canceled) == (0, 1, 1, 0)
    results = {one.custom_id: one.result for one in client.messages.batches.results(made.id)}
    assert results.keys() == {"a", "bad"}
    answer = results["a"].message
    assert (answer.model, answer.content[-1].text, answer.stop_reason) == (upstream, "Well, hello", "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (1000, 100)
    error = results["bad"].error
    assert (error.error.type, error.error.message) == ("invalid_request_error", "No such thing")
    assert [one.id for one in client.messages.batches.list()] == [made.id]


def test_what_only_anthropic_has_goes_both_ways_untouched(client: Any, vendors: Vendors) -> None:
    """Requests go as they are, with betas; thoughts, signatures and unknown fields come back."""
    thinking = {"type": "enabled", "budget_tokens": 1024}
    requests = ask("claude", "a", thinking=thinking, future_field={"x": 1})
    made = client.beta.messages.batches.create(requests=requests, betas=["b-2026"])
    (sent,) = vendors.batches.values()
    assert sent["requests"] == [{"custom_id": "a", "params": {**requests[0]["params"], "model": "claude-sonnet-4-5"}}]
    vendors.run()
    (result,) = client.beta.messages.batches.results(made.id)
    assert result.result.message.content[0].model_dump(exclude_none=True) == THOUGHT
    assert result.result.message.model_extra["own_field"] == 1


def test_requests_become_lines_as_single_calls_become_requests(client: Any, vendors: Vendors) -> None:
    """System prompt, tools and the model's own name of the limit; several models of one account share a batch."""
    requests = [
        *ask("gpt", "a", system="Be brief.", tools=[SEE], stop_sequences=["."]), *ask("o", "b"), *ask("mini", "c")
    ]  # fmt: skip
    made = client.messages.batches.create(requests=requests)
    (batch,) = vendors.batches.values()
    assert (batch["endpoint"], batch["completion_window"]) == ("/v1/chat/completions", "24h")
    lines = [json.loads(line) for line in vendors.files[batch["input_file_id"]].splitlines()]
    assert [(line["custom_id"], line["method"], line["url"]) for line in lines] == [
        (name, "POST", "/v1/chat/completions") for name in "abc"
    ]
    first, second, third = (line["body"] for line in lines)
    assert (first["model"], first["messages"][0], first["stop"]) == (
        "gpt-4o", {"role": "system", "content": "Be brief."}, ["."]
    )  # fmt: skip
    assert first["tools"][0]["function"]["name"] == "look"
    assert (second["model"], second["max_completion_tokens"]) == ("o3", 99)
    assert (third["model"], third["max_tokens"]) == ("gpt-4o-mini", 99)
    vendors.run()
    results = {one.custom_id: one.result.message for one in client.messages.batches.results(made.id)}
    assert [(block.name, block.input) for block in results["a"].content] == [("look", {"at": "sea"})]
    assert results["a"].stop_reason == "tool_use"


@pytest.mark.parametrize("model", ["gpt", "claude"])
@pytest.mark.parametrize(("status", "kind"), [("cancelled", "canceled"), ("expired", "expired")])
def test_what_was_not_run_is_told_apart(client: Any, vendors: Vendors, model: str, status: str, kind: str) -> None:
    """A batch that is cancelled, or out of time, has results of those that were run, and says so of the others."""
    made = client.messages.batches.create(requests=ask(model, "a", "late-1", "late-2"))
    if status == "cancelled":
        stopping = client.messages.batches.cancel(made.id)
        assert (stopping.id, stopping.processing_status) == (made.id, "canceling")
        assert stopping.cancel_initiated_at.isoformat() == "2026-11-30T00:01:00+00:00"
    vendors.run(status)
    over = client.messages.batches.retrieve(made.id)
    assert (over.processing_status, getattr(over.request_counts, kind), over.request_counts.succeeded) == (
        "ended",
        2,
        1,
    )
    results = {one.custom_id: one.result.type for one in client.messages.batches.results(made.id)}
    assert results == {"a": "succeeded", "late-1": kind, "late-2": kind}


# --- whose it is ---


@pytest.mark.parametrize("model", ["gpt", "claude"])
def test_a_batch_is_its_keys(client: Any, vendors: Vendors, key: Callable[..., str], model: str) -> None:
    """Another key neither sees it, nor its results, nor stops it, by whatever id."""
    made = client.messages.batches.create(requests=ask(model, "a"))
    vendors.run()
    raw = next(iter(vendors.batches))
    other = client.with_options(api_key=key())
    batches = other.messages.batches
    provider = {"provider": {"gpt": "openai", "claude": "anthropic"}[model]}
    for call in (
        lambda: batches.retrieve(made.id), lambda: batches.cancel(made.id), lambda: batches.results(made.id),
        lambda: batches.retrieve(raw, extra_query=provider),
        lambda: batches.delete(made.id), lambda: other.get(f"/v1/messages/batches/{made.id}/results", cast_to=object),
    ):  # fmt: skip
        with pytest.raises(anthropic.NotFoundError, match="not yours") as error:
            call()
        assert error.value.body["error"]["type"] == "not_found_error"
    assert list(batches.list()) == []
    assert client.messages.batches.retrieve(raw, extra_query=provider).id == raw
    assert [one.id for one in client.messages.batches.list()] == [made.id]


def test_it_is_the_same_batch_on_openais_surface(client: Any, gateway: Any, vendors: Vendors) -> None:
    """Under its provider's id, for the same key, with its files."""
    client.messages.batches.create(requests=ask("gpt", "a"))
    vendors.run()
    raw = next(iter(vendors.batches))
    headers = {"authorization": f"Bearer {client.api_key}"}
    with httpx.Client(base_url=gateway.url, params={"provider": "openai"}, headers=headers, timeout=60) as http:
        seen = http.get(f"/v1/batches/{raw}").json()
        assert (seen["id"], seen["status"]) == (raw, "completed")
        for file in (seen["input_file_id"], seen["output_file_id"]):
            assert http.get(f"/v1/files/{file}/content").status_code == 200


@pytest.mark.parametrize(
    ("model", "price"), [("gpt", (1000 * 2.5 + 100 * 10) / 2e6), ("claude", (1000 * 3 + 100 * 15) / 2e6)]
)
def test_it_is_paid_once_by_its_key(
    client: Any, gateway: Any, vendors: Vendors, key: Callable[..., str], model: str, price: float
) -> None:
    """At batch prices, when its results are read, however often."""
    made = client.messages.batches.create(requests=ask(model, "a", "bad"))
    vendors.run()
    for _ in range(2):
        assert len(list(client.messages.batches.results(made.id))) == 2
    (entry,) = until(lambda: spent(gateway, client), "the batch is in the ledger")
    assert (entry["model"], entry["prompt"], entry["completion"]) == (model, 1000, 100)
    assert entry["spend"] == pytest.approx(price)


def test_results_alone_are_paid_as_well(client: Any, gateway: Any, vendors: Vendors) -> None:
    """Who asks for nothing else than the lines, as a plain HTTP client may."""
    made = client.messages.batches.create(requests=ask("gpt", "a"))
    vendors.run()
    headers = {"x-api-key": client.api_key}
    reply = httpx.get(f"{gateway.url}/v1/messages/batches/{made.id}/results", headers=headers, timeout=60)
    assert reply.headers["content-type"] == "application/x-jsonl"
    assert [json.loads(line)["custom_id"] for line in reply.text.splitlines()] == ["a"]
    (entry,) = until(lambda: spent(gateway, client), "the batch is in the ledger")
    assert entry["completion"] == 100


# --- where it is ---


def test_every_account_is_found_again_and_listed(client: Any, vendors: Vendors) -> None:
    """Two accounts at one provider, and another provider: pages go from one to the next."""
    made = [client.messages.batches.create(requests=ask(model, "a")).id for model in ("gpt", "far", "gpt", "claude")]
    assert [one["account"] for one in vendors.batches.values() if "account" in one] == ["sk-one", "sk-two", "sk-one"]
    assert {client.messages.batches.retrieve(one).id for one in made} == {*made}
    assert [one.id for one in client.messages.batches.list(limit=1)] == [made[2], made[0], made[1], made[3]]
    assert [one.id for one in client.messages.batches.list()] == [made[2], made[0], made[1], made[3]]
    page = client.messages.batches.list(limit=1)
    assert (page.first_id, page.last_id, page.has_more) == (made[2], made[2], True)
    with pytest.raises(anthropic.BadRequestError, match="before_id"):
        client.messages.batches.list(before_id=made[0])


def test_others_batches_do_not_end_a_list(client: Any, vendors: Vendors, key: Callable[..., str]) -> None:
    """Pages that are all somebody else's are turned until there is one's own."""
    mine = client.messages.batches.create(requests=ask("gpt", "a"))
    for _ in range(3):
        client.with_options(api_key=key()).messages.batches.create(requests=ask("gpt", "a"))
    assert [one.id for one in client.messages.batches.list(limit=1)] == [mine.id]


# --- what is refused ---


@pytest.mark.parametrize(
    ("requests", "said"),
    [
        ([], "1 to 100000 requests"),
        ([*ask("gpt", "a"), *ask("claude", "b")], "'gpt' to openai; 'claude' to anthropic"),
        ([*ask("gpt", "a"), *ask("far", "b")], "one account"),
        (ask("rank", "a"), "No provider of 'rank' has batches"),
        (ask("gpt", "a", "a"), "stands twice"),
        (ask("gpt", "a/b"), r"letters, digits, _ and - at \$.requests\[0\].custom_id"),
        (ask("gpt", "a", stream=True), "no 'stream'"),
        (ask("gpt", "a", fallbacks=["claude"]), "no 'fallbacks'"),
        (ask("gpt", "a", api_base="http://x"), "api_base is set by the gateway's configuration"),
        (ask("gpt", "a", top_k=4), r"Request 0 \(a\): top_k is not supported"),
        (ask("gpt", "a", messages=[{"role": "user"}]), r"Request 0 \(a\): .*content"),
        (ask("", "a"), r"\$.requests\[0\].params.model"),
    ],
)
def test_what_cannot_be_a_batch_is_refused(client: Any, vendors: Vendors, requests: Any, said: str) -> None:
    """In Anthropic's shape, and nothing is uploaded."""
    with pytest.raises(anthropic.BadRequestError, match=said) as error:
        client.messages.batches.create(requests=requests)
    assert error.value.body["error"]["type"] == "invalid_request_error"
    assert vendors.asked == []


def test_a_key_asks_for_its_models_alone(client: Any, key: Callable[..., str]) -> None:
    """Each request's model is looked at; a key's own names stand for models here, too."""
    bound = client.with_options(api_key=key(models=["gpt", "mini"], aliases={"mine": "mini"}))
    with pytest.raises(anthropic.PermissionDeniedError, match="may not use 'o'"):
        bound.messages.batches.create(requests=[*ask("gpt", "a"), *ask("o", "b")])
    made = bound.messages.batches.create(requests=[*ask("gpt", "a"), *ask("mine", "b")])
    assert made.request_counts.processing == 2
    routes = client.with_options(api_key=key(allowed_routes=["/messages"]))
    with pytest.raises(anthropic.PermissionDeniedError, match="may not be used for /messages/batches"):
        routes.messages.batches.create(requests=ask("gpt", "a"))


@pytest.mark.parametrize("verb", ["retrieve", "cancel", "delete"])
def test_an_id_leads_nowhere_but_to_providers_of_the_configuration(gateway: Any, vendors: Vendors, verb: str) -> None:
    """Whoever made it up, an admin included: no key of the environment is used."""
    vendors.asked.clear()
    forged = base64.urlsafe_b64encode(b'{"provider": "groq", "id": "batch_1"}').decode().rstrip("=")
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        with pytest.raises(anthropic.NotFoundError):
            getattr(client.messages.batches, verb)(f"msgbatch_pp_{forged}")
        with pytest.raises(anthropic.APIStatusError) as strange:
            getattr(client.messages.batches, verb)("msgbatch_pp_nonsense")
    assert strange.value.status_code < 500
    assert all(asked[0].endswith(("nonsense", "nonsense/cancel")) for asked in vendors.asked)


def test_one_that_was_refused_as_a_whole_says_why(client: Any, vendors: Vendors) -> None:
    """A provider that could not read the lines: all are errors, and the results say what it said."""
    made = client.messages.batches.create(requests=ask("gpt", "a", "b"))
    told = {"data": [{"message": "The lines are too long."}]}
    next(iter(vendors.batches.values())).update(status="failed", failed_at=DAY, errors=told)
    over = client.messages.batches.retrieve(made.id)
    assert over.processing_status == "ended"
    with pytest.raises(anthropic.BadRequestError, match=r"failed and has no results\. The lines are too long"):
        client.messages.batches.results(made.id)


def test_one_is_deleted_where_its_provider_lets_go_of_it(client: Any, vendors: Vendors) -> None:
    """Anthropic does; of a provider that does not, the error says so."""
    made = client.messages.batches.create(requests=ask("claude", "a"))
    vendors.run()
    gone = client.messages.batches.delete(made.id)
    assert (gone.id, gone.type, vendors.batches) == (made.id, "message_batch_deleted", {})
    kept = client.messages.batches.create(requests=ask("gpt", "a"))
    with pytest.raises(anthropic.APIStatusError, match="delete_batch") as error:
        client.messages.batches.delete(kept.id)
    assert error.value.body["type"] == "error"
    assert client.messages.batches.retrieve(kept.id).id == kept.id


def test_where_guardrails_watch_there_are_no_batches(vendors: Vendors, start: Callable[..., Any]) -> None:
    """They could not see the answers, nor on OpenAI's surface the requests, which are in a file."""
    pytest.importorskip("polyport_guardrails")
    openai = pytest.importorskip("openai")
    params = {"model": "openai/gpt-4o", "api_key": "sk-one", "api_base": f"{vendors.address}/v1"}
    said = {
        "model_list": [{"model_name": "gpt", "litellm_params": params}],
        "general_settings": {"master_key": KEY}, "router_settings": {"num_retries": 0},
    }  # fmt: skip
    line = {"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": ask("gpt-4o", "a")[0]["params"]}

    def make(url: str, key: str) -> Any:
        with openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0) as client:
            file = client.files.create(file=("f.jsonl", json.dumps(line).encode()), purpose="batch")
            started = {"endpoint": "/v1/chat/completions", "completion_window": "24h"}
            return client.batches.create(input_file_id=file.id, **started)

    def rails(**more: Any) -> dict[str, Any]:
        rail = {"guardrail": "regex", "patterns": ["x"], "mode": "pre_call", **more}
        return {"guardrails": [{"guardrail_name": "g", "litellm_params": rail}]}

    vendors.batches.clear()
    watched = start({**said, **rails()})
    with (
        anthropic.Anthropic(base_url=watched.url, api_key=KEY, max_retries=0) as client,
        pytest.raises(anthropic.PermissionDeniedError, match="Guardrails cannot see"),
    ):
        client.messages.batches.create(requests=ask("gpt", "a"))
    with pytest.raises(openai.PermissionDeniedError, match="Guardrails cannot see what a batch asks") as refused:
        make(watched.url, KEY)
    assert refused.value.code == "guardrails"
    assert vendors.batches == {}
    chosen = start({**said, **rails(default_on=False)})
    bound, free = (
        httpx.post(
            f"{chosen.url}/key/generate", json=body, headers={"authorization": f"Bearer {KEY}"}, timeout=60
        ).json()["key"]
        for body in ({"guardrails": ["g"]}, {})
    )
    with pytest.raises(openai.PermissionDeniedError, match="Guardrails cannot see"):
        make(chosen.url, bound)
    assert vendors.batches == {}
    assert make(chosen.url, free).id in vendors.batches


# --- a provider that has lines of its own ---


class Mistral(Local):
    """A vendor whose lines and results are neither OpenAI's nor Anthropic's."""

    def __init__(self) -> None:
        super().__init__(Jobs)
        self.lines: list[dict[str, Any]] = []
        self.status = "RUNNING"


class Jobs(Answering):
    """Answers as Mistral does. https://docs.mistral.ai/studio-api/batch-processing"""

    server: Mistral

    def serve(self) -> None:
        body = self.body()
        done = self.server.status == "SUCCESS"
        job = {
            "id": "job", "object": "batch", "status": self.server.status, "input_files": ["in"], "created_at": DAY,
            "endpoint": "/v1/chat/completions", "total_requests": 2, "succeeded_requests": 1 if done else 0,
            "failed_requests": 1 if done else 0, **({"output_file": "out", "error_file": "err"} if done else {}),
            "completed_at": DAY + 3600 if done else None, "model": "mistral-small-2603",
        }  # fmt: skip
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
        said = {**completion({"model": "mistral-small-2603"})}
        said["choices"][0]["message"]["content"] = [thought, {"type": "text", "text": "Well, hello"}]
        told: dict[str, Any] = {
            "POST /files": {"id": "in", "object": "file", "bytes": 1, "created_at": DAY, "filename": "f.jsonl",
                            "purpose": "batch", "sample_type": "batch_request"},
            "GET /files/out": {"id": "out", "object": "file", "bytes": 1, "created_at": DAY, "filename": "o",
                               "purpose": "batch", "sample_type": "batch_result"},
            "GET /files/err": {"id": "err", "object": "file", "bytes": 1, "created_at": DAY, "filename": "e",
                               "purpose": "batch", "sample_type": "batch_error"},
            "GET /files/out/content": {"id": "1", "custom_id": "a", "response": {"status_code": 200, "body": said}},
            "GET /files/err/content": {"id": "2", "custom_id": "b", "response": {
                "status_code": 400, "body": {"object": "error", "message": "No such thing"}}},
        }  # fmt: skip
        asked = f"{self.command} {self.path.removeprefix('/v1').partition('?')[0]}"
        if asked == "POST /files":
            self.server.lines = [json.loads(line) for line in part(self.headers["content-type"], body).splitlines()]
        self.send(json.dumps(told.get(asked, job)).encode() + b"\n")


def test_a_provider_that_translates_lines_by_itself(start: Callable[..., Any]) -> None:
    """Mistral's lines and results: asked and answered in its own words, told in Anthropic's."""
    pytest.importorskip("polyport_mistral")
    with listening(Mistral()) as mistral:
        base = f"{mistral.address}/v1"
        params = {"model": "mistral/mistral-small-2603", "api_key": "sk-m", "api_base": base, "temperature": 0.5}
        gateway = start({
            "model_list": [{"model_name": "small", "litellm_params": params}],
            "general_settings": {"master_key": KEY},
        })  # fmt: skip
        think = {"type": "enabled", "budget_tokens": 1024}
        with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
            raw = client.messages.batches.with_raw_response.create(
                requests=ask("small", "a", "b", tools=[SEE], thinking=think)
            )
            assert raw.headers["x-polyport-adaptations"] == "thinking emulated; reasoning_effort clamped"
            made = raw.parse()
            assert (made.processing_status, made.request_counts.processing) == ("in_progress", 2)
            assert [line["custom_id"] for line in mistral.lines] == ["a", "b"]
            body = mistral.lines[0]["body"]
            assert (body["model"], body["max_tokens"], body["temperature"]) == ("mistral-small-2603", 99, 0.5)
            assert body["tools"][0]["function"]["name"] == "look"
            mistral.status = "SUCCESS"
            results = {one.custom_id: one.result for one in client.messages.batches.results(made.id)}
    blocks = results["a"].message.content
    assert [(block.type, getattr(block, block.type)) for block in blocks] == [
        ("thinking", "Hm."), ("text", "Well, hello")
    ]  # fmt: skip
    assert (results["b"].type, results["b"].error.error.type) == ("errored", "invalid_request_error")
    assert results["b"].error.error.message == "No such thing"
