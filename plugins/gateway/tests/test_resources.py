"""What an account at OpenAI keeps, behind the gateway, by the official SDK: vector stores, conversations and so on."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import textwrap
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from polyport_gateway import minting, owning, resources
from polyport_gateway.gate import GateError
from polyport_gateway.surfaces import Routes

from .services import Answering, Local, listening
from .waiting import until

openai = pytest.importorskip("openai")
pytest.importorskip("polyport_openai")
from openai._resource import SyncAPIResource  # noqa: E402  what all of the SDK's resources are

MASTER = "sk-master-1234"
FIRST, SECOND = "sk-upstream-first", "sk-upstream-second"
#: Where something of its own is kept, and what ids there begin with.
ROOTS = {
    "vector_stores": "vs", "conversations": "conv", "uploads": "upload", "fine_tuning/jobs": "ftjob",
    "containers": "cntr", "evals": "eval", "skills": "skill", "chat/completions": "chatcmpl", "audio/voices": "voice",
    "audio/voice_consents": "cons", "responses": "resp", "files": "file",
}  # fmt: skip
USAGE = {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100,
         "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}}  # fmt: skip


class Vendor(Local):
    """An OpenAI of two accounts, told apart by their keys. `asked` has (method, path, query, body) of every request."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.numbers = itertools.count(1)
        self.accounts: dict[str, dict[str, dict[str, Any]]] = {FIRST: {}, SECOND: {}}
        self.asked: list[tuple[str, str, dict[str, list[str]], bytes]] = []
        self.url = f"{self.address}/v1"
        #: Ids after which there is no page.
        self.broken: set[str] = set()

    def where(self, name: str) -> str:
        """Return the key of the account that has something."""
        return next(key for key, kept in self.accounts.items() if any(name in path.split("/") for path in kept))


def events(*told: Any) -> bytes:
    """Return server-sent events."""
    return "".join(f"data: {json.dumps(one)}\n\n" for one in told).encode()


def response(told: dict[str, Any], number: int) -> dict[str, Any]:
    """Return an event about a response."""
    return {"type": ("response.created", "response.completed")[number], "sequence_number": number, "response": told}


class Handler(Answering):
    """Keeps whatever is made, by its address, and gives anybody with an account's key anything there."""

    server: Vendor

    def serve(self) -> None:
        url, body = urlsplit(self.path), self.body()
        path, query = url.path.removeprefix("/openai").removeprefix("/v1/"), parse_qs(url.query)
        self.server.asked.append((self.command, path, query, body))
        key = self.headers["api-key"] or self.headers["authorization"].removeprefix("Bearer ")
        kept = self.server.accounts[key]
        asked = json.loads(body) if body.startswith(b"{") else {}
        status, told = self.answer(path, query, asked, kept)
        if isinstance(told, bytes):
            return self.send(told, status, **{"content-type": "application/octet-stream"})
        return self.send(json.dumps(told).encode(), status, **{"x-request-id": "up-1"})

    def answer(self, path: str, query: dict[str, list[str]], asked: Any, kept: Any) -> tuple[int, Any]:
        """Return the status, and what is told."""
        if path.startswith(("content_provenance_checks", "responses/input_tokens", "fine_tuning/alpha")):
            return 200, {"object": "response.input_tokens", "input_tokens": 7, "type": path}
        if path in ("responses/compact", "decisions"):
            return 200, {"id": "resp_c", "object": "response.compaction", "created_at": 1, "output": [],
                         "answers": [], "model": "gpt-4o", "usage": USAGE}  # fmt: skip
        if path == "responses":
            told = self.respond(asked, kept)
            begun = {**told, "output": [], "usage": None, "status": "in_progress"}
            return 200, events(response(begun, 0), response(told, 1)) if asked.get("stream") else told
        if path == "chat/completions" and self.command == "POST":
            return 200, self.chat(asked, kept)
        if path.endswith("/content"):
            return 200, b"text" if path.startswith(("containers", "skills")) else {"data": []}
        if path.endswith("/search"):
            return 200, {"object": "vector_store.search_results.page", "data": [], "has_more": False}
        root, name, *rest = self.parts(path)
        if self.command == "GET" and path not in kept:
            return self.page(path, query, kept, known=not name or f"{root}/{name}" in kept)
        if name and f"{root}/{name}" not in kept:
            return 404, {"error": {"message": f"No such thing: {name}", "code": "not_found"}}
        if self.command == "GET":
            return 200, kept[path]
        if self.command == "DELETE":
            return 200, {**kept.pop(path, {"id": name}), "deleted": True}
        if path in kept:
            kept[path] |= asked
            return 200, kept[path]
        if rest and rest[-1] in ("cancel", "complete", "pause", "resume"):
            done = kept[path.rpartition("/")[0]] | {"status": rest[-1]}
            if rest[-1] == "complete":
                made = self.make("files", {"purpose": "assistants", "filename": "f", "bytes": 3}, kept)
                done |= {"file": made}
            return 200, done
        return 200, self.make(path, asked, kept)

    def parts(self, path: str) -> list[str]:
        root = next(root for root in ROOTS if path == root or path.startswith(f"{root}/"))
        return [root, *([*filter(None, path.removeprefix(root).split("/"))] or [""])]

    def make(self, path: str, asked: Any, kept: Any) -> dict[str, Any]:
        """Make something at an address."""
        name = f"{ROOTS.get(path, 'part')}_{next(self.server.numbers)}"
        kept[f"{path}/{name}"] = {
            "id": name, "object": path, "created_at": next(self.server.numbers), "status": "completed",
            "own_field": 1.5, **asked,
        }  # fmt: skip
        return dict(kept[f"{path}/{name}"])

    def page(self, path: str, query: Any, kept: Any, *, known: bool) -> tuple[int, Any]:
        """Return a page of what stands below an address."""
        if not known:
            return 404, {"error": {"message": "No such thing", "code": "not_found"}}
        found = [one for where, one in kept.items() if where.rpartition("/")[0] == path]
        if self.server.broken & {*query.get("after", ())}:
            return 500, {"error": {"message": "This is out of order", "code": "broken"}}
        if "after" in query:
            found = found[[one["id"] for one in found].index(query["after"][0]) + 1 :]
        limit = int(query.get("limit", ["20"])[0])
        shown = found[:limit]
        ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {}
        return 200, {"object": "list", "data": shown, "has_more": len(found) > limit, **ends}

    def respond(self, asked: Any, kept: Any) -> dict[str, Any]:
        made = self.make("responses", {}, kept)
        container = self.make("containers", {}, kept)["id"]
        call = {"type": "code_interpreter_call", "id": "ci_1", "code": "1", "container_id": container, "outputs": [],
                "status": "completed"}  # fmt: skip
        return {**made, "object": "response", "model": "gpt-4o", "usage": USAGE, "parallel_tool_calls": True,
                "tool_choice": "auto", "tools": [], "output": [call] if asked.get("tools") else []}  # fmt: skip

    def chat(self, asked: Any, kept: Any) -> Any:
        message = {"role": "assistant", "content": "hi"}
        made = self.make("chat/completions", {"created": 1, "model": asked["model"]}, kept)
        usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
        told = {**made, "choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": usage}
        if not asked.get("stream"):
            return told
        choice = {"index": 0, "delta": message, "finish_reason": "stop"}
        chunks = [{**told, "object": "chat.completion.chunk", "choices": [choice], "usage": None},
                  {**told, "object": "chat.completion.chunk", "choices": []}]  # fmt: skip
        return events(*chunks) + b"data: [DONE]\n\n"

    def send(self, body: bytes, status: int = 200, **headers: str) -> None:
        if body.startswith(b"data: "):
            headers = {"content-type": "text/event-stream"}
        super().send(body, status, **headers)


