"""A provider's own endpoints behind the gateway: with its credentials, limits and ledger, no further than is said."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from polyport_gateway.config import ConfigError, read
from polyport_gateway.tapping import Tap, row_of

from .services import Answering, Local, listening
from .waiting import until

pytest.importorskip("polyport_openai")

pytest.importorskip("openai")
import openai

MASTER = "sk-master-1234"
SECRET = "sk-upstream-secret"
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
CHAT = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "usage": USAGE, "own": 1.5,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}}]}  # fmt: skip


class Provider(Local):
    """A provider that writes down what it is asked, and answers as `answer` says: (status, headers, pieces)."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Callable[[str], tuple[int, dict[str, str], Any]] = usual
        self.went_away = threading.Event()


def usual(path: str) -> tuple[int, dict[str, str], Any]:
    """Answer a chat, or whatever else."""
    if path.startswith("/v1/chat/completions"):
        return 200, {"content-type": "application/json", "x-request-id": "up-1", "set-cookie": "a=b"}, [encoded(CHAT)]
    return 200, {"content-type": "text/plain", "x-own": "1"}, [b"whatever"]


def encoded(value: Any) -> bytes:
    """Return JSON."""
    return json.dumps(value).encode()


class Handler(Answering):
    """Answers every method alike, in pieces."""

    server: Provider

    def serve(self) -> None:
        body = self.body()
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.command, self.path, headers, body))
        status, told, pieces = self.server.answer(self.path)
        self.send_response(status)
        for name, value in {**told, "transfer-encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        try:
            for piece in pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.server.went_away.set()


@pytest.fixture(scope="module")
def serving() -> Iterator[Provider]:
    """The provider."""
    with listening(Provider()) as server:
        yield server


@pytest.fixture
def provider(serving: Provider) -> Iterator[Provider]:
    """The provider, with nothing asked yet."""
    serving.asked.clear()
    serving.went_away.clear()
    yield serving
    serving.answer = usual


def config(url: str, **settings: Any) -> dict[str, Any]:
    """Return a configuration with two models and what passes through."""
    params = {"api_base": f"{url}/v1", "api_key": SECRET}
    models = [
        {"model_name": name, "litellm_params": {"model": f"openai/{model}", **params}}
        for name, model in (("chat", "gpt-4o"), ("small", "gpt-4o-mini"))
    ]
    through = {"providers": ["openai"], "paths": {"openai": ["/audio/*", "/batches"]}}
    general = {"master_key": MASTER, "passthrough": through, "max_upload_size_mb": 4, **settings}
    return {"model_list": models, "general_settings": general}


@pytest.fixture(scope="module")
def gateway(serving: Provider, start: Callable[..., Any]) -> Any:
    """A gateway in front of it."""
    return start(config(serving.address))


@pytest.fixture
def ask(gateway: Any) -> Iterator[Callable[..., httpx.Response]]:
    """Ask the gateway, with the master key by default."""
    with httpx.Client(base_url=gateway.url, timeout=60) as client:

        def asking(method: str, path: str, key: str | None = MASTER, **more: Any) -> httpx.Response:
            headers = {**({"authorization": f"Bearer {key}"} if key else {}), **more.pop("headers", {})}
            return client.request(method, path, headers=headers, **more)

        yield asking


@pytest.fixture
def new_key(ask: Callable[..., httpx.Response]) -> Callable[..., str]:
    """Make a virtual key."""

    def make(**said: Any) -> str:
        made = ask("POST", "/key/generate", json=said)
        assert made.status_code == 200, made.text
        return str(made.json()["key"])

    return make


def logged(ask: Callable[..., httpx.Response], request_id: str) -> dict[str, Any]:
    """Return the ledger's row of a request, once it is there."""

    def rows() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = ask("GET", "/spend/logs", params={"request_id": request_id}).json()["results"]
        return found

    return dict(until(rows, "it is in the ledger")[0])


BODY = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}]}


