"""What an account at Cohere keeps, behind the gateway, by the official SDK: data sets, jobs, batches, connectors ..."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from .services import Answering, Local, listening
from .waiting import until

cohere = pytest.importorskip("cohere")
pytest.importorskip("tokenizers", reason="the cohere SDK needs it, and fastavro")
pytest.importorskip("polyport_cohere")
pytest.importorskip("polyport_openai")

MASTER = "sk-master-1234"
ADMIN = {"authorization": f"Bearer {MASTER}"}
FIRST, SECOND = "co-upstream-first", "co-upstream-second"
#: Where something is kept -> what one of it is called in a reply, a page of it, and its id.
ROOTS = {
    "v1/datasets": ("dataset", "datasets", "id"), "v1/embed-jobs": ("", "embed_jobs", "job_id"),
    "v2/batches": ("batch", "batches", "id"), "v1/connectors": ("connector", "connectors", "id"),
    "v1/finetuning/finetuned-models": ("finetuned_model", "finetuned_models", "id"),
}  # fmt: skip


class Vendor(Local):
    """A Cohere of two accounts, told apart by their keys. `asked` has (method, path, query, body) of every request."""

    def __init__(self) -> None:
        super().__init__(Handler)
        self.numbers = itertools.count(1)
        self.accounts: dict[str, dict[str, dict[str, Any]]] = {FIRST: {}, SECOND: {}}
        self.asked: list[tuple[str, str, dict[str, list[str]], bytes]] = []

    def where(self, name: str) -> str:
        """Return the key of the account that has something."""
        return next(key for key, kept in self.accounts.items() if any(path.endswith(f"/{name}") for path in kept))


class Handler(Answering):
    """Keeps whatever is made, by its address, and gives anybody with an account's key anything there."""

    server: Vendor

    def serve(self) -> None:
        url, body = urlsplit(self.path), self.body()
        path, query = url.path[1:], parse_qs(url.query)
        self.server.asked.append((self.command, path, query, body))
        kept = self.server.accounts[self.headers["authorization"].removeprefix("Bearer ")]
        status, told = self.answer(path, query, json.loads(body) if body.startswith(b"{") else {}, kept)
        self.send(json.dumps(told).encode(), status)

    def answer(self, path: str, query: Any, asked: Any, kept: Any) -> tuple[int, Any]:
        """Return the status, and what is told."""
        if path == "v1/classify":
            units = {"billed_units": {"classifications": len(asked["inputs"])}}
            return 200, {"id": "c", "classifications": [], "meta": units, "own": 1.5}
        if path == "v2/parse":
            return 200, {"id": "p", "pages": [], "meta": {"billed_units": {"pages": 3}}}
        if path == "v1/chat":
            return 200, {"text": "Found.", "generation_id": "g", "finish_reason": "COMPLETE"}
        root = next(root for root in ROOTS if path == root or path.startswith(f"{root}/"))
        one, every, id = ROOTS[root]  # noqa: A001  the field's own word
        name, _, rest = path.removeprefix(root)[1:].replace(":", "/").partition("/")
        if not name and self.command == "GET":
            return self.page([it for where, it in kept.items() if where.startswith(root)], every, query)
        if not name:
            made = {id: f"{every}-{next(self.server.numbers)}", "name": query.get("name", ["n"])[0], **asked}
            kept[f"{root}/{made[id]}"] = made
            if every in ("embed_jobs", "batches"):
                made |= {"output_dataset_id": f"made-{made[id]}", "status": "processing"}
                kept[f"v1/datasets/made-{made[id]}"] = {"id": f"made-{made[id]}", "name": "made"}
                return 200, {id: made[id]} if every == "embed_jobs" else {one: {id: made[id], "name": "n"}}
            return 200, {id: made[id]} if every == "datasets" else {one: made}
        if f"{root}/{name}" not in kept:
            return 404, {"message": "not found"}
        if self.command == "DELETE":
            del kept[f"{root}/{name}"]
            return 200, {}
        kept[f"{root}/{name}"] |= asked if self.command == "PATCH" else {}
        told = {"redirect_url": "https://sign.example", "events": [], "step_metrics": []} if rest else {}
        return 200, {**(kept[f"{root}/{name}"] if not one else {one: kept[f"{root}/{name}"]}), **told}

    def page(self, found: list[Any], every: str, query: Any) -> tuple[int, Any]:
        if every in ("datasets", "connectors"):
            start, limit = int(query.get("offset", ["0"])[0]), int(query.get("limit", ["20"])[0])
            return 200, {every: found[start : start + limit], "total_count": len(found)}
        if every == "embed_jobs":
            return 200, {every: found}
        start, limit = int(query.get("page_token", ["0"])[0]), int(query.get("page_size", ["3"])[0])
        more = {"next_page_token": str(start + limit)} if len(found) > start + limit else {}
        return 200, {every: found[start : start + limit], "total_size": len(found), **more}


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
    models = {
        "gpt": ("openai/gpt-4o", "sk-other", {}),
        "command": ("cohere/command-r-08-2024", FIRST, {}),
        "embed": ("cohere/embed-english-v3.0", FIRST, {"prices": {"input": 0.1, "batch": {"input": 0.05}}}),
        "embed-far": ("cohere/embed-multilingual-v3.0", SECOND, {}),
        "mood": ("cohere/mine-ft", FIRST, {"prices": {"classification": 0.002}}),
        "pages": ("cohere/parse-1", FIRST, {"prices": {"page": 0.01}}),
    }  # fmt: skip
    listed = [
        {"model_name": name, "params": {"model": model, "api_base": vendor.address, "api_key": key, **own}}
        for name, (model, key, own) in models.items()
    ]
    general = {"master_key": MASTER, **more.pop("general", {})}
    return {"model_list": listed, "general_settings": general, "router_settings": {"num_retries": 0}} | more