@pytest.fixture(scope="module")
def serving() -> Iterator[Vendor]:
    """The vendor."""
    with listening(Vendor()) as server:
        yield server


@pytest.fixture
def vendor(serving: Vendor) -> Vendor:
    """The vendor, with nothing kept and nothing asked yet."""
    serving.asked.clear()
    for kept in serving.accounts.values():
        kept.clear()
    return serving


def config(vendor: Vendor, **more: Any) -> dict[str, Any]:
    """Return a configuration of two accounts."""
    general = {"master_key": MASTER, **more.pop("general", {})}
    models = [
        {"model_name": name, "litellm_params": {"model": f"openai/{model}", "api_base": vendor.url, "api_key": key}}
        for name, model, key in (("gpt", "gpt-4o", FIRST), ("mini", "gpt-4o-mini", SECOND))
    ]
    return {"model_list": models, "general_settings": general, "router_settings": {"num_retries": 0}} | more


@pytest.fixture(scope="module")
def gateway(serving: Vendor, start: Callable[..., Any]) -> Any:
    """A gateway with accounts before it."""
    return start(config(serving))


Client = Callable[..., Any]


@pytest.fixture
def client(gateway: Any) -> Iterator[Client]:
    """Return clients of the official SDK, each with a new key of what is said; the master's for None."""
    made: list[Any] = []

    def new(said: dict[str, Any] | None, url: str = gateway.url) -> Any:
        key = MASTER if said is None else new_key(url, **said)
        made.append(openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0))
        return made[-1]

    yield new
    for one in made:
        one.close()


def new_key(url: str, **said: Any) -> str:
    """Make a virtual key."""
    headers = {"authorization": f"Bearer {MASTER}"}
    reply = httpx.post(f"{url}/key/generate", json=said, headers=headers, timeout=60)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["key"])


def ledger(url: str, request_id: str) -> dict[str, Any]:
    """Return the ledger's row of a request, once it is there."""
    headers, about = {"authorization": f"Bearer {MASTER}"}, {"request_id": request_id}
    found = until(
        lambda: httpx.get(f"{url}/spend/logs", params=about, headers=headers, timeout=60).json()["results"],
        "it is in the ledger",
    )
    return dict(found[0])


# --- the table, held against the SDK ----------------------------------------------------------------------------

