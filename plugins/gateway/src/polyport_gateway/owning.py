"""Who owns what a provider keeps: files, batches, videos, responses, vector stores ... An id opens it for its owner and
admins alone.

The provider knows one account, the gateway's, and would give anybody anything. So each id that is made for a caller
is written down, with its line of the ledger; each id that a request names is looked up; lists tell what is one's own.
An id that nobody here made is an admin's to use. `shared_within` says how far ownership goes: to the key, its user,
or its team.

A batch is paid for when it is over: the first who looks at it, or at its results, makes an entry of the ledger, owned
by whoever made the batch. That entry has the batch's name and the time of its end: it is one, whoever looks how often.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from polyport import batchcost
from polyport.errors import PolyportError, ServiceUnavailableError
from polyport.operations import Operation
from polyport.types.batch import SINCE, Batch
from polyport.types.record import Meta
from polyport_gateway.buckets import is_words
from polyport_gateway.gate import GateError
from polyport_gateway.gemini_contents import KEPT
from polyport_gateway.identity import Principal
from polyport_gateway.lines import Entry, Whose, clean

if TYPE_CHECKING:  # what a request names is looked at without accounts, too, and then without a database
    from polyport_gateway.store import Store

#: Function -> what its result is, where it is somebody's own.
MADE = {
    "create_file": "file", "create_batch": "batch", "video_generation": "video", "video_remix": "video",
    "responses": "response",
}  # fmt: skip
#: The same, where the caller asks for it to be kept (`store`).
STORED = {"completion": "completion"}
#: Functions that look at a batch, and those that list.
BATCHES = frozenset({"retrieve_batch", "cancel_batch"})
LISTS = frozenset({"list_files", "list_batches", "list_videos"})
#: Functions after which something is to be done.
NOTED = frozenset({*MADE, *BATCHES, *LISTS, "file_content"})
STREAMED = frozenset({"file_content"})
#: Parameters that name what must be one's own.
NAMING = frozenset({
    "input_file_id", "previous_response_id", "cached_content", "cachedContent", "conversation", "voice", "audio",
    "connectors",
})  # fmt: skip
#: What such things are called wherever a body says them: an id, several, or something that has an id.
NAMES = frozenset({
    "file_id", "file_ids", "input_file_id", "training_file", "validation_file", "vector_store_id", "vector_store_ids",
    "conversation", "conversation_id", "container", "container_id", "response_id", "previous_response_id", "skill_id",
    "upload_id", "eval_id", "consent", "dataset_id", "input_dataset_id",
})  # fmt: skip
#: What is a caller's own data, or a description of such, and names nothing.
OWN_DATA = frozenset({
    "metadata", "attributes", "arguments", "parameters", "properties", "schema", "item", "sample", "item_schema",
})  # fmt: skip
#: Where a source of data stands, and the kinds of them that are whatever the whole account has kept.
SOURCES, EVERYBODYS = (
    frozenset({"source", "data_source_config"}),
    frozenset({"stored_completions", "logs", "responses"}),
)
#: Tools that have nothing but a description.
DESCRIBED = (None, "function", "custom")
#: What may have files in its parts; a message's or a part's fields that have parts, and those that say where one is.
CONTENTS = ("messages", "input", "contents")
PARTS = ("content", "parts", "output")
HOLDERS = (
    "file", "source", "image", "image_url", "video_url", "input_audio", "fileData", "file_data", "functionResponse",
    "function_response",
)  # fmt: skip
#: What is said to whom makes videos.
PROSE = frozenset({"prompt", "negative_prompt", "model"})
#: Addresses, which may be those of files that Gemini keeps.
ADDRESSES = ("url", "image_url", "video_url", "file_url", "file_data", "fileUri", "file_uri", "data")
#: Tools that search, what in them says where, and what Google's names of that begin with.
SEARCHES = ("fileSearch", "file_search")
STORES = ("fileSearchStoreNames", "file_search_store_names", "vector_store_ids")
STORE = "fileSearchStores/"
#: Such a file, by name or address: its id here. https://ai.google.dev/api/files
GEMINI_FILE = re.compile(
    r"(?:https://generativelanguage\.googleapis\.com/(?:download/)?v\w+/)?files/([\w-]+)(?::download)?(?:\?alt=media)?"
)
#: Characters of an address that are looked at: nothing longer leads there.
LOOKED_AT = 4096
#: Ids that are remembered, and the seconds that another replica's line may take to the database.
REMEMBERED, DRAINED = 20_000, (0.1, 0.2, 0.4)
#: Characters of an id; a video's carries its provider and its model.
LONGEST = 512


class Owned(Whose, frozen=True, kw_only=True):
    """Something that is somebody's. Of a file that is a batch's output, `batch` is that batch and `at` its end.

    `deployment` is the one at whose account it is, where that is known.
    Of a file of requests, `asks` is what they ask for, as `foreseen` packs it.
    """

    id: str
    kind: str
    at: float
    model: str = ""
    batch: str = ""
    deployment: str = ""
    asks: str = ""


def named(operation: Operation, fields: Mapping[str, Any]) -> list[str]:
    """Return the ids that a request names, of things that are somebody's."""
    found: list[Any] = [] if NAMING.isdisjoint(fields) else [*_said(fields)]
    if operation.id_field is not None:
        found.append(fields.get(operation.id_field))
    if operation.hook == "create_video":
        found += _addresses(fields)
    for name in CONTENTS:
        told = fields.get(name)
        if isinstance(told, list):
            for message in told:
                if type(message) is dict and not is_words(message):
                    found += _files(message)
        elif type(told) is dict:
            found += _files(told)
    tools = fields.get("tools")
    if type(tools) is list:
        for tool in tools:
            if type(tool) is not dict or (len(tool) == 2 and "function" in tool and "type" in tool):
                continue  # most are functions
            if tool.get("type") not in DESCRIBED:
                found += inside(tool)
            found += _stores(tool)
    return [_id(one) for one in found if isinstance(one, str) and one] if found else found