@pytest.fixture(scope="module")
def gateway(serving: Vendor, start: Callable[..., Any]) -> Any:
    """A gateway with accounts before it."""
    return start(config(serving))


Client = Callable[..., Any]


@pytest.fixture
def client(gateway: Any) -> Iterator[Client]:
    """Return clients of the official SDK, each with a new key of what is said; the master's for None."""
    with httpx.Client(timeout=120) as http:

        def new(said: dict[str, Any] | None, kind: Any = cohere.ClientV2, key: str = "") -> Any:
            key = key or (MASTER if said is None else new_key(gateway.url, **said))
            return kind(api_key=key, base_url=gateway.url, httpx_client=http, max_retries=0)

        yield new


def new_key(url: str, **said: Any) -> str:
    """Make a virtual key."""
    reply = httpx.post(f"{url}/key/generate", json=said, headers=ADMIN, timeout=60)
    assert reply.status_code == 200, reply.text
    return str(reply.json()["key"])


def made(sdk: Any, name: str = "mine") -> str:
    """Make a data set, and return its id."""
    return str(sdk.datasets.create(name=name, type="embed-input", data=("a.csv", b"text\nx\n")).id)


def test_data_sets(client: Client, vendor: Vendor) -> None:
    """Uploaded as they came, to the account's key; their maker's alone, and an admin's."""
    mine, other = client({}), client({})
    one = made(mine)
    method, path, query, body = vendor.asked[-1]
    assert (method, path, query) == ("POST", "v1/datasets", {"name": ["mine"], "type": ["embed-input"]})
    assert b"text\nx\n" in body
    assert mine.datasets.get(one).dataset.name == "mine"
    for refused in (other.datasets.get, other.datasets.delete):
        with pytest.raises(cohere.NotFoundError) as told:
            refused(one)
        assert one in told.value.body["message"]
    assert client(None).datasets.get(one).dataset.id == one
    assert [it.id for it in mine.datasets.list().datasets] == [one]
    assert other.datasets.list().datasets == []
    mine.datasets.delete(one)
    assert vendor.accounts[FIRST] == {}