VERBS = {"_get": "GET", "_get_api_list": "GET", "_post": "POST", "_put": "PUT", "_patch": "PATCH", "_delete": "DELETE"}


def methods(resource: Any, name: str = "") -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Yield every method that the SDK's resources have, with the requests that its code makes."""
    for word in dir(type(resource)):
        if word.startswith(("_", "with_")):
            continue
        found = getattr(resource, word)
        if isinstance(found, SyncAPIResource):
            yield from methods(found, f"{name}{word}.")
        elif inspect.ismethod(found) and name:
            yield name + word, [*dict.fromkeys(requests_in(found))]


def requests_in(method: Any) -> Iterator[tuple[str, str]]:
    """Yield (method, path) of the requests in a method's code, the path without its query."""
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(method)))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in VERBS:
            said = {word.arg: word.value for word in node.keywords}
            verb = said["method"].value.upper() if "method" in said else VERBS[node.func.attr]  # type: ignore[attr-defined]
            first = node.args[0]
            path = first.args[0] if isinstance(first, ast.Call) else first
            assert isinstance(path, ast.Constant), ast.unparse(node)
            yield verb, str(path.value).partition("?")[0]


def is_served(method: str, path: str) -> bool:
    """Whether the gateway answers."""
    try:
        Routes().find(method, f"/v1{path}")
    except GateError:
        return resources.find(method, path) is not None or (method == "POST" and path in minting.PATHS)
    return True


def test_every_method_of_the_sdk_is_served_or_its_absence_has_a_reason() -> None:
    """What the SDK gains shows up here; and no reason stands where there is nothing, or where it is served."""
    with openai.OpenAI(api_key="x") as sdk:
        found = dict(methods(sdk))
    assert len(found) > 300
    asked = {request for requests in found.values() for request in requests}
    neither = {one for one in asked if not is_served(*one) and resources.absent(*one) is None}
    both = {one for one in asked if is_served(*one) and resources.absent(*one) is not None}
    assert (neither, both) == (set(), set())
    for row in resources.ROWS:
        assert (row.method, row.path) in asked, f"{row.name} is none of the SDK's"
        assert (row.method, row.path) in found[row.name], row.name
    patterns = set(resources.ABSENT)
    used = {
        pattern for pattern in patterns if any(resources.absent(*one) == resources.ABSENT[pattern] for one in asked)
    }
    assert used == patterns
    sockets = {name for name in found if name.endswith(".connect") and not found[name]}
    served = {"realtime.connect", "beta.realtime.connect"}
    assert sockets - served == resources.ABSENT_SOCKETS.keys()


def test_what_is_not_served_says_why(gateway: Any) -> None:
    """With 404, in OpenAI's shape."""
    headers = {"authorization": f"Bearer {MASTER}"}
    for method, path in (("POST", "/v1/assistants"), ("GET", "/v1/organization/users"), ("DELETE", "/v1/models/ft")):
        reply = httpx.request(method, gateway.url + path, headers=headers, timeout=60)
        assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_served"), reply.text
    assert httpx.put(f"{gateway.url}/v1/chat/completions", headers=headers, timeout=60).status_code == 405


# --- by the SDK -------------------------------------------------------------------------------------------------


def test_vector_stores(client: Client, vendor: Vendor) -> None:
    """Stores, their files, batches of files, search and content; to the account's key, and back as it came."""
    sdk = client({})
    file = sdk.files.create(file=("f.txt", b"text"), purpose="assistants")
    store = sdk.vector_stores.create(name="mine", file_ids=[file.id], metadata={"file_id": "another's"})
    assert store.own_field == 1.5
    assert json.loads(vendor.asked[-1][3]) == {
        "name": "mine", "file_ids": [file.id], "metadata": {"file_id": "another's"},
    }  # fmt: skip
    assert sdk.vector_stores.retrieve(store.id).name == "mine"
    assert sdk.vector_stores.update(store.id, name="ours").name == "ours"
    one = sdk.vector_stores.files.create(store.id, file_id=file.id, attributes={"a": "b"})
    assert sdk.vector_stores.files.retrieve(one.id, vector_store_id=store.id).id == one.id
    assert sdk.vector_stores.files.update(one.id, vector_store_id=store.id, attributes={"a": "c"}).id == one.id
    assert [found.id for found in sdk.vector_stores.files.list(store.id)] == [one.id]
    assert sdk.vector_stores.files.content(one.id, vector_store_id=store.id).data == []
    assert sdk.vector_stores.search(store.id, query="what?").data == []
    batch = sdk.vector_stores.file_batches.create(store.id, file_ids=[file.id])
    assert sdk.vector_stores.file_batches.retrieve(batch.id, vector_store_id=store.id).id == batch.id
    assert sdk.vector_stores.file_batches.list_files(batch.id, vector_store_id=store.id).data == []
    assert sdk.vector_stores.file_batches.cancel(batch.id, vector_store_id=store.id).id == batch.id
    assert sdk.vector_stores.files.delete(one.id, vector_store_id=store.id).deleted
    assert sdk.vector_stores.delete(store.id).deleted