def test_the_openai_sdk_works_through_it(
    gateway: Any, provider: Provider, new_key: Callable[..., str], ask: Callable[..., httpx.Response]
) -> None:
    """With a virtual key; the provider sees its own key, and the ledger what it cost."""
    with openai.OpenAI(
        base_url=f"{gateway.url}/passthrough/openai/v1", api_key=new_key(), organization="theirs", max_retries=0
    ) as client:
        reply = client.chat.completions.with_raw_response.create(**BODY, extra_headers={"x-own": "7", "cookie": "s=1"})  # type: ignore[call-overload]
    assert reply.parse().choices[0].message.content == "hi"
    assert reply.headers["x-request-id"] != "up-1"
    assert "set-cookie" not in reply.headers
    method, path, headers, body = provider.asked[0]
    assert (method, path, json.loads(body)) == ("POST", "/v1/chat/completions", BODY)
    assert headers["authorization"] == f"Bearer {SECRET}"
    assert headers["x-own"] == "7"
    assert not headers.keys() & {"cookie", "openai-organization", "x-forwarded-for"}
    row = logged(ask, reply.headers["x-polyport-request-id"])
    assert (row["operation"], row["model"], row["provider"]) == ("passthrough", "chat", "openai")
    assert (row["prompt"], row["completion"]) == (7, 3)
    assert row["spend"] == pytest.approx(0.0000475)


def test_streams_come_as_they_are_sent(provider: Provider, gateway: Any, ask: Callable[..., httpx.Response]) -> None:
    """The first event is here before the provider has written the second; the usage is read on the way."""
    go_on = threading.Event()
    events = [
        b"data: %s\n\n" % encoded({"choices": [{"index": 0, "delta": {"content": "a"}}], "own": 1.5}),
        b"data: %s\n\n" % encoded({"choices": [], "usage": USAGE}),
        b"data: [DONE]\n\n",
    ]

    def pieces() -> Iterator[bytes]:
        yield events[0]
        assert go_on.wait(60)
        yield from events[1:]

    provider.answer = lambda path: (200, {"content-type": "text/event-stream"}, pieces())
    url = f"{gateway.url}/passthrough/openai/v1/chat/completions"
    with httpx.stream("POST", url, json=BODY, headers={"authorization": f"Bearer {MASTER}"}, timeout=60) as reply:
        came = reply.iter_raw()
        assert next(came) == events[0]
        go_on.set()
        assert b"".join(came) == b"".join(events[1:])
    assert logged(ask, reply.headers["x-polyport-request-id"])["completion"] == 3


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "POST"])
def test_every_method_passes_with_its_query(
    method: str, provider: Provider, ask: Callable[..., httpx.Response]
) -> None:
    """Repeated parameters and all; credentials in it do not."""
    query = "a=1&a=2&b=x%20y&key=sk-mine&api_key=k&empty="
    reply = ask(method, f"/passthrough/openai/v1/anything/x?{query}")
    assert (reply.status_code, reply.headers["x-own"]) == (200, "1")
    assert reply.text == ("" if method == "HEAD" else "whatever")
    assert provider.asked[0][:2] == (method, "/v1/anything/x?a=1&a=2&b=x+y&empty=")


def test_large_bodies_pass_and_too_large_ones_do_not(
    provider: Provider, ask: Callable[..., httpx.Response], new_key: Callable[..., str]
) -> None:
    """Byte for byte, up to what uploads may have; a path that was opened is there for keys, too."""
    data = bytes(range(256)) * 8_000
    headers = {"content-type": "audio/own"}
    assert ask("POST", "/passthrough/openai/v1/audio/x", key=new_key(), content=data, headers=headers).is_success
    assert provider.asked[0][3] == data
    assert provider.asked[0][2]["content-type"] == "audio/own"
    assert ask("POST", "/passthrough/openai/v1/audio/x", content=bytes(5 * 1024 * 1024)).status_code == 413
    assert len(provider.asked) == 1