def test_lists_are_of_ones_own_however_they_are_turned(client: Client, vendor: Vendor) -> None:
    """By numbers, which count one's own, and by tokens; what the account has in all is nobody's to know."""
    mine, other = client({}), client({})
    made_in_turns = [(made(mine), made(other)) for _ in range(55)]
    own = [one for one, _ in made_in_turns]
    assert [it.id for it in mine.datasets.list().datasets] == own[:20]
    assert [it.id for it in mine.datasets.list(limit=7, offset=50).datasets] == own[50:]
    assert [it.id for it in mine.datasets.list(limit=7, offset=40).datasets] == own[40:47]
    assert [it.id for it in mine.datasets.list(limit=1, offset=2).datasets] == own[2:3]
    assert len(client(None).datasets.list(limit=100).datasets) == 100
    turns = [mine] * 2 + [other] * 7 + [mine] * 2
    batches = [sdk.batches.create(request=batch(own[0] if sdk is mine else made(other))).batch.id for sdk in turns]
    page = mine.batches.list()
    assert ([it.id for it in page.batches], page.next_page_token) == (batches[:2], "3")
    last = mine.batches.list(page_token=page.next_page_token)
    assert ([it.id for it in last.batches], last.next_page_token) == (batches[-2:], None)
    mine.connectors.create(name="c", url="https://c.example")
    other.connectors.create(name="d", url="https://d.example")
    listed = mine.connectors.list()
    assert ([it.name for it in listed.connectors], listed.total_count) == (["c"], None)


def batch(dataset: str) -> Any:
    """Return a batch of a data set."""
    return cohere.batches.Batch(name="b", input_dataset_id=dataset, model="embed")


def test_jobs_and_batches(client: Client, vendor: Vendor) -> None:
    """Of one's own data sets, with models by their names here; what they make is one's own as well."""
    mine, other = client({}), client({})
    one = made(mine)
    job = mine.embed_jobs.create(model="embed", dataset_id=one, input_type="search_document")
    assert json.loads(vendor.asked[-1][3])["model"] == "embed-english-v3.0"
    for start in (
        lambda: other.embed_jobs.create(model="embed", dataset_id=one, input_type="search_document"),
        lambda: other.batches.create(request=batch(one)),
        lambda: other.embed_jobs.get(job.job_id),
        lambda: other.embed_jobs.cancel(job.job_id),
    ):
        with pytest.raises(cohere.NotFoundError):
            start()
    output = mine.embed_jobs.get(job.job_id).output_dataset_id
    assert mine.datasets.get(output).dataset.name == "made"
    with pytest.raises(cohere.NotFoundError):
        other.datasets.get(output)
    mine.embed_jobs.cancel(job.job_id)
    assert [it.job_id for it in mine.embed_jobs.list().embed_jobs] == [job.job_id]
    assert other.embed_jobs.list().embed_jobs == []
    started = mine.batches.create(request=batch(one)).batch
    assert json.loads(vendor.asked[-1][3])["model"] == "embed-english-v3.0"
    assert mine.datasets.get(mine.batches.retrieve(started.id).batch.output_dataset_id).dataset.name == "made"
    mine.batches.cancel(started.id)
    assert vendor.asked[-1][:2] == ("POST", f"v2/batches/{started.id}:cancel")


def test_things_are_asked_for_where_they_are(client: Client, vendor: Vendor, gateway: Any) -> None:
    """A model, or the header, says where something is to be; from then on its account is asked."""
    key = new_key(gateway.url)
    url = f"{gateway.url}/v1/datasets?name=far&type=embed-input"
    files, headers = {"data": ("a.csv", b"text\nx\n")}, {"authorization": f"Bearer {key}"}
    far = httpx.post(url, files=files, headers={**headers, "x-polyport-model": "embed-far"}, timeout=60).json()["id"]
    assert vendor.where(far) == SECOND
    job = {"model": "embed-far", "dataset_id": far, "input_type": "search_document"}
    reply = httpx.post(f"{gateway.url}/v1/embed-jobs", json=job, headers=headers, timeout=60)
    assert vendor.where(reply.json()["job_id"]) == SECOND
    assert httpx.get(f"{gateway.url}/v1/datasets/{far}", headers=headers, timeout=60).status_code == 200