def test_conversations(client: Client, vendor: Vendor) -> None:
    """Conversations and their items."""
    sdk = client({})
    talk = sdk.conversations.create(items=[{"type": "message", "role": "user", "content": "hi"}])
    assert sdk.conversations.retrieve(talk.id).id == talk.id
    assert sdk.conversations.update(talk.id, metadata={"a": "b"}).metadata == {"a": "b"}
    sdk.conversations.items.create(talk.id, items=[{"type": "message", "role": "user", "content": "and?"}])
    (item,) = sdk.conversations.items.list(talk.id)
    assert sdk.conversations.items.retrieve(item.id, conversation_id=talk.id).id == item.id
    sdk.conversations.items.delete(item.id, conversation_id=talk.id)
    assert sdk.conversations.delete(talk.id).deleted


def test_uploads_in_parts(client: Client, vendor: Vendor) -> None:
    """The parts go out byte for byte; the file that comes of them is its maker's."""
    sdk, other = client({}), client({})
    data = bytes(range(256)) * 12_000
    upload = sdk.uploads.create(bytes=len(data), filename="f", mime_type="text/plain", purpose="assistants")
    part = sdk.uploads.parts.create(upload.id, data=data)
    assert data in vendor.asked[-1][3]
    done = sdk.uploads.complete(upload.id, part_ids=[part.id])
    assert sdk.files.retrieve(done.file.id).id == done.file.id
    with pytest.raises(openai.NotFoundError):
        other.files.retrieve(done.file.id)
    with pytest.raises(openai.NotFoundError):
        other.uploads.cancel(upload.id)
    assert sdk.uploads.cancel(upload.id).status == "cancel"


def test_fine_tuning(client: Client, vendor: Vendor) -> None:
    """By the name that a model has here; jobs, events, checkpoints; the files of results are the job's owner's."""
    sdk, other = client({}), client({})
    file = sdk.files.create(file=("f.jsonl", b"{}\n"), purpose="fine-tune")
    job = sdk.fine_tuning.jobs.create(model="gpt", training_file=file.id)
    assert json.loads(vendor.asked[-1][3]) == {"model": "gpt-4o", "training_file": file.id}
    with pytest.raises(openai.NotFoundError, match="is not yours"):
        other.fine_tuning.jobs.create(model="gpt", training_file=file.id)
    with pytest.raises(openai.NotFoundError, match="There is no model"):
        sdk.fine_tuning.jobs.create(model="gpt-elsewhere", training_file=file.id)
    kept = vendor.accounts[FIRST]
    kept["files/file_result"] = {"id": "file_result", "object": "file"}
    kept[f"fine_tuning/jobs/{job.id}"]["result_files"] = ["file_result"]
    assert client(None).fine_tuning.jobs.retrieve(job.id).result_files == ["file_result"]
    assert sdk.files.retrieve("file_result").id == "file_result"
    with pytest.raises(openai.NotFoundError):
        other.files.retrieve("file_result")
    assert [one.id for one in sdk.fine_tuning.jobs.list()] == [job.id]
    assert not [*other.fine_tuning.jobs.list()]
    assert not [*sdk.fine_tuning.jobs.list_events(job.id)]
    assert not [*sdk.fine_tuning.jobs.checkpoints.list(job.id)]
    for act in ("pause", "resume", "cancel"):
        assert getattr(sdk.fine_tuning.jobs, act)(job.id).status == act
    grader = {"type": "string_check", "name": "g", "input": "a", "reference": "b", "operation": "eq"}
    assert sdk.fine_tuning.alpha.graders.validate(grader=grader)


def test_containers(client: Client, vendor: Vendor) -> None:
    """Their files by upload, and by an id that must be one's own; content is bytes."""
    sdk, other = client({}), client({})
    box = sdk.containers.create(name="box")
    assert sdk.containers.retrieve(box.id).name == "box"
    file = sdk.containers.files.create(box.id, file=("f.txt", b"text"))
    assert b"f.txt" in vendor.asked[-1][3]
    assert sdk.containers.files.content.retrieve(file.id, container_id=box.id).read() == b"text"
    assert sdk.containers.files.retrieve(file.id, container_id=box.id).id == file.id
    theirs = other.files.create(file=("f.txt", b"text"), purpose="assistants")
    with pytest.raises(openai.NotFoundError):
        sdk.containers.files.create(box.id, file_id=theirs.id)
    form = {"file_id": (None, theirs.id)}
    headers = {"authorization": f"Bearer {sdk.api_key}"}
    url = f"{sdk.base_url}containers/{box.id}/files"
    assert httpx.post(url, files=form, headers=headers, timeout=60).status_code == 404
    assert [one.id for one in sdk.containers.files.list(box.id)] == [file.id]
    sdk.containers.files.delete(file.id, container_id=box.id)
    assert [one.id for one in sdk.containers.list()] == [box.id]
    sdk.containers.delete(box.id)


