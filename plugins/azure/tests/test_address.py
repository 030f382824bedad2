"""Where things are: literal URLs for each surface, and those of OpenAI's own SDK for Azure."""

from __future__ import annotations

import contextlib

import pytest

from polyport import errors

BASE = "https://res.openai.azure.com"

HELLO = [{"role": "user", "content": "Hello"}]
CHAT = "/chat/completions"
DEPLOYED = f"{BASE}/openai/deployments/gpt-4o{CHAT}?api-version="
FOUNDRY = "https://res.services.ai.azure.com"
PROJECT = f"{FOUNDRY}/api/projects/p"
GATEWAY = "https://apim.example/ai"

CHATS = [
    # base, version, URL
    (BASE, None, f"{BASE}/openai/v1{CHAT}"),
    (f"{BASE}/", None, f"{BASE}/openai/v1{CHAT}"),
    (BASE, "v1", f"{BASE}/openai/v1{CHAT}"),
    (BASE, "latest", f"{BASE}/openai/v1{CHAT}"),
    (BASE, "preview", f"{BASE}/openai/v1{CHAT}?api-version=preview"),
    (BASE, "2024-10-21", f"{DEPLOYED}2024-10-21"),
    (f"{BASE}/openai", "2024-10-21", f"{DEPLOYED}2024-10-21"),
    (f"{BASE}?api-version=2024-06-01", None, f"{DEPLOYED}2024-06-01"),
    (f"{BASE}?api-version=2024-06-01", "2024-10-21", f"{DEPLOYED}2024-10-21"),
    (f"{BASE}/openai/v1/", None, f"{BASE}/openai/v1{CHAT}"),
    (f"{BASE}/openai/v1", "2024-10-21", f"{BASE}/openai/v1{CHAT}"),
    (f"{BASE}/openai/deployments/other", None, f"{BASE}/openai/deployments/other{CHAT}?api-version=2024-10-21"),
    (f"{DEPLOYED}2025-01-01-preview", None, f"{DEPLOYED}2025-01-01-preview"),
    (f"{FOUNDRY}/models", None, f"{FOUNDRY}/models{CHAT}?api-version=2024-05-01-preview"),
    (f"{FOUNDRY}/models{CHAT}?api-version=2024-08-01", None, f"{FOUNDRY}/models{CHAT}?api-version=2024-08-01"),
    (f"{PROJECT}/openai/v1", None, f"{PROJECT}/openai/v1{CHAT}"),
    (f"{GATEWAY}/", "2024-10-21", f"{GATEWAY}/openai/deployments/gpt-4o{CHAT}?api-version=2024-10-21"),
    ("https://openai.example", None, f"https://openai.example/openai/v1{CHAT}"),
]


@pytest.mark.parametrize(("base", "version", "url"), CHATS)
def test_a_chat_s_address(wire, client, base, version, url):
    """A base is a resource, a surface of one, or what the portal shows; a version is v1's or dated."""
    client.completion("azure/gpt-4o", HELLO, api_base=base, api_version=version)
    assert str(wire.last.url) == url


CALLS = {
    "embedding": ({"model": "azure/e", "input": "x"}, "/openai/deployments/e/embeddings"),
    "text_completion": ({"model": "azure/i", "prompt": "x"}, "/openai/deployments/i/completions"),
    "image_generation": ({"model": "azure/d", "prompt": "x"}, "/openai/deployments/d/images/generations"),
    "speech": ({"model": "azure/t", "input": "x"}, "/openai/deployments/t/audio/speech"),
    "transcription": ({"model": "azure/w", "file": b"RIFF"}, "/openai/deployments/w/audio/transcriptions"),
    "translation": ({"model": "azure/w", "file": b"RIFF"}, "/openai/deployments/w/audio/translations"),
    "responses": ({"model": "azure/gpt-4o", "input": "x"}, "/openai/responses"),
    "retrieve_response": ({"response_id": "resp_1", "provider": "azure"}, "/openai/responses/resp_1"),
    "create_file": ({"file": ("a.jsonl", b"{}"), "purpose": "batch", "provider": "azure"}, "/openai/files"),
    "list_files": ({"provider": "azure"}, "/openai/files"),
    "file_content": ({"file_id": "f", "provider": "azure"}, "/openai/files/f/content"),
    "retrieve_batch": ({"batch_id": "b", "provider": "azure"}, "/openai/batches/b"),
    "list_models": ({"provider": "azure"}, "/openai/models"),
}


def ask(client, function, **more):
    """Make one of the calls; what it makes of the empty answer is not looked at."""
    with contextlib.suppress(errors.InvalidResponseError):
        getattr(client, function)(**CALLS[function][0], **more)


@pytest.mark.parametrize("function", CALLS)
def test_addresses_under_a_dated_version(wire, client, function):
    """Models are at their deployments, all else at the resource."""
    ask(client, function, api_version="2025-04-01-preview")
    assert str(wire.last.url) == f"{BASE}{CALLS[function][1]}?api-version=2025-04-01-preview"