def test_keys_use_their_models_alone(client: Client, vendor: Vendor) -> None:
    """In jobs, batches, classifying, tuning; without one there is no call."""
    mine = client({"models": ["command"]})
    one = made(mine)
    settings = {"dataset_id": one, "base_model": {"base_type": "BASE_TYPE_CHAT", "name": "embed"}}
    for start in (
        lambda: mine.embed_jobs.create(model="embed", dataset_id=one, input_type="search_document"),
        lambda: mine.batches.create(request=batch(one)),
        lambda: mine.finetuning.create_finetuned_model(request={"name": "x", "settings": settings}),
        lambda: mine.v2.parse(model="pages", document={"type": "image_url", "image_url": {"url": "https://a.example"}}),
    ):
        with pytest.raises(cohere.ForbiddenError):
            start()
    settings["base_model"] = {"base_type": "BASE_TYPE_CHAT", "name": "command"}
    tuned = mine.finetuning.create_finetuned_model(request={"name": "x", "settings": settings}).finetuned_model
    assert mine.finetuning.list_events(tuned.id).events == []
    assert mine.finetuning.list_training_step_metrics(tuned.id).step_metrics == []
    assert mine.finetuning.update_finetuned_model(tuned.id, name="y", settings=settings).finetuned_model.id == tuned.id
    assert [it.id for it in mine.finetuning.list_finetuned_models().finetuned_models] == [tuned.id]
    with pytest.raises(cohere.NotFoundError):
        client({}).finetuning.get_finetuned_model(tuned.id)
    mine.finetuning.delete_finetuned_model(tuned.id)
    first = client({"models": ["command"]}, cohere.Client)
    with pytest.raises(cohere.ForbiddenError):
        first.classify(inputs=["x"], model="mood")
    with pytest.raises(cohere.BadRequestError) as told:
        first.classify(inputs=["x"])
    assert "$.model" in told.value.body["message"]


def test_connectors(client: Client, vendor: Vendor) -> None:
    """Of one's own, in chats of the first version as well."""
    mine, other = client({}, cohere.Client), client({}, cohere.Client)
    one = mine.connectors.create(name="c", url="https://c.example").connector.id
    assert mine.connectors.get(one).connector.id == one
    mine.connectors.update(one, name="d")
    assert vendor.asked[-1][0] == "PATCH"
    assert mine.connectors.o_auth_authorize(one).redirect_url == "https://sign.example"
    told = mine.chat(model="command", message="Find.", connectors=[{"id": one}])
    assert (told.text, json.loads(vendor.asked[-1][3])["connectors"]) == ("Found.", [{"id": one}])
    for refused in (
        lambda: other.connectors.get(one),
        lambda: other.chat(model="command", message="Find.", connectors=[{"id": one}]),
    ):
        with pytest.raises(cohere.NotFoundError):
            refused()
    mine.connectors.delete(one)
    assert vendor.accounts[FIRST] == {}


def ledger(url: str, request_id: str) -> dict[str, Any]:
    """Return the ledger's row of a request, once it is there."""
    about = {"request_id": request_id}
    found = until(
        lambda: httpx.get(f"{url}/spend/logs", params=about, headers=ADMIN, timeout=60).json()["results"],
        "it is in the ledger",
    )
    return dict(found[0])


def test_what_they_cost_is_known(client: Client, vendor: Vendor, gateway: Any) -> None:
    """A price for each text that is classified, and for each page that is read; of the rest 0 is in the ledger."""
    headers = {"authorization": f"Bearer {new_key(gateway.url)}"}
    asked = {"model": "mood", "inputs": ["a", "b", "c"]}
    reply = httpx.post(f"{gateway.url}/v1/classify", json=asked, headers=headers, timeout=60)
    assert reply.json()["own"] == 1.5
    row = ledger(gateway.url, reply.headers["x-polyport-request-id"])
    assert (row["operation"], row["model"], row["spend"]) == ("cohere.classify", "mood", pytest.approx(0.006))
    document = {"type": "image_url", "image_url": {"url": "https://a.example/a.png"}}
    reply = httpx.post(
        f"{gateway.url}/v2/parse", json={"model": "pages", "document": document}, headers=headers, timeout=60
    )
    assert json.loads(vendor.asked[-1][3]) == {"model": "parse-1", "document": document}
    assert ledger(gateway.url, reply.headers["x-polyport-request-id"])["spend"] == pytest.approx(0.03)
    reply = httpx.get(f"{gateway.url}/v1/datasets", headers=headers, timeout=60)
    row = ledger(gateway.url, reply.headers["x-polyport-request-id"])
    assert (row["operation"], row["spend"], row["surface"]) == ("datasets.list", 0, "cohere")