def test_evals(client: Client, vendor: Vendor) -> None:
    """Evals and their runs, with models by their names here; what others have stored is no source of theirs."""
    sdk = client({})
    schema = {"type": "object", "properties": {"file_id": {"type": "string"}}}
    source = {"type": "custom", "item_schema": schema}
    grader = {"type": "label_model", "name": "g", "model": "gpt", "input": [{"role": "user", "content": "?"}],
              "labels": ["a"], "passing_labels": ["a"]}  # fmt: skip
    one = sdk.evals.create(data_source_config=source, testing_criteria=[grader], name="e")
    assert json.loads(vendor.asked[-1][3])["testing_criteria"][0]["model"] == "gpt-4o"
    with pytest.raises(openai.NotFoundError, match="There is no model"):
        sdk.evals.create(data_source_config=source, testing_criteria=[{**grader, "model": "gpt-elsewhere"}])
    content = [{"item": {"file_id": "no id"}}]
    asked = {"type": "jsonl", "source": {"type": "file_content", "content": content}}
    run = sdk.evals.runs.create(one.id, data_source=asked)
    assert sdk.evals.runs.retrieve(run.id, eval_id=one.id).id == run.id
    assert [found.id for found in sdk.evals.runs.list(one.id)] == [run.id]
    assert not [*sdk.evals.runs.output_items.list(run.id, eval_id=one.id)]
    work = {"type": "completions", "model": "mini", "source": {"type": "file_content", "content": content}}
    sdk.evals.runs.create(one.id, data_source=work)
    assert json.loads(vendor.asked[-1][3])["data_source"]["model"] == "gpt-4o-mini"
    with pytest.raises(openai.NotFoundError, match="There is no model"):
        sdk.evals.runs.create(one.id, data_source={**work, "model": "gpt-elsewhere"})
    everybodys = {"type": "completions", "source": {"type": "stored_completions", "model": "gpt-4o"}}
    with pytest.raises(openai.NotFoundError, match="stored_completions"):
        sdk.evals.runs.create(one.id, data_source={**everybodys, "model": "gpt"})
    assert client(None).evals.runs.create(one.id, data_source={**everybodys, "model": "gpt"}).id
    assert sdk.evals.runs.cancel(run.id, eval_id=one.id).status == "cancel"
    assert sdk.evals.update(one.id, name="f").name == "f"
    assert [found.id for found in sdk.evals.list()] == [one.id]
    sdk.evals.runs.delete(run.id, eval_id=one.id)
    sdk.evals.delete(one.id)


@pytest.mark.parametrize("stream", [False, True])
def test_stored_chats(client: Client, vendor: Vendor, stream: bool) -> None:
    """Those with `store` are their caller's to list, read, change and delete; others nobody's."""
    sdk, other = client({}), client({})
    hello = [{"role": "user", "content": "hi"}]
    told = sdk.chat.completions.create(model="gpt", messages=hello, store=True, stream=stream)
    name = [chunk.id for chunk in told][-1] if stream else told.id
    passing = sdk.chat.completions.create(model="gpt", messages=hello)
    assert sdk.chat.completions.retrieve(name).id == name
    assert sdk.chat.completions.update(name, metadata={"a": "b"}).metadata == {"a": "b"}
    assert [one.id for one in sdk.chat.completions.list(model="gpt")] == [name]
    assert vendor.asked[-1][2]["model"] == ["gpt-4o"]
    assert not [*sdk.chat.completions.messages.list(name)]
    for who, which in ((other, name), (sdk, passing.id)):
        with pytest.raises(openai.NotFoundError):
            who.chat.completions.retrieve(which)
    assert not [*other.chat.completions.list()]
    assert sdk.chat.completions.delete(name).deleted


@pytest.mark.parametrize("stream", [False, True])
def test_containers_that_a_tool_made_are_its_callers(client: Client, vendor: Vendor, stream: bool) -> None:
    """Of a response that came whole, or was streamed."""
    sdk, other = client({}), client({})
    tool = {"type": "code_interpreter", "container": {"type": "auto"}}
    told = sdk.responses.create(model="gpt", input="hi", tools=[tool], stream=stream)
    box = ([one.response for one in told][-1] if stream else told).output[0].container_id
    assert sdk.containers.retrieve(box).id == box
    with pytest.raises(openai.NotFoundError):
        other.containers.retrieve(box)


def test_responses_beside_themselves(client: Client, vendor: Vendor, gateway: Any) -> None:
    """Input items, counting, compacting with its usage and cost."""
    sdk, other = client({}), client({})
    told = sdk.responses.create(model="gpt", input="hi")
    assert not [*sdk.responses.input_items.list(told.id)]
    with pytest.raises(openai.NotFoundError):
        other.responses.input_items.list(told.id)
    tools = [{"type": "image_generation", "model": "gpt-image-1"}]
    assert sdk.responses.input_tokens.count(model="gpt", input="hi", tools=tools).input_tokens == 7
    assert json.loads(vendor.asked[-1][3]) == {"model": "gpt-4o", "input": "hi", "tools": tools}
    with pytest.raises(openai.NotFoundError):
        other.responses.compact(model="gpt", previous_response_id=told.id)
    reply = sdk.responses.with_raw_response.compact(model="gpt", previous_response_id=told.id)
    assert json.loads(vendor.asked[-1][3])["model"] == "gpt-4o"
    row = ledger(gateway.url, reply.headers["x-polyport-request-id"])
    assert (row["operation"], row["model"], row["prompt"], row["completion"]) == ("responses.compact", "gpt", 1000, 100)
    assert row["spend"] == pytest.approx((1000 * 2.5 + 100 * 10) / 1e6)
    questions = [{"type": "predicate", "name": "q", "question": "?"}]
    reply = sdk.decisions.with_raw_response.create(model="gpt", input="hi", questions=questions)
    assert ledger(gateway.url, reply.headers["x-polyport-request-id"])["prompt"] == 1000


