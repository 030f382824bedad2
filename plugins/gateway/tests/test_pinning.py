"""What a request names is at one account: it goes there, though its model has deployments at others."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from .google import FIRST, SECOND, Google
from .services import listening
from .waiting import until

pytest.importorskip("polyport_gemini")

MASTER = "sk-master-1234"
HI = [{"role": "user", "parts": [{"text": "hi"}]}]
KEYS = {1: FIRST, 2: SECOND}
#: Models, and the accounts that they have deployments at.
MODELS = {"gem": (1, 2), "gem-1": (1,), "gem-2": (2,)}
#: Methods of a model, and what follows in the address.
METHODS = {"generateContent": "", "streamGenerateContent": "?alt=sse", "countTokens": ""}


def config(google: Google, **sections: Any) -> dict[str, Any]:
    """Return a configuration of these models. Some ask their account with patience of their own: it is the same."""
    models = [
        {"model_name": model, "litellm_params": {
            "model": "gemini/gemini-2.5-flash", "api_key": KEYS[place], "api_base": google.address,
            **({"timeout": 50 + place} if model == "gem" else {})}}
        for model, places in MODELS.items() for place in places
    ]  # fmt: skip
    routing = {"num_retries": 0, **sections.pop("router_settings", {})}
    return {
        "model_list": models, "general_settings": {"master_key": MASTER}, "router_settings": routing, **sections,
    }  # fmt: skip


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    """The vendor."""
    with listening(Google()) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(google: Google, start: Callable[..., Any]) -> Any:
    """A gateway in front of it."""
    return start(config(google))


@pytest.fixture(scope="module")
def mine(gateway: Any) -> Iterator[httpx.Client]:
    """Ask with a key of one's own."""
    master = {"authorization": f"Bearer {MASTER}"}
    key = httpx.post(f"{gateway.url}/key/generate", json={}, headers=master, timeout=60).json()["key"]
    with httpx.Client(base_url=gateway.url, headers={"x-goog-api-key": key}, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def things(mine: httpx.Client) -> dict[str, int]:
    """Make caches at both accounts, a file and a store, and return where they are."""
    found = {}
    for place in (1, 2, 2, 1):
        body = {"model": f"models/gem-{place}", "contents": HI, "ttl": "60s"}
        made = mine.post("/v1beta/cachedContents", json=body)
        assert made.status_code == 200, made.text
        found[made.json()["name"]] = place
    begin = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    begun = mine.post("/upload/v1beta/files", json={"file": {}}, headers=begin)
    rest = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    done = mine.post(begun.headers["x-goog-upload-url"], content=b"abc", headers=rest).json()["file"]
    found |= {done["uri"]: 1}
    found |= {mine.post("/v1beta/fileSearchStores", json={}).json()["name"]: 1}
    return found


def asking(names: list[str], *, snake: bool) -> dict[str, Any]:
    """Return a request that names these things, each as such things are named."""
    parts: list[dict[str, Any]] = [{"text": "hi"}]
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": parts}]}
    for name in names:
        if name.startswith("cachedContents/"):
            body["cached_content" if snake else "cachedContent"] = name
        elif name.startswith("fileSearchStores/"):
            searched = {"file_search_store_names" if snake else "fileSearchStoreNames": [name]}
            body["tools"] = [{"file_search" if snake else "fileSearch": searched}]
        else:
            parts.append({"file_data" if snake else "fileData": {"file_uri" if snake else "fileUri": name}})
    return body


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_it_goes_where_all_that_it_names_is(
    google: Google, mine: httpx.Client, things: dict[str, int], data: st.DataObject
) -> None:
    """By any of the model's deployments there; where there is none, nobody is asked, and it is told whom to ask."""
    model, method = data.draw(st.sampled_from([*MODELS])), data.draw(st.sampled_from([*METHODS]))
    caches = [name for name in things if name.startswith("cachedContents/")]
    others = [name for name in things if name not in caches]
    names = data.draw(st.lists(st.sampled_from(others), unique=True))
    if data.draw(st.booleans()):
        names.append(data.draw(st.sampled_from(caches)))
    body = asking(names, snake=data.draw(st.booleans()))
    if method == "countTokens":
        body = {"generateContentRequest": body}
    asked = len(google.asked)
    answer = mine.post(f"/v1beta/models/{model}:{method}{METHODS[method]}", json=body)
    used = [key for _, path, key, _ in google.asked[asked:]]
    there = {things[name] for name in names}
    if len(there) > 1:
        assert (answer.status_code, used) == (400, [])
        assert "different accounts" in answer.text
    elif there <= {*MODELS[model]}:
        assert answer.status_code == 200, answer.text
        assert len(used) == 1
        assert used[0] in [KEYS[place] for place in there or MODELS[model]]
    else:
        assert (answer.status_code, used) == (400, [])
        assert f"ask gem or gem-{there.pop()}" in answer.json()["error"]["message"]
    assert FIRST not in answer.text
    assert SECOND not in answer.text


def test_tokens_of_a_cache_are_counted_by_who_has_it(mine: httpx.Client, things: dict[str, int]) -> None:
    """Google's own reply, with what the cache has."""
    cache = next(name for name in things if name.startswith("cachedContents/"))
    body = {"generateContentRequest": {"model": "models/gem", "contents": HI, "cachedContent": cache}}
    told = mine.post("/v1beta/models/gem:countTokens", json=body).json()
    assert told == {"totalTokens": 1005, "cachedContentTokenCount": 1000}


def test_nobody_stands_in_for_an_account_that_fails_or_rests(google: Google, start: Callable[..., Any]) -> None:
    """The error says that it rests, and when it will not; what names nothing goes to others meanwhile."""
    gateway = start(config(google, router_settings={"cooldown_time": 2, "allowed_fails": 0}))
    master = {"authorization": f"Bearer {MASTER}"}
    key = httpx.post(f"{gateway.url}/key/generate", json={}, headers=master, timeout=60).json()["key"]
    with httpx.Client(base_url=gateway.url, headers={"x-goog-api-key": key}, timeout=60) as client:
        body = {"model": "models/gem-1", "contents": HI, "ttl": "60s"}
        pinned = {"contents": HI, "cachedContent": client.post("/v1beta/cachedContents", json=body).json()["name"]}
        url = "/v1beta/models/gem:generateContent"
        asked = len(google.asked)
        google.failing.add(FIRST)
        try:
            first = client.post(url, json=pinned)
            assert (first.status_code, "overloaded" in first.text) == (503, True)
            rests = client.post(url, json=pinned)
            assert (rests.status_code, "rests for" in rests.text) == (503, True)
            assert int(rests.headers["retry-after"]) >= 1
            assert client.post(url, json={"contents": HI}).status_code == 200
        finally:
            google.failing.clear()
        keys = [key for _, path, key, _ in google.asked[asked:] if "generateContent" in path]
        assert keys == [FIRST, SECOND]
        until(lambda: client.post(url, json=pinned).status_code == 200, "it has rested")
        assert google.asked[-1][2] == FIRST


def test_openais_way_to_name_a_file_is_pinned_too(google: Google, mine: httpx.Client, things: dict[str, int]) -> None:
    """Whatever the surface: the model is the same."""
    uri = next(name for name in things if "/files/" in name)
    parts = [{"type": "text", "text": "hi"}, {"type": "image_url", "image_url": {"url": uri}}]
    chat = {"messages": [{"role": "user", "content": parts}]}
    headers = {"authorization": f"Bearer {mine.headers['x-goog-api-key']}", "x-goog-api-key": ""}
    for _ in range(8):
        answer = mine.post("/v1/chat/completions", json={"model": "gem", **chat}, headers=headers)
        assert (answer.status_code, google.asked[-1][2]) == (200, FIRST)
    answer = mine.post("/v1/chat/completions", json={"model": "gem-2", **chat}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "kept_elsewhere")


def test_a_cache_is_made_where_its_files_are(google: Google, mine: httpx.Client, things: dict[str, int]) -> None:
    """So are batches; a model at another account has none of them."""
    uri = next(name for name in things if "/files/" in name)
    contents = [{"role": "user", "parts": [{"fileData": {"fileUri": uri}}]}]
    batch = {"batch": {"inputConfig": {"requests": {"requests": [{"request": {"contents": contents}}]}}}}
    for model, status in (("gem", 200), ("gem-2", 400)):
        for _ in range(4):
            body = {"model": f"models/{model}", "contents": contents, "ttl": "60s"}
            made = mine.post("/v1beta/cachedContents", json=body)
            begun = mine.post(f"/v1beta/models/{model}:batchGenerateContent", json=batch)
            assert (made.status_code, begun.status_code) == (status, status), made.text + begun.text
            if status == 200:
                assert [key for _, _, key, _ in google.asked[-2:]] == [FIRST] * 2


def test_a_live_session_is_held_where_its_files_are(
    google: Google, gateway: Any, mine: httpx.Client, things: dict[str, int]
) -> None:
    """Those of its beginning say where it is; one of another account ends it."""
    uri = next(name for name in things if "/files/" in name)
    there = gateway.url.replace("http", "ws") + "/ws/google.ai.generativelanguage.v1beta.GenerativeService."
    headers = {"x-goog-api-key": mine.headers["x-goog-api-key"]}
    instruction = {"systemInstruction": {"parts": [{"fileData": {"fileUri": uri}}]}}

    def session(model: str, setup: dict[str, Any], *messages: Any) -> tuple[bool, str]:
        """Return whether it was set up, and with what words it ended."""
        begun = False
        with connect(there + "BidiGenerateContent", additional_headers=headers) as socket:
            try:
                socket.send(json.dumps({"setup": {"model": f"models/{model}", **setup}}))
                begun = b"setupComplete" in socket.recv(30)
                for message in messages:
                    socket.send(json.dumps(message))
                if messages:
                    socket.recv(30)
            except ConnectionClosed as closed:
                return begun, closed.rcvd.reason if closed.rcvd else ""
        return begun, ""

    for _ in range(4):
        assert session("gem", instruction) == (True, "")
        assert [key for _, path, key, _ in google.asked if path.startswith("/ws/")][-1] == FIRST
    begun, why = session("gem-2", instruction)
    assert (begun, "is kept at an account" in why) == (False, True)
    turn = {"clientContent": {"turns": [{"role": "user", "parts": [{"fileData": {"fileUri": uri}}]}]}}
    begun, why = session("gem-2", {}, turn)
    assert (begun, "is kept at an account" in why) == (True, True)