def _stores(tool: Any) -> Iterator[str]:
    """Yield the stores of documents at Google's that a tool searches. https://ai.google.dev/gemini-api/docs/file-search"""
    for given in (tool, *(tool[name] for name in SEARCHES if name in tool)) if type(tool) is dict else ():
        for name in STORES:
            listed = given.get(name) if type(given) is dict else None
            for one in listed if type(listed) is list else [listed]:
                if type(one) is str and one.startswith(STORE):
                    yield "/".join(one.split("/")[:2])


def _said(fields: Mapping[str, Any]) -> Iterator[Any]:
    """Yield the ids that stand for themselves. A voice by its name is everybody's."""
    for name in NAMING:
        value = fields.get(name)
        if name == "audio" and type(value) is dict:
            value = value.get("voice")
        if type(value) is dict:
            yield value.get("id")
        elif name == "connectors":
            yield from (one.get("id") for one in value if type(one) is dict) if type(value) is list else ()
        elif name not in ("voice", "audio"):
            yield value


def inside(told: Any) -> list[str]:
    """Return the ids that a body names anywhere, of things that are somebody's; data of the caller's own names none.

    Sources of data that are the whole account's are named by their kind, which is nobody's, and so an admin's.
    """
    found: list[Any] = []
    waiting = [told]
    for one in waiting:  # which grows meanwhile
        if type(one) is list:
            waiting += (inner for inner in one if type(inner) in (dict, list))
        elif type(one) is dict:
            if one.get("type") == "file_id":
                found.append(one.get("id"))
            for name, value in one.items():
                kind = type(value)
                if name in OWN_DATA:
                    continue
                if name in NAMES:
                    found += value if kind is list else [value.get("id") if kind is dict else value]
                elif name == "voice" and kind is dict:
                    found.append(value.get("id"))
                if kind is dict or kind is list:
                    waiting.append(value)
                if name in SOURCES and kind is dict and value.get("type") in EVERYBODYS:
                    found.append(value["type"])
    return [one for one in found if isinstance(one, str) and one and one != "auto"]


def containers_of(fields: Mapping[str, Any], result: Any) -> list[str]:
    """Return the containers that a response's tools worked in, where there are such tools: they are its caller's."""
    tools = fields.get("tools")
    if type(tools) is not list or all(type(one) is dict and one.get("type") in DESCRIBED for one in tools):
        return []
    told = result if isinstance(result, dict) else result.to_dict()
    output = told.get("output")
    items = [one for one in output if isinstance(one, dict)] if isinstance(output, list) else []
    held = [inner for one in items if isinstance(inner := one.get("environment"), dict)]
    return [name for one in (*items, *held) if isinstance(name := one.get("container_id"), str)]


def _is_text(part: Mapping[str, Any]) -> bool:
    """Whether a part is nothing but text: most are."""
    return len(part) == 2 and "type" in part and type(part.get("text")) is str


def _files(message: Mapping[str, Any]) -> Iterator[Any]:
    """Yield what a message or an item says of files: ids, and addresses of files that a provider keeps."""
    waiting: list[Any] = [message]
    for part in waiting:  # which grows meanwhile
        if type(part) is not dict or _is_text(part):
            continue
        for inner in (part, *(part[name] for name in HOLDERS if name in part)):
            if type(inner) is dict:
                if "file_id" in inner:
                    yield inner["file_id"]
                yield from (inner[name] for name in ADDRESSES if name in inner and _is_kept(inner[name]))
                waiting += (one for name in PARTS if type(inner.get(name)) is list for one in inner[name])
        own = part.get("provider_specific_fields")
        kept = own.get(KEPT) if type(own) is dict else None
        if type(kept) is list:
            waiting += kept