def test_skills_voices_and_provenance(client: Client, vendor: Vendor) -> None:
    """Several files in a form; what is spoken with by its id must be one's own."""
    sdk, other = client({}), client({})
    skill = sdk.skills.create(files=[("s/SKILL.md", b"# do"), ("s/a.py", b"1")])
    assert b"SKILL.md" in vendor.asked[-1][3]
    assert sdk.skills.content.retrieve(skill.id).read() == b"text"
    assert sdk.skills.update(skill.id, default_version="2").id == skill.id
    version = sdk.skills.versions.create(skill.id, files=[("s/SKILL.md", b"# do")])
    assert [one.id for one in sdk.skills.versions.list(skill.id)] == [version.id]
    assert [one.id for one in sdk.skills.list()] == [skill.id]
    consent = sdk.audio.voice_consents.create(language="en", name="me", recording=("r.wav", b"RIFF"))
    sample = {"audio_sample": ("s.wav", b"RIFF"), "name": "me"}
    with pytest.raises(openai.NotFoundError):
        other.audio.voices.create(**sample, consent=consent.id)
    voice = sdk.audio.voices.create(**sample, consent=consent.id)
    assert [one.id for one in sdk.audio.voice_consents.list()] == [consent.id]
    with pytest.raises(openai.NotFoundError):
        other.audio.speech.create(model="gpt", input="hi", voice={"id": voice.id})
    assert sdk.audio.voices.delete(voice.id).deleted
    assert sdk.content_provenance_checks.create(file=("f.png", b"PNG"))


# --- whose it is ------------------------------------------------------------------------------------------------


def test_what_one_made_no_other_can_see_use_or_change(client: Client, vendor: Vendor) -> None:
    """By its address, and by its id in a body: of tools, of a response, of another thing; an admin may."""
    ann, bob, admin = client({}), client({}), client(None)
    store = ann.vector_stores.create(name="mine")
    talk = ann.conversations.create()
    file = ann.files.create(file=("f.txt", b"text"), purpose="assistants")
    box = ann.containers.create(name="box")
    search = {"type": "file_search", "vector_store_ids": [store.id]}
    shell = {"type": "code_interpreter", "container": box.id}

    def uses(sdk: Any) -> list[Callable[[], Any]]:
        return [
            lambda: sdk.vector_stores.retrieve(store.id),
            lambda: sdk.vector_stores.update(store.id, name="x"),
            lambda: sdk.vector_stores.files.list(store.id),
            lambda: sdk.vector_stores.search(store.id, query="?"),
            lambda: sdk.conversations.items.list(talk.id),
            lambda: sdk.vector_stores.create(file_ids=[file.id]),
            lambda: sdk.containers.create(name="b", file_ids=[file.id]),
            lambda: sdk.responses.create(model="gpt", input="hi", tools=[search]),
            lambda: sdk.responses.create(model="gpt", input="hi", tools=[shell]),
            lambda: sdk.responses.create(model="gpt", input="hi", conversation=talk.id),
            lambda: sdk.responses.create(model="gpt", input="hi", conversation={"id": talk.id}),
        ]

    before = len(vendor.asked)
    for use in uses(bob):
        with pytest.raises(openai.NotFoundError, match="is not yours"):
            use()
    assert len(vendor.asked) == before
    for use in (*uses(ann), *uses(admin)):
        assert use() is not None


def test_lists_show_ones_own(client: Client, vendor: Vendor) -> None:
    """However many of others' stand between; pages go on where they ended."""
    ann, bob, admin = client({}), client({}), client(None)
    hers = [ann.vector_stores.create(name="0").id]
    for _ in range(130):
        vendor.accounts[FIRST][f"vector_stores/other_{_}"] = {"id": f"other_{_}", "object": "vector_store"}
    hers += [ann.vector_stores.create(name=str(number)).id for number in range(4)]
    assert [one.id for one in ann.vector_stores.list()] == hers
    page = ann.vector_stores.list(limit=2)
    assert ([one.id for one in page.data], page.has_more) == (hers[:2], True)
    assert [one.id for one in ann.vector_stores.list(limit=2)] == hers
    assert not [*bob.vector_stores.list()]
    assert len([*admin.vector_stores.list(limit=100)]) == 135


