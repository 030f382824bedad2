"""All that Google's SDK can ask of the Gemini API: served by the gateway, or named here with why not."""

from __future__ import annotations

import inspect
import io
import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from polyport_gateway import gemini_live, gemini_upload
from polyport_gateway.gate import GateError
from polyport_gateway.gemini_unserved import OPENAIS, UNSERVED
from polyport_gateway.surfaces import Routes

genai = pytest.importorskip("google.genai")

TEXT = {"mime_type": "text/plain"}
ASKS = [{"contents": [{"role": "user", "parts": [{"text": "x"}]}]}]
#: What calls need to be made: method -> arguments. Every other public method stands in VERTEX or NOT_SERVED.
CALLS: dict[str, dict[str, Any]] = {
    "models.generate_content": {"model": "m", "contents": "x"},
    "models.generate_content_stream": {"model": "m", "contents": "x"},
    "models.embed_content": {"model": "m", "contents": "x"},
    "models.count_tokens": {"model": "m", "contents": "x"},
    "models.get": {"model": "m"},
    "models.list": {},
    "models.update": {"model": "tunedModels/t", "config": {"display_name": "d"}},
    "models.delete": {"model": "tunedModels/t"},
    "tunings.get": {"name": "tunedModels/t"},
    "tunings.cancel": {"name": "tunedModels/t/operations/o"},
    "caches.create": {"model": "m", "config": {"contents": "x"}},
    "caches.get": {"name": "cachedContents/c"},
    "caches.list": {},
    "caches.update": {"name": "cachedContents/c", "config": {"ttl": "1s"}},
    "caches.delete": {"name": "cachedContents/c"},
    "files.upload": {"file": io.BytesIO(b"x"), "config": TEXT},
    "files.get": {"name": "files/f"},
    "files.list": {},
    "files.delete": {"name": "files/f"},
    "files.download": {"file": "files/f"},
    "file_search_stores.create": {},
    "file_search_stores.get": {"name": "fileSearchStores/s"},
    "file_search_stores.list": {},
    "file_search_stores.delete": {"name": "fileSearchStores/s"},
    "file_search_stores.import_file": {"file_search_store_name": "fileSearchStores/s", "file_name": "files/f"},
    "file_search_stores.upload_to_file_search_store": {
        "file_search_store_name": "fileSearchStores/s", "file": io.BytesIO(b"x"), "config": TEXT,
    },
    "file_search_stores.download_media": {"media_id": "fileSearchStores/s/media/m"},
    "file_search_stores.documents.get": {"name": "fileSearchStores/s/documents/d"},
    "file_search_stores.documents.list": {"parent": "fileSearchStores/s"},
    "file_search_stores.documents.delete": {"name": "fileSearchStores/s/documents/d"},
    "operations.get": {"operation": genai.types.GenerateVideosOperation(name="models/m/operations/o")},
    "batches.create": {"model": "m", "src": ASKS},
    "batches.create_embeddings": {"model": "m", "src": {"inlined_requests": {"contents": ["x"]}}},
    "batches.get": {"name": "batches/b"},
    "batches.list": {},
    "batches.cancel": {"name": "batches/b"},
    "batches.delete": {"name": "batches/b"},
}  # fmt: skip
#: What the SDK refuses itself for the Gemini API: it is for Vertex AI's addresses, which are no part of this interface.
#: Pictures and videos were the Gemini API's until version 2, and their addresses are served: see `test_gemini_media`.
IMAGE = {"image_bytes": b"x", "mime_type": "image/png"}
VERTEX: dict[str, dict[str, Any]] = {
    "models.compute_tokens": {"model": "m", "contents": "x"},
    "models.edit_image": {"model": "m", "prompt": "x", "reference_images": []},
    "models.generate_images": {"model": "m", "prompt": "x"},
    "models.generate_videos": {"model": "m", "prompt": "x"},
    "models.recontext_image": {"model": "m", "source": {"prompt": "x"}},
    "models.segment_image": {"model": "m", "source": {"prompt": "x"}},
    "models.upscale_image": {"model": "m", "image": IMAGE, "upscale_factor": "x2"},
    "tunings.list": {},
}
#: What is not served, and why; of the SDK's resources as a whole the gateway says so itself.
NOT_SERVED: dict[str, str] = {
    **UNSERVED,
    "files.register_files": "it reads Google Cloud Storage by the caller's own credentials at Google",
    "tunings.validate_reward": "it is Vertex AI's: its address begins with a project",
    "tunings.tune": "the SDK leaves the examples out of its request to the Gemini API, which has no tuning any more; "
    "POST /v1beta/tunedModels is served",
    "chats": "it makes calls of models.generate_content",
}
#: Addresses of sockets, of the SDK's asynchronous side: the last word is the method.
SOCKETS = {"BidiGenerateContent": True, "BidiGenerateContentConstrained": False, "BidiGenerateMusic": False}