def test_who_may_ask_what(provider: Provider, ask: Callable[..., httpx.Response], new_key: Callable[..., str]) -> None:
    """No key, another provider, what manages the account, another model: all are refused before anything is sent."""
    key, bound = new_key(), new_key(models=["small"])
    for path, token, status in (
        ("openai/v1/chat/completions", None, 401),
        ("openai/v1/chat/completions", "sk-wrong", 401),
        ("anthropic/v1/messages", MASTER, 404),
        ("openai/v1/organization/admin_api_keys", key, 403),
        ("openai/v1/files", key, 403),
        ("openai/v1/v1/chat/completions", key, 403),
        ("openai/v1/chat/completions", bound, 403),
    ):
        reply = ask("POST", f"/passthrough/{path}", key=token, json=BODY)
        assert reply.status_code == status, (path, reply.text)
        assert SECRET not in reply.text
    assert not provider.asked
    allowed = ask("POST", "/passthrough/openai/v1/chat/completions", key=bound, json={**BODY, "model": "gpt-4o-mini"})
    assert allowed.status_code == 200
    assert ask("GET", "/passthrough/openai/v1/files").status_code == 200


def test_who_has_a_budget_starts_no_batch_past_it(
    provider: Provider, ask: Callable[..., httpx.Response], new_key: Callable[..., str], start: Callable[..., Any]
) -> None:
    """Nobody would pay for it; who has none may, and the operator may let everybody."""
    asked = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions"}
    refused = ask("POST", "/passthrough/openai/v1/batches", key=new_key(max_budget=5), json=asked)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "cost_unknown"), refused.text
    assert "/v1/batches" in refused.json()["error"]["message"]
    assert not provider.asked
    assert ask("POST", "/passthrough/openai/v1/batches", key=new_key(), json=asked).status_code == 200
    said = config(provider.address)
    said["general_settings"]["passthrough"]["unpriced"] = True
    lenient = start(said).url
    admin = {"authorization": f"Bearer {MASTER}"}
    made = httpx.post(f"{lenient}/key/generate", json={"max_budget": 5}, headers=admin, timeout=60).json()["key"]
    passed = httpx.post(
        f"{lenient}/passthrough/openai/v1/batches", json=asked, timeout=60, headers={"authorization": f"Bearer {made}"}
    )
    assert passed.status_code == 200, passed.text


@pytest.mark.parametrize(
    "path",
    [
        "/v1/../admin", "/v1/%2e%2e/admin", "/v1/%252e%252e/admin", "/v1/..%2fadmin", "/v1/..;/admin", "/./x",
        "/v1//x", "/v1/..%5cadmin", "/v1/%0d%0ax-own:1", "/v1/x%00", "http://x.example/", "/v1/%2e", "/v1/x%2f..",
        "//x.example/y", "@x.example/", "/%2f%2fx.example",
    ],
)  # fmt: skip
def test_paths_that_may_lead_elsewhere_are_refused(path: str, provider: Provider, gateway: Any) -> None:
    """However they are written; the provider is not even asked."""
    connection = http.client.HTTPConnection(urlsplit(gateway.url).netloc, timeout=60)
    connection.putrequest("POST", f"/passthrough/openai{path}", skip_accept_encoding=True)
    connection.putheader("authorization", f"Bearer {MASTER}")
    connection.putheader("content-length", "0")
    connection.endheaders()
    reply = connection.getresponse()
    assert reply.status in (400, 404), reply.read()
    connection.close()
    assert not provider.asked


def test_redirects_are_not_followed(provider: Provider, ask: Callable[..., httpx.Response]) -> None:
    """Neither by the gateway nor, told where to, by the caller."""
    provider.answer = lambda path: (307, {"location": "http://127.0.0.1:1/elsewhere"}, [b"there"])
    for method in ("GET", "POST"):
        reply = ask(method, "/passthrough/openai/v1/files")
        assert (reply.status_code, "location" in reply.headers) == (502, False)
        assert "127.0.0.1:1" not in reply.text
    assert len(provider.asked) == 2