def test_each_thing_is_asked_for_where_it_is(client: Client, vendor: Vendor) -> None:
    """At the first account, or where a model says by header or address; later, by its id alone."""
    sdk = client({})
    first = sdk.vector_stores.create(name="a")
    second = sdk.vector_stores.create(name="b", extra_headers={"x-polyport-model": "mini"})
    third = sdk.conversations.create(extra_query={"model": "mini"})
    assert [vendor.where(one.id) for one in (first, second, third)] == [FIRST, SECOND, SECOND]
    assert vendor.asked[-1][2] == {}
    assert sdk.vector_stores.retrieve(second.id).name == "b"
    assert sdk.conversations.items.list(third.id).data == []
    assert [one.id for one in sdk.vector_stores.list()] == [first.id]
    assert [one.id for one in sdk.vector_stores.list(extra_query={"model": "mini"})] == [second.id]
    bound = client({"models": ["mini"]})
    assert vendor.where(bound.vector_stores.create(name="c").id) == SECOND
    with pytest.raises(openai.PermissionDeniedError):
        bound.vector_stores.create(name="c", extra_headers={"x-polyport-model": "gpt"})
    with pytest.raises(openai.PermissionDeniedError):
        bound.responses.compact(model="gpt", input="hi")


# --- limits, ledger, guardrails ---------------------------------------------------------------------------------


def test_each_request_is_in_the_ledger(client: Client, vendor: Vendor, gateway: Any) -> None:
    """By the SDK's own name, with its status, and no cost where none is known; headers tell as elsewhere."""
    sdk = client({"key_alias": "books"})
    reply = sdk.vector_stores.with_raw_response.create(name="x")
    row = ledger(gateway.url, reply.headers["x-polyport-request-id"])
    assert (row["operation"], row["status"], row["spend"], row["provider"]) == (
        "vector_stores.create",
        200,
        0,
        "openai",
    )
    assert reply.headers["x-polyport-provider"] == "openai"
    assert reply.headers["x-polyport-deployment"] == row["deployment"]
    vendor.accounts[FIRST].clear()
    with pytest.raises(openai.NotFoundError, match="No such thing") as told:
        sdk.vector_stores.retrieve(reply.parse().id)
    row = ledger(gateway.url, told.value.response.headers["x-polyport-request-id"])
    assert (row["operation"], row["status"]) == ("vector_stores.retrieve", 404)


def test_limits_and_routes_hold(client: Client, vendor: Vendor) -> None:
    """Requests a minute; allowed routes by their patterns; viewers and strangers; bodies have their bounds."""
    once = client({"rpm_limit": 1})
    once.vector_stores.create(name="x")
    with pytest.raises(openai.RateLimitError):
        once.vector_stores.list()
    bound = client({"allowed_routes": ["/vector_stores/*", "/chat/completions"]})
    with pytest.raises(openai.PermissionDeniedError):
        bound.conversations.create()
    with pytest.raises(openai.NotFoundError):
        bound.vector_stores.retrieve("vs_none")
    with pytest.raises(openai.PermissionDeniedError):
        client({"role": "viewer"}).conversations.create()
    stranger = openai.OpenAI(base_url=bound.base_url, api_key="sk-nobody", max_retries=0)
    with stranger, pytest.raises(openai.AuthenticationError):
        stranger.conversations.create()
    url, headers = str(bound.base_url), {"authorization": f"Bearer {MASTER}"}
    for more, status in (
        ({"content": b"[1]", "headers": headers}, 400),
        ({"content": b"{", "headers": headers}, 400),
        ({"files": {"a": b"b"}, "headers": headers}, 415),
        ({"content": b"x" * (65 << 20), "headers": headers}, 413),
    ):
        assert httpx.post(f"{url}vector_stores", timeout=60, **more).status_code == status
    assert httpx.get(f"{url}vector_stores/a%252e%252e", headers=headers, timeout=60).status_code == 400


def test_who_has_a_budget_starts_nothing_of_unknown_cost(client: Client, vendor: Vendor) -> None:
    """Fine-tuning and runs of evals; what stores things stays open."""
    sdk = client({"max_budget": 10})
    file = sdk.files.create(file=("f.jsonl", b"{}\n"), purpose="fine-tune")
    with pytest.raises(openai.PermissionDeniedError, match="costs is not told"):
        sdk.fine_tuning.jobs.create(model="gpt", training_file=file.id)
    assert sdk.vector_stores.create(file_ids=[file.id]).id


def test_guardrails_are_not_passed_by(client: Client, vendor: Vendor, start: Callable[..., Any]) -> None:
    """What carries prompts is refused where one is always on, for all or for a key; what does not goes on."""
    pytest.importorskip("polyport_guardrails")
    gateway = start(config(vendor, **RAILED))
    sdk = client({}, gateway.url)
    store = sdk.vector_stores.create(name="mine")
    for talk in talks(sdk, store.id):
        with pytest.raises(openai.PermissionDeniedError, match="Guardrails cannot see"):
            talk()
    assert sdk.vector_stores.retrieve(store.id).name == "mine"
    gateway.stop()