@pytest.mark.parametrize("function", CALLS)
def test_addresses_on_the_v1_surface(wire, client, function):
    """Everything is below /openai/v1, and the model in the body."""
    ask(client, function)
    path = CALLS[function][1].replace("/openai", "", 1)
    if path.startswith("/deployments/"):
        path = path.replace(f"/deployments/{CALLS[function][0]['model'].removeprefix('azure/')}", "", 1)
    assert str(wire.last.url) == f"{BASE}/openai/v1{path}"


def test_videos_are_on_the_v1_surface_alone(wire, client):
    """A dated version has no Sora 2: https://learn.microsoft.com/azure/foundry/openai/concepts/video-generation"""
    client.video_status("video_1", provider="azure", api_version="2024-10-21")
    assert str(wire.last.url) == f"{BASE}/openai/v1/videos/video_1"


def test_a_deployment_s_name_is_one_segment(wire, client):
    """Whatever it holds."""
    client.completion("azure/a b/{c}?", HELLO, api_version="2024-10-21")
    assert wire.last.url.raw_path.decode() == f"/openai/deployments/a%20b%2F%7Bc%7D%3F{CHAT}?api-version=2024-10-21"


def test_a_query_of_one_s_own_follows_the_version(wire, client):
    """`extra_query` and parameters of lists are added."""
    client.list_files(provider="azure", purpose="batch", api_version="2024-10-21", extra_query={"a": "b"})
    assert str(wire.last.url) == f"{BASE}/openai/files?api-version=2024-10-21&purpose=batch&a=b"


ENVIRONMENTS = [
    ({"AZURE_API_BASE": BASE}, f"{BASE}/openai/v1{CHAT}"),
    ({"AZURE_OPENAI_ENDPOINT": f"{BASE}/", "OPENAI_API_VERSION": "2024-10-21"}, f"{DEPLOYED}2024-10-21"),
    ({"AZURE_API_BASE": BASE, "AZURE_API_VERSION": "2024-06-01", "OPENAI_API_VERSION": "x"}, f"{DEPLOYED}2024-06-01"),
    ({"AZURE_API_BASE": f"{BASE}?api-version=2024-02-01", "AZURE_API_VERSION": "v1"}, f"{DEPLOYED}2024-02-01"),
    (
        {"AZURE_API_BASE": f"{FOUNDRY}/models", "AZURE_API_VERSION": "2024-10-21"},
        f"{FOUNDRY}/models{CHAT}?api-version=2024-05-01-preview",
    ),
]


@pytest.mark.parametrize(("env", "url"), ENVIRONMENTS)
def test_addresses_by_the_environment(wire, connected, env, url):
    """Resource and version may stand in variables, by the names that OpenAI's SDK or others have for them."""
    with connected(env, api_key="key") as client:
        client.completion("azure/gpt-4o", HELLO)
    assert str(wire.last.url) == url


def test_without_a_resource(connected):
    """The error says how to name one."""
    with (
        connected(api_key="key") as client,
        pytest.raises(errors.BadRequestError, match=r"Set AZURE_API_BASE, or pass api_base='https://RESOURCE"),
    ):
        client.completion("azure/gpt-4o", HELLO)


@pytest.mark.filterwarnings("ignore:deprecated")
@pytest.mark.parametrize("function", [name for name in CALLS if name not in ("retrieve_response", "file_content")])
def test_addresses_are_those_of_openai_s_sdk(wire, client, function):
    """Path, version and header are what AzureOpenAI sends for the same call."""
    openai, httpx2 = pytest.importorskip("openai"), pytest.importorskip("httpx2")
    seen: list = []

    def answer(request):
        seen.append(request)
        return httpx2.Response(418)

    ask(client, function, api_version="2025-04-01-preview")
    http = httpx2.Client(transport=httpx2.MockTransport(answer))
    sdk = openai.AzureOpenAI(
        azure_endpoint=BASE, api_key="azure-test-key", api_version="2025-04-01-preview", http_client=http, max_retries=0
    )
    given = {**CALLS[function][0]}
    given.pop("provider", None)
    if "model" in given:
        given["model"] = given["model"].removeprefix("azure/")
    calls = {
        "embedding": sdk.embeddings.create,
        "text_completion": sdk.completions.create,
        "image_generation": sdk.images.generate,
        "speech": lambda **kw: sdk.audio.speech.create(voice="alloy", **kw),
        "transcription": sdk.audio.transcriptions.create,
        "translation": sdk.audio.translations.create,
        "responses": sdk.responses.create,
        "create_file": sdk.files.create,
        "list_files": sdk.files.list,
        "retrieve_batch": sdk.batches.retrieve,
        "list_models": sdk.models.list,
    }
    with pytest.raises(openai.APIStatusError):
        calls[function](**given)
    assert str(wire.last.url) == str(seen[0].url)
    assert wire.last.headers["api-key"] == seen[0].headers["api-key"] == "azure-test-key"