def test_the_providers_errors_pass_without_its_key(provider: Provider, ask: Callable[..., httpx.Response]) -> None:
    """Status, body and retry-after as they came; a key that is echoed does not come along."""
    told = encoded({"error": {"message": f"Incorrect API key: {SECRET}"}})
    headers = {"content-type": "application/json", "retry-after": "7", "x-echo": SECRET}
    provider.answer = lambda path: (429, headers, [told])
    reply = ask("POST", "/passthrough/openai/v1/chat/completions", json=BODY)
    assert (reply.status_code, reply.headers["retry-after"], reply.headers["x-echo"]) == (429, "7", "***")
    assert reply.json()["error"]["message"] == "Incorrect API key: ***"


@pytest.mark.parametrize("stream", [True, False])
def test_what_others_made_is_not_ones_own(
    stream: bool, provider: Provider, ask: Callable[..., httpx.Response], new_key: Callable[..., str]
) -> None:
    """A response goes on for the key that it was made for, and for no other."""
    made = {"id": f"resp_{stream}", "object": "response", "usage": {"input_tokens": 1, "output_tokens": 1}}
    event = b"data: %s\n\n" % encoded({"type": "response.completed", "response": made})
    kind, piece = ("text/event-stream", event) if stream else ("application/json", encoded(made))
    provider.answer = lambda path: (200, {"content-type": kind}, [piece])
    mine, other = new_key(), new_key()
    path = "/passthrough/openai/v1/responses"
    assert ask("POST", path, key=mine, json={"model": "gpt-4o", "input": "hi", "stream": stream}).status_code == 200
    more = {"model": "gpt-4o", "input": "and?", "previous_response_id": made["id"]}
    assert [ask("POST", path, key=key, json=more).status_code for key in (other, mine)] == [404, 200]
    assert len(provider.asked) == 2


def test_budgets_and_limits_hold(
    provider: Provider, ask: Callable[..., httpx.Response], new_key: Callable[..., str]
) -> None:
    """Through the same gate as every call."""
    poor = new_key(max_budget=0.0000001)
    refused = ask("POST", "/passthrough/openai/v1/chat/completions", key=poor, json={**BODY, "max_tokens": 5})
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "budget_exceeded")
    once = new_key(rpm_limit=1)
    statuses = [ask("POST", "/passthrough/openai/v1/chat/completions", key=once, json=BODY).status_code for _ in "ab"]
    assert statuses == [200, 429]
    assert len(provider.asked) == 1


def test_who_leaves_ends_the_request(provider: Provider, gateway: Any, ask: Callable[..., httpx.Response]) -> None:
    """The provider is told, and it is in the ledger once."""

    def pieces() -> Iterator[bytes]:
        for _ in range(400):
            yield b"data: {}\n\n"
            time.sleep(0.05)

    provider.answer = lambda path: (200, {"content-type": "text/event-stream"}, pieces())
    url = f"{gateway.url}/passthrough/openai/v1/chat/completions"
    with httpx.stream("POST", url, json=BODY, headers={"authorization": f"Bearer {MASTER}"}, timeout=60) as reply:
        next(reply.iter_raw())
    assert provider.went_away.wait(60)
    assert logged(ask, reply.headers["x-polyport-request-id"])["status"] == 499


def test_a_wrong_setting_is_told() -> None:
    """With its place."""
    wrong = config("http://x", passthrough={"provider": ["openai"]})
    with pytest.raises(ConfigError, match=r"provider"):
        read(wrong)


def test_without_the_setting_nothing_passes(provider: Provider, start: Callable[..., Any]) -> None:
    """Not even for the master key."""
    bare = config(provider.address)
    del bare["general_settings"]["passthrough"]
    gateway = start(bare)
    headers = {"authorization": f"Bearer {MASTER}"}
    assert httpx.get(f"{gateway.url}/passthrough/openai/v1/models", headers=headers, timeout=60).status_code == 404
    assert not provider.asked