def _addresses(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield the addresses of files that a provider keeps, wherever a request says them but in its prose."""
    waiting: list[Any] = [value for name, value in told.items() if name not in PROSE]
    for one in waiting:  # which grows meanwhile
        if type(one) is dict:
            waiting += one.values()
        elif type(one) is list:
            waiting += one
        elif _is_kept(one):
            yield one


def _is_kept(address: Any) -> bool:
    """Whether an address is, or may be, that of a file that Gemini keeps: it is read with the gateway's key."""
    if type(address) is not str or address.startswith("data:"):
        return False
    start = unquote(address[:LOOKED_AT]).lstrip().lower()
    return start.startswith("files/") or "generativelanguage" in start


def _id(name: str) -> str:
    """Return the id that something has here, whatever it is called by."""
    known = GEMINI_FILE.fullmatch(name)
    return name if known is None else known[1]


class Owners:
    """Knows who owns what."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: dict[str, Owned] = {}
        self._paid: dict[str, None] = {}

    async def check(self, by: Principal, wanted: Sequence[str], within: str) -> None:
        """Raise GateError for an id that is not one's own: 404, as for one that is nowhere."""
        if by.role == "admin":
            return
        found = await self.find(wanted)
        for one in wanted:
            if one not in found or not owns(by, found[one], within):
                raise GateError(404, "not_found", f"There is no {one[:100]!r} here, or it is not yours.")

    async def find(self, wanted: Sequence[str]) -> dict[str, Owned]:
        """Return the owners of ids. One that was made elsewhere just now is waited for. Raises GateError: 503."""
        for pause in (0.0, *DRAINED):
            await asyncio.sleep(pause)
            missing = [one for one in wanted if one not in self._known]
            if missing:
                for row in await self._load(missing):
                    self.remember(row)
            if all(one in self._known for one in wanted):
                break
        return {one: self._known[one] for one in wanted if one in self._known}

    async def _load(self, wanted: Sequence[str]) -> list[Owned]:
        from sqlalchemy import select

        from polyport_gateway.store import tables

        query = select(tables.owned).where(tables.owned.c.id.in_([clean(one, LONGEST) for one in wanted]))
        try:
            async with self._store.transaction() as connection:
                rows = (await connection.execute(query)).mappings().all()
        except ServiceUnavailableError as error:
            raise GateError(503, "store_unavailable", error.message, retry_after=1) from error
        return [Owned(**row) for row in rows]

    async def write(self, one: Owned) -> None:
        """Write down what is somebody's and has no line of the ledger."""
        from polyport_gateway.store import tables

        row = self._store.insert(tables.owned).values(**msgspec.structs.asdict(one)).on_conflict_do_nothing()
        async with self._store.transaction() as connection:
            await connection.execute(row)
        self.remember(one)

    def remember(self, one: Owned) -> None:
        """Know one from now on; its first owner stays."""
        while len(self._known) >= REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known.setdefault(one.id, one)

    def remembered(self, id: str) -> Owned | None:
        """Return the owner of something that was looked up before."""
        return self._known.get(id)

    async def known(self, wanted: Sequence[str]) -> dict[str, Owned]:
        """Return the owners of ids; none is waited for."""
        missing = [one for one in wanted if one not in self._known]
        for row in await self._load(missing) if missing else ():
            self.remember(row)
        return {one: self._known[one] for one in wanted if one in self._known}

    async def visible(self, by: Principal, wanted: Sequence[str], within: str) -> set[str]:
        """Return which ids are one's own; none is waited for."""
        if by.role == "admin":
            return set(wanted)
        return {one for one, owner in (await self.known(wanted)).items() if owns(by, owner, within)}

    # --- batches ---

    def outputs(self, batch: Batch, owner: Owned) -> list[Owned]:
        """Return the files that a batch has made, as its owner's."""
        files = [one for one in (batch.output_file_id, batch.error_file_id, batch.extra.get("messages_file_id")) if one]
        return [msgspec.structs.replace(owner, id=one, kind="file", at=_end(batch), batch=owner.id) for one in files]

    def bill(self, batch: Batch, owner: Owned, meta: Meta) -> Entry | None:
        """Return the entry of a batch that is over and tells what it used, or answered nothing.

        None where it does not tell, or has told.
        """
        if batch.status not in SINCE or owner.id in self._paid:
            return None
        owner = msgspec.structs.replace(owner, model=owner.model or clean(batch.model))
        if not batch.usage and answers_of(batch) is None:
            return self._entry(owner, _end(batch), 0, _tokens({}), meta)
        try:
            bill = batchcost.bill_of(batch, provider=meta.provider or None)
        except (PolyportError, msgspec.MsgspecError):
            return None
        if bill is None:
            return None
        return self._entry(owner, _end(batch), bill.nano, _tokens(batch.usage or {}), meta)

    def bill_held(self, batch: Batch, owner: Owned, nano: int, usage: Mapping[str, int], meta: Meta) -> Entry:
        """Return the entry of a batch whose cost nobody can tell: what was held for it counts."""
        return self._entry(owner, _end(batch), nano, usage, meta, estimated=nano > 0)

    def bill_job(self, owner: Owned, nano: int, usage: Mapping[str, int], meta: Meta) -> Entry | None:
        """Return the entry of a job that has told what it used; None where it is billed. It is of when it was made."""
        return None if owner.id in self._paid else self._entry(owner, owner.at, nano, usage, meta)

    def bill_results(self, results: Results, file: Owned, batch: Owned, meta: Meta) -> Entry | None:
        """Return the entry of a batch by its results, where it told no usage; None where no price is known."""
        if batch.id in self._paid or results.nano is None:
            return None
        return self._entry(batch, file.at, results.nano, results.usage, meta)

    def unpaid(self, entry: str) -> None:
        """Have a batch billed again whose entry could not be kept, or is not in the ledger yet."""
        self._paid = {one: None for one in self._paid if entry_id(one) != entry}

    def _entry(
        self, owner: Owned, at: float, nano: int, usage: Mapping[str, int], meta: Meta, *, estimated: bool = False
    ) -> Entry:
        while len(self._paid) >= REMEMBERED:
            del self._paid[next(iter(self._paid))]
        self._paid[owner.id] = None
        return Entry(
            id=entry_id(owner.id), at=at, key_id=owner.key_id, user_id=owner.user_id, team_id=owner.team_id,
            project_id=owner.project_id, customer_id=owner.customer_id, model=owner.model,
            provider=clean(meta.provider), deployment=clean(meta.deployment), operation="batch",
            prompt=usage["input"], completion=usage["output"], usage=usage, nano=nano, charged=True,
            estimated=estimated,
        )  # fmt: skip


class Results:
    """Adds up what the lines of a batch's results cost, while they pass by. `nano` is None where that is not known."""

    def __init__(self, provider: str) -> None:
        self.nano: int | None = 0
        self.usage = {"input": 0, "output": 0}
        self._provider, self._rest = provider, b""

    def feed(self, data: object) -> None:
        """Take in a piece."""
        if isinstance(data, bytes) and self.nano is not None:
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self._add(line)

    def finish(self) -> None:
        """Take in the last line, which may have no end."""
        rest, self._rest = self._rest, b""
        self._add(rest)

    def _add(self, text: bytes) -> None:
        try:
            for line in batchcost.lines_of(text):
                cost = batchcost.line_nano(line, provider=self._provider or None)
                if cost is None or self.nano is None:
                    self.nano = None
                    return
                self.nano += cost
                for name, count in _tokens((batchcost.answer_of(line) or {}).get("usage") or {}).items():
                    self.usage[name] += count
        except (PolyportError, msgspec.MsgspecError):  # no results of a batch: that costs nobody the file
            self.nano = None


def answers_of(batch: Batch) -> str | None:
    """Return the file that has a batch's answers; None where there are none."""
    whole = batch.extra.get("messages_file_id")
    return batch.output_file_id or (whole if isinstance(whole, str) else None)


def entry_id(batch: str) -> str:
    """Return the id that a batch's entry has in the ledger."""
    return f"batch-{hashlib.blake2b(batch.encode(), digest_size=16).hexdigest()}"


def owns(by: Principal, one: Owned, within: str) -> bool:
    """Whether somebody may use something."""
    if one.key_id == by.key_id and one.user_id == by.user_id and (by.key_id or by.user_id):
        return True
    if within in ("user", "team") and by.user_id and one.user_id == by.user_id:
        return True
    return within == "team" and bool(by.team_id) and one.team_id == by.team_id


def _end(batch: Batch) -> float:
    """Return when a batch was over: the same whoever looks, and when."""
    return float(getattr(batch, SINCE.get(batch.status, ""), None) or batch.created_at or 0)


def _tokens(usage: Mapping[str, Any]) -> dict[str, int]:
    def count(*names: str) -> int:
        return next((int(usage[name]) for name in names if isinstance(usage.get(name), int | float)), 0)

    return {"input": count("input_tokens", "prompt_tokens"), "output": count("output_tokens", "completion_tokens")}
