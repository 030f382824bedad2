"""What Gemini keeps: files, caches, stores and tuned models with Google's own SDK, each its caller's own."""

from __future__ import annotations

import io
import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from .google import FIRST, SECOND, Google
from .services import listening
from .waiting import until

genai = pytest.importorskip("google.genai")
pytest.importorskip("polyport_gemini")

MASTER = "sk-master-1234"
TEXT = {"mime_type": "text/plain"}
Clients = Callable[..., Any]


@pytest.fixture(scope="module")
def google() -> Iterator[Google]:
    """The vendor."""
    with listening(Google()) as server:
        yield server


def config(google: Google, *keys: str, **sections: Any) -> dict[str, Any]:
    """Return a configuration of a model at each of these accounts."""
    prices = {"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6}
    models = [
        {"model_name": f"gem-{place}", "litellm_params": {
            "model": "gemini/gemini-2.5-flash", "api_key": key, "api_base": google.address, **prices}}
        for place, key in enumerate(keys, 1)
    ]  # fmt: skip
    general = {"master_key": MASTER, **sections.pop("general_settings", {})}
    return {"model_list": models, "general_settings": general, "router_settings": {"num_retries": 0}, **sections}


@pytest.fixture(scope="module")
def gateway(google: Google, start: Callable[..., Any]) -> Any:
    """A gateway in front of two of its accounts."""
    return start(config(google, FIRST, SECOND))


def key_of(gateway: Any, **fields: Any) -> str:
    """Return a new key."""
    master = {"authorization": f"Bearer {MASTER}"}
    answer = httpx.post(f"{gateway.url}/key/generate", json=fields, headers=master, timeout=60)
    assert answer.status_code == 200, answer.text
    found: str = answer.json()["key"]
    return found


@pytest.fixture
def clients() -> Iterator[Clients]:
    """Make SDKs."""
    with ExitStack() as stack:

        def made(gateway: Any, key: str | None = None, **options: Any) -> Any:
            http = stack.enter_context(httpx.Client(timeout=60))
            given = {"base_url": gateway.url, "httpx_client": http, **options}
            return genai.Client(api_key=key or key_of(gateway), http_options=given)

        yield made


def ledger(gateway: Any, key: str, count: int) -> list[dict[str, Any]]:
    """Return the rows of a key's requests, the first one first, once there are so many."""
    master = {"authorization": f"Bearer {MASTER}"}
    name = httpx.get(f"{gateway.url}/key/info", params={"key": key}, headers=master, timeout=60).json()["key_id"]

    def rows() -> list[dict[str, Any]]:
        told = httpx.get(f"{gateway.url}/spend/logs", params={"key": name}, headers=master, timeout=60)
        assert told.status_code == 200, told.text
        return sorted(told.json()["results"], key=lambda row: row["at"])

    found: list[dict[str, Any]] = until(lambda: len(found := rows()) >= count and found, "the rows are in the ledger")
    return found


def refused(call: Callable[[], Any]) -> int:
    """Return the status that a call is refused with."""
    with pytest.raises(genai.errors.APIError) as error:
        call()
    code: int = error.value.code
    assert FIRST not in str(error.value)
    return code


@pytest.mark.parametrize("version", [None, "v1beta", "v1alpha"])
def test_a_file_is_uploaded_used_listed_and_deleted(
    google: Google, gateway: Any, clients: Clients, version: str | None
) -> None:
    """In pieces, by an address of the gateway's; its owner alone sees it."""
    options = {} if version is None else {"api_version": version}
    mine, other = clients(gateway, **options), clients(gateway, **options)
    content = bytes(range(256)) * 40_000  # more than one of the SDK's pieces
    file = mine.files.upload(file=io.BytesIO(content), config=TEXT)
    assert google.contents[file.name] == content
    assert mine.files.get(name=file.name).size_bytes == len(content)
    assert file.name in [one.name for one in mine.files.list()]
    assert [one.name for one in other.files.list()] == []
    assert refused(lambda: other.files.get(name=file.name)) == 404
    assert refused(lambda: other.files.delete(name=file.name)) == 404
    told = mine.models.generate_content(model="gem-1", contents=["What is it?", file])
    assert told.text == "Well: What is it?"
    assert refused(lambda: other.models.generate_content(model="gem-1", contents=["What is it?", file])) == 404
    assert clients(gateway, MASTER).files.get(name=file.name).name == file.name
    mine.files.delete(name=file.name)
    assert file.name not in google.kept[FIRST]


def test_a_name_of_ones_own_is_nobody_elses(google: Google, gateway: Any, clients: Clients) -> None:
    """Nor can somebody else take it when the file is gone, and so come by what others think is there."""
    mine, other = clients(gateway), clients(gateway)
    made = mine.files.upload(file=io.BytesIO(b"abc"), config={**TEXT, "name": "my-notes"})
    assert (made.name, google.contents["files/my-notes"]) == ("files/my-notes", b"abc")
    mine.files.delete(name="files/my-notes")
    assert refused(lambda: other.files.upload(file=io.BytesIO(b"x"), config={**TEXT, "name": "my-notes"})) == 409
    assert mine.files.upload(file=io.BytesIO(b"new"), config={**TEXT, "name": "my-notes"}).name == "files/my-notes"
    assert refused(lambda: mine.files.upload(file=io.BytesIO(b"x"), config={**TEXT, "name": "No Name"})) == 400


def test_an_upload_goes_on_at_another_replica_and_nowhere_else(
    google: Google, start: Callable[..., Any], tmp_path: Path
) -> None:
    """Who has the master key can read the address; one that was made up leads nowhere."""
    gateway, replica = replicas(google, start, tmp_path)
    begin = {"x-goog-api-key": key_of(gateway), "x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    url, body = f"{gateway.url}/upload/v1beta/files", {"file": {"display_name": "d"}}
    begun = httpx.post(url, json=body, headers=begin, timeout=60)
    session = begun.headers["x-goog-upload-url"]
    assert session.startswith(url + "?")
    assert "x-goog-upload-control-url" not in begun.headers
    rest = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    there = session.replace(gateway.url, replica.url)
    asked = len(google.asked)
    for wrong in (there.replace("upload_id=", "upload_id=A"), there[:-30], there.partition("?")[0] + "?upload_id=x.y"):
        assert httpx.post(wrong, content=b"abc", headers=rest, timeout=60).status_code == 404
    assert len(google.asked) == asked
    done = httpx.post(there, content=b"abc", headers=rest, timeout=60)
    assert (done.status_code, done.headers["x-goog-upload-status"]) == (200, "final")
    assert google.contents[done.json()["file"]["name"]] == b"abc"
    assert httpx.post(url, json=body, headers={**begin, "x-goog-api-key": "sk-nobody"}, timeout=60).status_code == 401
    assert httpx.post(url, json=body, headers={"x-goog-api-key": MASTER}, timeout=60).status_code == 400


def replicas(google: Google, start: Callable[..., Any], folder: Path) -> list[Any]:
    """Return two gateways with one database."""
    shared = config(google, FIRST, SECOND, general_settings={"database_url": f"sqlite:///{folder / 'shared.db'}"})
    return [start(shared), start(shared)]


def begun(gateway: Any, key: str) -> tuple[str, dict[str, Any]]:
    """Begin an upload, and return its address and what the next piece says of itself, which has three bytes."""
    begin = {"x-goog-api-key": key, "x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    answer = httpx.post(f"{gateway.url}/upload/v1beta/files", json={"file": {}}, headers=begin, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-goog-upload-url"], {"x-goog-upload-command": "upload"}


def manage(gateway: Any, path: str, body: Any) -> Any:
    """Ask the management, and return what it says."""
    answer = httpx.post(f"{gateway.url}{path}", json=body, headers={"authorization": f"Bearer {MASTER}"}, timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


#: What ends an upload: the key's fields, and what is done to the key (or its team) meanwhile.
ENDS: dict[str, tuple[dict[str, Any], str, Callable[[str, str], Any], int]] = {
    "blocked": ({}, "/key/block", lambda key, _: {"key": key}, 403),
    "deleted": ({}, "/key/delete", lambda key, _: {"key": key}, 401),
    "rotated": ({}, "/key/rotate", lambda key, _: {"key": key}, 401),
    "expired": ({}, "/key/update", lambda key, _: {"key": key, "duration": "1s"}, 401),
    "elsewhere": ({}, "/key/update", lambda key, _: {"key": key, "allowed_ips": ["10.1.2.3"]}, 403),
    "no such route": ({}, "/key/update", lambda key, _: {"key": key, "allowed_routes": ["/models"]}, 403),
    "team blocked": ({"team": True}, "/team/block", lambda _, team: {"team_id": team}, 403),
}


@pytest.fixture(scope="module")
def pair(google: Google, start: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Two gateways with one database."""
    return replicas(google, start, tmp_path_factory.mktemp("shared"))


@pytest.mark.parametrize("end", ENDS)
def test_an_upload_ends_with_the_key_that_began_it(google: Google, pair: list[Any], end: str) -> None:
    """What is done to it at one replica ends the upload at the other, within a second."""
    one, other = pair
    fields, path, body, status = ENDS[end]
    team = manage(one, "/team/new", {"team_alias": "t"})["team_id"] if fields else ""
    key = key_of(one, **({"team_id": team} if team else {}))
    address, says = begun(one, key)
    there, sent = address.replace(one.url, other.url), itertools.count()

    def piece() -> httpx.Response:
        """Send the next piece."""
        return httpx.post(
            there, content=b"abc", headers={**says, "x-goog-upload-offset": str(3 * next(sent))}, timeout=60
        )

    assert [piece().status_code for _ in range(2)] == [200, 200]
    manage(one, path, body(key, team))
    since = begins = time.monotonic()
    while (answer := piece()).status_code == 200:
        assert begins - since < (2 if end == "expired" else 1), "this piece began too late to be let in"
        time.sleep(0.02)
        begins = time.monotonic()
    assert answer.status_code == status, answer.text
    assert FIRST not in answer.text
    asked = len(google.asked)
    assert piece().status_code == status
    assert len(google.asked) == asked


def test_an_upload_of_the_master_keys_goes_on(pair: list[Any]) -> None:
    """It has no row that could be blocked."""
    address, says = begun(pair[0], MASTER)
    for place, command in enumerate(("upload", "upload, finalize")):
        says |= {"x-goog-upload-command": command, "x-goog-upload-offset": str(3 * place)}
        answer = httpx.post(address.replace(pair[0].url, pair[1].url), content=b"abc", headers=says, timeout=60)
        assert answer.status_code == 200, answer.text


def test_uploads_are_bounded(google: Google, start: Callable[..., Any], clients: Clients) -> None:
    """By what is told of a file, and by what comes."""
    small = start(config(google, FIRST, general_settings={"max_upload_size_mb": 0.001}))
    mine = clients(small)
    assert refused(lambda: mine.files.upload(file=io.BytesIO(bytes(2000)), config=TEXT)) == 413
    begin = {"x-goog-api-key": MASTER, "x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
    begun = httpx.post(f"{small.url}/upload/v1beta/files", json={}, headers=begin, timeout=60)
    rest = {"x-goog-upload-command": "upload, finalize", "x-goog-upload-offset": "0"}
    assert (
        httpx.post(begun.headers["x-goog-upload-url"], content=bytes(2000), headers=rest, timeout=60).status_code == 413
    )


def test_a_cache_is_its_makers(google: Google, gateway: Any, clients: Clients) -> None:
    """Made at its model's account, read, changed, used and deleted there; what it took in is in the ledger."""
    key = key_of(gateway)
    mine, other = clients(gateway, key), clients(gateway)
    made = mine.caches.create(model="gem-2", config={"contents": "Long ago", "ttl": "60s"})
    assert google.kept[SECOND][made.name]["model"] == "models/gemini-2.5-flash"
    assert mine.caches.update(name=made.name, config={"ttl": "90s"}).name == made.name
    assert google.kept[SECOND][made.name]["ttl"] == "90s"
    assert [one.name for one in mine.caches.list()] == [made.name]
    assert [one.name for one in other.caches.list()] == []
    asking = {"model": "gem-2", "contents": "And?", "config": {"cached_content": made.name}}
    assert mine.models.generate_content(**asking).text == "Well: And?"
    assert google.asked[-1][3]["cachedContent"] == made.name
    calls = (
        lambda: other.models.generate_content(**asking),
        lambda: other.caches.get(name=made.name),
        lambda: other.caches.update(name=made.name, config={"ttl": "1s"}),
        lambda: other.caches.delete(name=made.name),
    )
    assert [refused(call) for call in calls] == [404] * 4
    mine.caches.delete(name=made.name)
    assert made.name not in google.kept[SECOND]
    first, *rest = ledger(gateway, key, 5)
    assert (first["operation"], first["model"], first["provider"]) == ("caches.create", "gem-2", "gemini")
    assert (first["prompt"], round(first["spend"], 9)) == (1000, 0.001)
    assert [row["operation"] for row in rest] == ["caches.update", "caches.list", "completion", "caches.delete"]


def test_pages_are_turned_until_there_is_something_of_ones_own(google: Google, gateway: Any, clients: Clients) -> None:
    """Over all accounts, past what is others'."""
    mine, other = clients(gateway), clients(gateway)
    names = []
    for number in range(7):
        who = mine if number in (0, 5, 6) else other
        model = "gem-2" if number == 6 else "gem-1"
        made = who.caches.create(model=model, config={"contents": "x", "ttl": "60s"})
        names += [made.name] if who is mine else []
    assert [one.name for one in mine.caches.list()] == names
    wrong = httpx.get(
        f"{gateway.url}/v1beta/cachedContents?pageToken=x~1", headers={"x-goog-api-key": MASTER}, timeout=60
    )
    assert wrong.status_code == 400


def test_a_store_and_all_in_it_is_its_makers(google: Google, gateway: Any, clients: Clients) -> None:
    """Documents are imported and uploaded into it, and found by whose it is."""
    mine, other = clients(gateway), clients(gateway)
    store = mine.file_search_stores.create(config={"display_name": "notes"})
    file = mine.files.upload(file=io.BytesIO(b"abc"), config=TEXT)
    imported = mine.file_search_stores.import_file(file_search_store_name=store.name, file_name=file.name)
    assert mine.operations.get(imported).done
    uploaded = mine.file_search_stores.upload_to_file_search_store(
        file_search_store_name=store.name, file=io.BytesIO(b"document"), config=TEXT
    )
    assert uploaded.done
    google.contents[f"{store.name}/media/m-1"] = b"a picture"
    assert mine.file_search_stores.download_media(media_id=f"{store.name}/media/m-1") == b"a picture"
    assert [one.name for one in mine.file_search_stores.documents.list(parent=store.name)] == [
        f"{store.name}/documents/d-1"
    ]
    assert [one.name for one in mine.file_search_stores.list()] == [store.name]
    search = {"tools": [{"file_search": {"file_search_store_names": [store.name]}}]}
    asking = {"model": "gem-1", "contents": "Where?", "config": search}
    assert mine.models.generate_content(**asking).text == "Well: Where?"
    theirs = other.files.upload(file=io.BytesIO(b"abc"), config=TEXT)
    stores = other.file_search_stores
    calls = (
        lambda: other.models.generate_content(**asking),
        lambda: stores.get(name=store.name),
        lambda: stores.delete(name=store.name),
        lambda: stores.import_file(file_search_store_name=store.name, file_name=theirs.name),
        lambda: stores.upload_to_file_search_store(
            file_search_store_name=store.name, file=io.BytesIO(b"x"), config=TEXT
        ),
        lambda: list(stores.documents.list(parent=store.name)),
        lambda: stores.documents.delete(name=f"{store.name}/documents/d-1"),
        lambda: other.operations.get(imported),
        lambda: mine.file_search_stores.import_file(file_search_store_name=store.name, file_name=theirs.name),
    )
    assert [refused(call) for call in calls] == [404] * len(calls)
    mine.file_search_stores.delete(name=store.name)
    assert store.name not in google.kept[FIRST]


def test_what_google_made_is_downloaded(google: Google, gateway: Any, clients: Clients) -> None:
    """As bytes, by an admin, where nobody here is known to have made it."""
    google.contents["files/video-1"] = b"moving pictures"
    assert clients(gateway, MASTER).files.download(file="files/video-1") == b"moving pictures"
    assert refused(lambda: clients(gateway).files.download(file="files/video-1")) == 404


def test_a_tuned_model_is_its_makers(google: Google, gateway: Any, clients: Clients) -> None:
    """It is made of a model that the caller may use."""
    mine, other = clients(gateway), clients(gateway)
    url, headers = f"{gateway.url}/v1beta/tunedModels", {"x-goog-api-key": mine._api_client.api_key}
    told = httpx.post(url, json={"baseModel": "models/gem-1", "displayName": "t"}, headers=headers, timeout=60)
    name = told.json()["name"].partition("/operations")[0]
    assert google.kept[FIRST][name]["baseModel"] == "models/gemini-2.5-flash"
    assert mine.models.update(model=name, config={"display_name": "u"}).name == name
    assert mine.tunings.get(name=name).name == name
    assert [one["name"] for one in httpx.get(url, headers=headers, timeout=60).json()["tunedModels"]] == [name]
    assert httpx.get(url, headers={"x-goog-api-key": key_of(gateway)}, timeout=60).json() == {}
    assert refused(lambda: other.tunings.get(name=name)) == 404
    mine.tunings.cancel(name=f"{name}/operations/o")
    assert google.asked[-1][1].endswith("/operations/o:cancel")
    mine.models.delete(model=name)
    narrow = clients(gateway, key_of(gateway, models=["gem-2"]))
    key = {"x-goog-api-key": narrow._api_client.api_key}
    assert httpx.post(url, json={"baseModel": "models/gem-1"}, headers=key, timeout=60).status_code == 403


def test_what_guardrails_cannot_see_is_not_kept(google: Google, start: Callable[..., Any], clients: Clients) -> None:
    """A cache's contents, and a batch's requests, would go around them."""
    rails = [
        {"guardrail_name": "words", "litellm_params": {"guardrail": "regex", "mode": "pre_call", "patterns": ["x"]}}
    ]
    guarded = start(config(google, FIRST, guardrails=rails))
    mine = clients(guarded)
    with pytest.raises(genai.errors.ClientError, match="Guardrails cannot see") as error:
        mine.caches.create(model="gem-1", config={"contents": "Long ago", "ttl": "60s"})
    assert error.value.code == 403
    asks = [{"contents": [{"role": "user", "parts": [{"text": "x"}]}]}]
    with pytest.raises(genai.errors.ClientError, match="Guardrails cannot see"):
        mine.batches.create(model="gem-1", src=asks)


def test_routes_limits_and_odd_names_hold(gateway: Any, clients: Clients) -> None:
    """A key's routes and rpm are those of every call."""
    narrow = clients(gateway, key_of(gateway, allowed_routes=["/files*"], rpm_limit=2))
    assert refused(lambda: list(narrow.caches.list())) == 403
    assert [list(narrow.files.list()) for _ in range(2)] == [[], []]
    assert refused(lambda: list(narrow.files.list())) == 429
    headers = {"x-goog-api-key": key_of(gateway)}
    for name in ("a%20b", "a..b", "a%3Fb", "a%25"):
        assert httpx.get(f"{gateway.url}/v1beta/files/{name}", headers=headers, timeout=60).status_code == 404


def test_openais_clients_have_their_files_at_the_same_address(gateway: Any) -> None:
    """Google's SDK is known by its header."""
    bearer = httpx.get(f"{gateway.url}/v1/files", headers={"authorization": f"Bearer {MASTER}"}, timeout=60).json()
    assert bearer["object"] == "list"
    assert "object" not in httpx.get(f"{gateway.url}/v1/files", headers={"x-goog-api-key": MASTER}, timeout=60).json()


def test_without_gemini_nobody_keeps_anything(start: Callable[..., Any], clients: Clients) -> None:
    """And that is said."""
    params = {"model": "openai/gpt-4o", "api_key": "sk-x", "api_base": "http://127.0.0.1:9/v1"}
    plain = start(
        {"model_list": [{"model_name": "gpt", "litellm_params": params}], "general_settings": {"master_key": MASTER}}
    )
    mine = clients(plain, MASTER)
    assert refused(lambda: list(mine.caches.list())) == 404
    assert refused(lambda: mine.caches.create(model="gpt", config={"contents": "x", "ttl": "60s"})) == 400
    assert refused(lambda: mine.files.upload(file=io.BytesIO(b"x"), config=TEXT)) == 404