def test_guardrails_are_not_gone_around(provider: Provider, start: Callable[..., Any]) -> None:
    """What they cannot see does not pass, unless the configuration says so."""
    pytest.importorskip("polyport_guardrails")
    rail = {"guardrail": "deny-list", "mode": "pre_call", "words": ["x"]}
    headers = {"authorization": f"Bearer {MASTER}"}
    for unguarded, status in ((False, 403), (True, 200)):
        said = config(provider.address, passthrough={"providers": ["openai"], "unguarded": unguarded})
        gateway = start({**said, "guardrails": [{"guardrail_name": "g", "litellm_params": rail}]})
        url = f"{gateway.url}/passthrough/openai/v1/chat/completions"
        assert httpx.post(url, json=BODY, headers=headers, timeout=60).status_code == status
        gateway.stop()
    assert len(provider.asked) == 1


SSE, JSON = "text/event-stream", "application/json"
MESSAGE = {"type": "message", "model": "c", "usage": {"input_tokens": 7, "output_tokens": 1}}


@pytest.mark.parametrize(
    ("path", "kind", "reply", "used"),
    [
        ("/responses", JSON, {"usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}}, (7, 3)),
        ("/responses", SSE, [{"type": "response.completed", "response": {"usage": {
            "input_tokens": 7, "output_tokens": 3, "total_tokens": 10}}}], (7, 3)),
        ("/embeddings", JSON, {"usage": {"prompt_tokens": 7, "total_tokens": 7}}, (7, 0)),
        ("/messages", JSON, {**MESSAGE, "usage": {"input_tokens": 7, "output_tokens": 3}}, (7, 3)),
        ("/messages", SSE, [{"type": "message_start", "message": MESSAGE}, {"type": "ping"},
                            {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 3}}], (7, 3)),
        ("/models/gemini-2.5-pro:generateContent", JSON, {"usageMetadata": {
            "promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}}, (7, 3)),
        ("/models/g:streamGenerateContent", SSE, [{"usageMetadata": {"promptTokenCount": 7, "totalTokenCount": 7}},
            {"usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}}], (7, 3)),
        ("/models/g:streamGenerateContent", JSON, [{"usageMetadata": {
            "promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}}], (7, 3)),
        ("/chat", JSON, {"usage": {"billed_units": {"input_tokens": 7, "output_tokens": 3}}}, (7, 3)),
        ("/chat", SSE, [{"type": "message-end", "delta": {"usage": {
            "billed_units": {"input_tokens": 7, "output_tokens": 3}}}}], (7, 3)),
        ("/embed", JSON, {"meta": {"billed_units": {"input_tokens": 7}}}, (7, 0)),
    ],
)  # fmt: skip
def test_usage_is_read_on_the_way(path: str, kind: str, reply: Any, used: tuple[int, int]) -> None:
    """In every dialect, whole or streamed, wherever the pieces are cut."""
    row = row_of(path)
    assert row is not None
    data = b"".join(b"data: %s\n\n" % encoded(one) for one in reply) if kind == SSE else encoded(reply)
    tap = Tap(row, kind)
    for start in range(0, len(data), 11):
        tap.see(data[start : start + 11])
    found = tap.end()
    assert found is not None
    assert (found.tokens.get("input", 0), found.tokens.get("output", 0)) == used


def test_what_is_counted_in_other_units_is_read_too() -> None:
    """Searches; and what makes no sense costs no answer."""
    row = row_of("/rerank")
    assert row is not None
    tap = Tap(row, JSON)
    tap.see(encoded({"meta": {"billed_units": {"search_units": 2}}}))
    found = tap.end()
    assert found is not None
    assert found.units["search"] == 2
    for nonsense in (b"", b"[", b"7", encoded({"usage": 3}), encoded({"meta": []})):
        tap = Tap(row, JSON)
        tap.see(nonsense)
        assert tap.end() is None