def test_settings_open_what_guardrails_cannot_see_and_what_costs_nobody_knows_what(
    client: Client, vendor: Vendor, start: Callable[..., Any]
) -> None:
    """Where a guardrail is on, and for whom a budget holds."""
    pytest.importorskip("polyport_guardrails")
    opened = start(config(vendor, general={"resources": {"unguarded": True, "unpriced": True}}, **RAILED))
    sdk = client({"max_budget": 10}, opened.url)
    for talk in talks(sdk, sdk.vector_stores.create(name="mine").id):
        assert talk() is not None
    file = sdk.files.create(file=("f.jsonl", b"{}\n"), purpose="fine-tune")
    assert sdk.fine_tuning.jobs.create(model="gpt", training_file=file.id).id
    opened.stop()


#: A guardrail that is always on.
RAILED = {
    "guardrails": [
        {"guardrail_name": "g", "litellm_params": {"guardrail": "deny-list", "mode": "pre_call", "words": ["x"]}}
    ]
}


def talks(sdk: Any, store: str) -> list[Callable[[], Any]]:
    """Return what carries prompts."""
    return [
        lambda: sdk.conversations.create(items=[{"type": "message", "role": "user", "content": "x"}]),
        lambda: sdk.vector_stores.search(store, query="x"),
        lambda: sdk.responses.compact(model="gpt", input="x"),
    ]


def test_without_accounts_everything_is_everybodys(vendor: Vendor, start: Callable[..., Any]) -> None:
    """And goes to the first account, or where a model says."""
    bare = config(vendor)
    del bare["general_settings"]
    gateway = start(bare)
    with openai.OpenAI(base_url=gateway.url, api_key="any", max_retries=0) as sdk:
        store = sdk.vector_stores.create(name="mine")
        assert [one.id for one in sdk.vector_stores.list()] == [store.id]
        assert vendor.where(sdk.conversations.create(extra_query={"model": "mini"}).id) == SECOND
    gateway.stop()


def test_azure_has_them_and_patterns_lead_to_them(vendor: Vendor, start: Callable[..., Any]) -> None:
    """At a resource's v1 surface, by its key; and with models that a pattern stands for."""
    pytest.importorskip("polyport_azure")
    azure = {"model": "azure/ours", "api_base": vendor.address, "api_key": FIRST}
    others = {"model": "openai/*", "api_base": vendor.url, "api_key": SECOND}
    names = (("gpt", azure), ("*", others))
    models = [{"model_name": name, "litellm_params": params} for name, params in names]
    gateway = start(config(vendor, model_list=models))
    keys = new_key(gateway.url), new_key(gateway.url, models=["gpt-5-mini"])
    clients = [openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=key, max_retries=0) for key in keys]
    with clients[0] as sdk, clients[1] as bound:
        store = sdk.vector_stores.create(name="mine")
        assert [one.id for one in sdk.vector_stores.list(order="asc")] == [store.id]
        assert vendor.where(store.id) == FIRST
        assert vendor.asked[-1][2] == {"order": ["asc"]}
        assert vendor.where(bound.vector_stores.create(name="b").id) == SECOND
        bound.responses.compact(model="gpt-5-mini", input="hi")
        assert json.loads(vendor.asked[-1][3])["model"] == "gpt-5-mini"
    gateway.stop()


def test_a_page_that_fails_is_told(client: Client, vendor: Vendor) -> None:
    """A list is not cut short in silence, where a later page of the provider's is an error."""
    vendor.accounts[FIRST] |= {f"skills/x{_}": {"id": f"x{_}"} for _ in range(25)}
    vendor.broken.add("x19")
    with pytest.raises(openai.InternalServerError, match="out of order"):
        client({}).skills.list()
    vendor.broken.clear()


def test_where_nothing_has_them_it_is_told(client: Client, vendor: Vendor) -> None:
    """With whom there is."""
    with pytest.raises(openai.NotFoundError, match=r"has vector_stores\.create"):
        client(None).vector_stores.create(extra_query={"provider": "groq"})


def test_ids_are_found_wherever_a_body_says_them() -> None:
    """One, several, or of something with an id; in what is a caller's own they name nothing."""
    told = {
        "file_ids": ["a", "b"],
        "tools": [
            {"type": "file_search", "vector_store_ids": ["c"]},
            {"container": {"type": "auto", "file_ids": ["d"]}},
        ],
        "conversation": {"id": "e"},
        "items": [{"content": [{"type": "input_file", "file_id": "f"}]}],
        "data_source": {"source": {"type": "file_id", "id": "g"}},
        "environment": {"skills": [{"type": "skill_reference", "skill_id": "h"}]},
        "metadata": {"file_id": "-"},
        "schema": {"properties": {"file_id": {"type": "string"}}},
        "container": "auto",
    }
    assert sorted(owning.inside(told)) == ["a", "b", "c", "d", "e", "f", "g", "h"]
    assert owning.inside({"data_source_config": {"type": "logs"}}) == ["logs"]
    assert owning.inside({"file_id": 3, "file_ids": "x", "a": [[[{"file_ids": ["y", None]}]]]}) == ["x", "y"]