@pytest.fixture
def sdk() -> Iterator[tuple[Any, list[tuple[str, str]]]]:
    """The SDK, and the (method, path) of each of its requests, which somebody answers."""
    asked: list[tuple[str, str]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append((request.method, request.url.path))
        told = {"name": "files/f", "file": {"name": "files/f"}, "response": {}}
        headers = {"x-goog-upload-url": "http://x/upload/v1/files", "x-goog-upload-status": "final"}
        if request.url.query == b"alt=sse":
            return httpx.Response(200, content=b"data: {}\n\n", headers={"content-type": "text/event-stream"})
        return httpx.Response(200, json=told, headers=headers)

    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        client = genai.Client(api_key="k", http_options={"base_url": "http://x", "httpx_client": http})
        yield client, asked


def methods(client: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    """Yield all public methods of the SDK's resources; of those named whole in NOT_SERVED, only their name."""
    for name in dir(client):
        if name.startswith("_") or name in ("aio", "close", "vertexai"):
            continue
        if name in NOT_SERVED:
            yield name, lambda: None
            continue
        yield from _of(name, getattr(client, name))


def _of(path: str, resource: Any) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, member in inspect.getmembers(resource):
        if name.startswith("_"):
            continue
        if inspect.ismethod(member):
            yield f"{path}.{name}", member
        elif type(member).__module__.startswith("google.genai") and not isinstance(member, type):
            yield from _of(f"{path}.{name}", member)


def is_served(method: str, path: str) -> bool:
    """Whether an address is one of the gateway's."""
    for routes in (Routes(), gemini_upload.Places()):
        try:
            routes.find(method, path)
        except GateError:
            continue
        return True
    return False


def test_every_method_is_served_or_named(sdk: Any) -> None:
    """A method that a new version of the SDK brings stands in one of the tables."""
    client, _ = sdk
    found = {name for name, _ in methods(client)}
    known = CALLS.keys() | VERTEX.keys() | NOT_SERVED.keys()
    assert found - known == set(), "not in the tables"
    assert known - found - NOT_SERVED.keys() == set(), "not in the SDK any more"


def test_what_is_served_has_an_address(sdk: Any) -> None:
    """The very one that the SDK asks at, in its own version of the API."""
    client, asked = sdk
    there = dict(methods(client))
    for name, arguments in CALLS.items():
        asked.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = there[name](**arguments)
            list(made) if name.endswith("_stream") else made
        assert asked, name
        assert [one for one in asked if not is_served(*one)] == [], name


def test_what_is_vertex_ais_is_refused_by_the_sdk(sdk: Any) -> None:
    """So it is no capability of this interface."""
    client, asked = sdk
    there = dict(methods(client))
    for name, arguments in VERTEX.items():
        with warnings.catch_warnings(), pytest.raises(ValueError, match="Enterprise Agent Platform"):
            warnings.simplefilter("ignore")
            list(there[name](**arguments))
    assert asked == []


@pytest.mark.parametrize("word", UNSERVED)
def test_what_is_not_served_has_a_reason(word: str) -> None:
    """At its address and below, in all of Google's versions, but where OpenAI has the word."""
    own = "v1beta" if word in OPENAIS else "v1"
    for path in (f"/v1beta/{word}", f"/v1alpha/{word}/x", f"/{own}/{word}/x/y:z"):
        for method in ("GET", "POST", "PATCH", "DELETE"):
            route, _ = Routes().find(method, path)
            assert (route.own, route.surface.name) == ("unserved", "gemini")
            assert UNSERVED[word] in route.why
    with pytest.raises(GateError):
        Routes().find("POST", f"/v1beta/{word}s")


def test_the_sdk_is_told_why(start: Callable[..., Any]) -> None:
    """By the gateway, with 501, where the caller's key is one of its own."""
    models = [{"model_name": "m", "litellm_params": {"model": "gemini/gemini-2.5-flash", "api_key": "x"}}]
    gateway = start({"model_list": models, "general_settings": {"master_key": "sk-master-1234"}})
    headers = {"x-goog-api-key": "sk-master-1234"}
    told = httpx.post(
        f"{gateway.url}/v1beta/interactions", json={"model": "m", "input": "x"}, headers=headers, timeout=60
    )
    assert told.status_code == 501
    assert "generateContent" in told.json()["error"]["message"]
    client = genai.Client(api_key="sk-master-1234", http_options={"base_url": gateway.url})
    with pytest.raises(Exception, match="generateContent"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        client.interactions.create(model="m", input="x")
    stranger = httpx.get(f"{gateway.url}/v1beta/agents", headers={"x-goog-api-key": "sk-nobody"}, timeout=60)
    assert stranger.status_code == 401


def test_the_addresses_of_sockets_are_known() -> None:
    """Those in the SDK's source, and which of them are served."""
    source = "".join(
        (Path(genai.__file__).parent / file).read_text(encoding="utf-8") for file in ("live.py", "live_music.py")
    )
    assert set(re.findall(r"\bBidi\w+", source)) - {"BidiGenerateContent"} <= SOCKETS.keys()
    for name, served in SOCKETS.items():
        path = f"/ws/google.ai.generativelanguage.v1beta.GenerativeService.{name}"
        assert bool(gemini_live.ADDRESS.fullmatch(path)) is served