def test_jobs_and_batches_are_paid_when_they_are_over(client: Client, vendor: Vendor, gateway: Any) -> None:
    """By whose they are, whoever looks, and once; what they used is what Cohere says."""
    key = httpx.post(f"{gateway.url}/key/generate", json={}, headers=ADMIN, timeout=60).json()
    mine = client({}, key=key["key"])
    admin, one = client(None), made(mine)
    job = mine.embed_jobs.create(model="embed", dataset_id=one, input_type="search_document").job_id
    started = mine.batches.create(request=batch(one)).batch.id
    mine.embed_jobs.get(job)
    kept = vendor.accounts[FIRST]
    kept[f"v1/embed-jobs/{job}"] |= {"status": "complete", "meta": {"billed_units": {"input_tokens": 3_000_000.0}}}
    kept[f"v2/batches/{started}"] |= {
        "status": "BATCH_STATUS_COMPLETED",
        "input_tokens": "2000000",
        "output_tokens": "0",
    }
    for sdk in (admin, mine, mine):
        sdk.embed_jobs.get(job)
        sdk.batches.retrieve(started)
    about = {"operation": "batch", "key": key["key_id"]}

    def rows() -> list[Any]:
        found = httpx.get(f"{gateway.url}/spend/logs", params=about, headers=ADMIN, timeout=60).json()["results"]
        return sorted((row["spend"], row["model"], row["prompt"]) for row in found)

    assert until(lambda: rows() if len(rows()) == 2 else None, "both are paid") == [
        (pytest.approx(0.1), "embed", 2_000_000), (pytest.approx(0.3), "embed", 3_000_000),
    ]  # fmt: skip
    info = httpx.get(f"{gateway.url}/key/info", params={"key_id": key["key_id"]}, headers=ADMIN, timeout=60)
    assert info.json()["spend"] == pytest.approx(0.4)


def test_budgets_hold_for_what_is_classified(client: Client, vendor: Vendor, gateway: Any) -> None:
    """Before it is asked; and whoever has one starts nothing of which nobody knows the cost."""
    poor = client({"max_budget": 0.005}, cohere.Client)
    with pytest.raises(cohere.core.ApiError) as told:
        poor.classify(inputs=["a", "b", "c"], model="mood")
    assert told.value.status_code in (400, 402, 429)
    assert not vendor.asked
    poor.classify(inputs=["a"], model="mood")
    one = made(poor)
    with pytest.raises(cohere.ForbiddenError) as refused:
        poor.embed_jobs.create(model="embed", dataset_id=one, input_type="search_document")
    assert "budget" in refused.value.body["message"]


def test_guardrails_refuse_what_they_cannot_see(vendor: Vendor, start: Callable[..., Any]) -> None:
    """And strangers, wrong addresses and bodies are told so in Cohere's shape."""
    rails = [{"guardrail_name": "g", "litellm_params": {"guardrail": "regex", "mode": "pre_call", "patterns": ["x"]}}]
    guarded = start(config(vendor, guardrails=rails))
    for path, asked in (
        ("/v1/classify", {"model": "mood", "inputs": ["a"]}),
        ("/v2/batches", {"model": "embed", "input_dataset_id": "x"}),
    ):
        refused = httpx.post(guarded.url + path, json=asked, headers=ADMIN, timeout=60)
        assert (refused.status_code, "uardrails" in refused.json()["message"]) == (403, True), refused.text
    assert httpx.post(f"{guarded.url}/v1/classify", json={}, timeout=60).status_code == 401
    for body in (b"[", b"[]"):
        refused = httpx.post(f"{guarded.url}/v2/batches", content=body, headers=ADMIN, timeout=60)
        assert (refused.status_code, re.search("JSON", refused.json()["message"]) is not None) == (400, True)
    assert not vendor.asked


def test_no_key_of_the_vendors_is_told(client: Client, vendor: Vendor, gateway: Any) -> None:
    """Neither in what is made, nor in what is refused."""
    mine = client({})
    with pytest.raises(cohere.NotFoundError) as told:
        mine.datasets.get("nowhere")
    assert FIRST not in str(told.value)
    with pytest.raises(cohere.NotFoundError):
        client(None).datasets.get("nowhere")
    assert vendor.asked[-1][1] == "v1/datasets/nowhere"
