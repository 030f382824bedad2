"""GET /openapi.json: what the gateway answers, as OpenAPI 3.1, made from the tables that serve it.

The rows of polyport's operations with their types, the SDK's resources, the desk's paths with its fields, and the
parts' own pages. It says nothing of this gateway's configuration, and so needs no key. https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Iterator, Mapping, MutableMapping
from functools import partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import msgspec

from polyport.operations import OPERATIONS, Operation
from polyport.types.audio import Binary
from polyport.types.record import Request
from polyport.types.upload import Upload
from polyport_gateway import cohere_resources, gemini_upload, replies
from polyport_gateway.anthropic_batches import Batches
from polyport_gateway.anthropic_results import LINES
from polyport_gateway.app import ASGI
from polyport_gateway.asked import FILES, Receive
from polyport_gateway.cohere_chat import Chat
from polyport_gateway.cohere_first import STREAM, FirstChat
from polyport_gateway.cohere_tokens import LONGEST, Detokenizing, Tokenizing
from polyport_gateway.cohere_vectors import TYPES, Embedding
from polyport_gateway.console import Console, reply
from polyport_gateway.exchange import Send
from polyport_gateway.fields import KINDS
from polyport_gateway.gemini_kept import QUERY, Content, Keeping, Kept
from polyport_gateway.minting import PATHS as MINTED
from polyport_gateway.resources import ROWS
from polyport_gateway.signon.credential import COOKIE
from polyport_gateway.surface import OCTETS, Problem
from polyport_gateway.surfaces import ANTHROPIC, COHERE, GEMINI, GOOGLE, OPENAI, Route, addresses

if TYPE_CHECKING:
    from polyport_gateway.assembly import Gateway

Schema = dict[str, Any]
REF = "#/components/schemas/{name}"
#: How a key may come: any one of these.
KEYS: dict[str, Schema] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "anthropic": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "google": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    "azure": {"type": "apiKey", "in": "header", "name": "api-key"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}
SECURED: list[dict[str, list[str]]] = [{name: []} for name in KEYS]
#: Surface -> what its errors are called.
ERRORS = {
    OPENAI.name: "Error",
    ANTHROPIC.name: "AnthropicError",
    COHERE.name: "CohereError",
    GEMINI.name: "GeminiError",
}
#: What a request may say of the call itself.
CALL: Schema = {
    "timeout": {"type": "number", "description": "Seconds."},
    "num_retries": {"type": "integer"},
    "fallbacks": {"type": "array", "items": {"type": "string"}},
    "cache": {"type": "object"},
    "guardrails": {"type": "array", "items": {"type": "string"}},
    "drop_params": {"type": "boolean"},
}
#: What Gemini's SDKs send. https://ai.google.dev/api/generate-content
PARTS: Schema = {
    "text": {"type": "string"},
    "inlineData": {"type": "object"},
    "fileData": {"type": "object"},
    "functionCall": {"type": "object"},
    "functionResponse": {"type": "object"},
    "thought": {"type": "boolean"},
}
CONTENT: Schema = {
    "type": "object",
    "properties": {
        "role": {"enum": ["user", "model"]},
        "parts": {"type": "array", "items": {"type": "object", "properties": PARTS}},
    },
}
CONTENTS: Schema = {
    "type": "object",
    "properties": {
        "contents": {"type": "array", "items": CONTENT},
        "systemInstruction": CONTENT,
        "generationConfig": {"type": "object"},
        "tools": {"type": "array", "items": {"type": "object"}},
        "toolConfig": {"type": "object"},
        "safetySettings": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["contents"],
}
#: What is made by `:predict` and `:predictLongRunning`. https://ai.google.dev/gemini-api/docs/imagen
INSTANCES: Schema = {
    "type": "object",
    "properties": {
        "instances": {
            "type": "array",
            "minItems": 1,
            "maxItems": 1,
            "items": {
                "type": "object",
                "properties": {"prompt": {"type": "string"}, "image": {"type": "object"}},
                "required": ["prompt"],
            },
        },
        "parameters": {"type": "object"},
    },
    "required": ["instances"],
}
#: The header that says how far an upload is.
UPLOAD_STATUS = "X-Goog-Upload-Status"
#: Headers of an upload. https://ai.google.dev/api/files#method:-media.upload
UPLOADING: dict[str, Schema] = {
    "X-Goog-Upload-Protocol": {"enum": ["resumable"]},
    "X-Goog-Upload-Command": {"enum": ["start", "upload", "upload, finalize", "query", "cancel"]},
    "X-Goog-Upload-Offset": {"type": "integer", "minimum": 0},
    "X-Goog-Upload-Header-Content-Length": {"type": "integer", "minimum": 0},
    "X-Goog-Upload-Header-Content-Type": {"type": "string"},
}
#: WebSockets by part -> their addresses, and what they are.
SOCKETS: dict[str, tuple[tuple[str, ...], str]] = {
    "realtime": (("/v1/realtime", "/realtime"), "A session in OpenAI's dialect; `model` says with which model."),
    "ws": (
        tuple(
            f"/ws/google.ai.generativelanguage.{version}.GenerativeService.BidiGenerateContent"
            for version in ("v1beta", "v1alpha")
        ),
        "A live session with Gemini's own models; the first message says with which.",
    ),
}
#: What Anthropic's SDKs send. https://docs.anthropic.com/en/api/creating-message-batches
REQUESTS: Schema = {
    "type": "object",
    "properties": {
        "requests": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "properties": {"custom_id": {"type": "string"}, "params": {"$ref": REF.format(name="MessagesRequest")}},
                "required": ["custom_id", "params"],
            },
        }
    },
    "required": ["requests"],
}
#: What Cohere's SDKs send. https://docs.cohere.com/reference/chat
TURN: Schema = {
    "type": "object",
    "properties": {
        "role": {"enum": ["user", "assistant", "system", "tool"]},
        "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "object"}}]},
        "tool_calls": {"type": "array", "items": {"type": "object"}},
        "tool_call_id": {"type": "string"},
    },
    "required": ["role"],
}
CHAT: Schema = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "messages": {"type": "array", "minItems": 1, "items": TURN},
        "stream": {"type": "boolean"},
        "tools": {"type": "array", "items": {"type": "object"}},
        "tool_choice": {"enum": ["REQUIRED", "NONE"]},
        "documents": {"type": "array"},
        "response_format": {"type": "object"},
        "thinking": {"type": "object"},
        "stop_sequences": {"type": "array", "items": {"type": "string"}},
        **{name: {"type": "number"} for name in ("temperature", "p", "frequency_penalty", "presence_penalty")},
        **{name: {"type": "integer"} for name in ("max_tokens", "k", "seed")},
        **CALL,
    },
    "required": ["model", "messages"],
}
FIRST: Schema = {
    "type": "object",
    "properties": {
        **{
            name: kind
            for name, kind in CHAT["properties"].items()
            if name not in ("messages", "tool_choice", "thinking")
        },
        "message": {"type": "string"},
        "preamble": {"type": "string"},
        "chat_history": {"type": "array", "items": {"type": "object"}},
        "tool_results": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["model"],
}
EMBED: Schema = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "texts": {"type": "array", "items": {"type": "string"}},
        "images": {"type": "array", "items": {"type": "string"}, "description": "data: URLs."},
        "inputs": {"type": "array", "items": {"type": "object"}},
        "input_type": {"type": "string"},
        "embedding_types": {"type": "array", "items": {"enum": [*TYPES]}},
        "output_dimension": {"type": "integer"},
        "truncate": {"enum": ["NONE", "START", "END"]},
        **CALL,
    },
    "required": ["model"],
}
TOKENIZE: Schema = {
    "type": "object",
    "properties": {"model": {"type": "string"}, "text": {"type": "string", "minLength": 1, "maxLength": LONGEST}},
    "required": ["model", "text"],
}
DETOKENIZE: Schema = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "tokens": {"type": "array", "items": {"type": "integer", "minimum": 0}, "maxItems": LONGEST},
    },
    "required": ["model", "tokens"],
}
#: Surfaces of Cohere's whose requests are not their operation's.
COHERES: dict[type, Schema] = {
    Chat: CHAT,
    FirstChat: FIRST,
    Embedding: EMBED,
    Tokenizing: TOKENIZE,
    Detokenizing: DETOKENIZE,
}
TEXT: Schema = {"type": ["string", "null"], "maxLength": 255}
COUNT: Schema = {"type": ["integer", "null"], "minimum": 0}
TEXTS: Schema = {"type": ["array", "null"], "items": {"type": "string"}}
OBJECT: Schema = {"type": ["object", "null"]}
#: What says where something that is kept is, or is to be.
PLACED = ("model", "provider")
#: What reads a field at the desk -> what it takes.
SHAPES: dict[str, Schema] = {
    "_text": TEXT,
    "_count": COUNT,
    "_money": {"type": ["number", "null"], "minimum": 0, "description": "USD."},
    "_period": {**TEXT, "examples": ["30s", "1d", "1mo"]},
    "_expiry": {**TEXT, "examples": ["30d"]},
    "_texts": TEXTS,
    "_networks": {**TEXTS, "description": "IP addresses or networks."},
    "_object": OBJECT,
    "_names": {**OBJECT, "additionalProperties": {"type": "string"}},
    "_model_limits": OBJECT,
    "_members": {**OBJECT, "additionalProperties": {"enum": ["admin", "member"]}},
    "_flag": {"type": "boolean"},
    "_role": TEXT,
    "_instant": {"type": ["number", "null"], "description": "Seconds since 1970."},
}
#: What is asked without a key, and does no more than tell.
OPEN = {
    "/health": "Whether it takes more work",
    "/health/readiness": "Whether it takes more work",
    "/readyz": "Whether it takes more work",
    "/health/liveliness": "Whether it runs",
    "/health/liveness": "Whether it runs",
    "/livez": "Whether it runs",
    "/openapi.json": "This document",
}


def mounts(gateway: Gateway) -> Mapping[str, ASGI]:
    """Return the part."""
    return {"openapi.json": Document(gateway)}


class Document:
    """An ASGI application that answers with the document, which is made when somebody asks for the first time."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._body: bytes | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        found = scope["type"] == "http" and scope["path"] == "/openapi.json" and scope["method"] in ("GET", "HEAD")
        if not found:
            problem = Problem(status=404, code="not_found", message="The document is at GET /openapi.json.")
            await reply(send, 404, replies.JSON, replies.encode(OPENAI.problem(problem)), "")
            return
        if self._body is None:
            made = await asyncio.to_thread(document, self._gateway.app.mounted)
            self._body = msgspec.json.encode(made)
        await reply(send, 200, replies.JSON, self._body, "")


def document(mounted: Mapping[str, ASGI]) -> Schema:
    """Return the document of a gateway with these parts."""
    kinds: set[Any] = {one.request for one in OPERATIONS}
    kinds |= {kind for one in OPERATIONS for kind in (one.response, one.chunk) if _has_schema(kind)}
    schemas: Schema = msgspec.json.schema_components([*kinds], ref_template=REF, schema_hook=_hook)[1]
    names = {kind: _name(kind) for kind in kinds}
    paths: dict[str, Schema] = {}
    for path, route in addresses():
        paths.setdefault(path, {})[route.method.lower()] = _of_route(path, route, names)
    for path, method, made in (*_of_resources(), *_of_desk(mounted), *_of_parts(mounted)):
        paths.setdefault(path, {})[method] = made
    schemas = {**_requests(schemas, names), **_errors()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "polyport gateway",
            "version": version("polyport-gateway"),
            "description": (
                "One URL for every model, in the interfaces of OpenAI, Anthropic, Gemini and Cohere. Addresses of "
                "WebSockets are told as GETs that are answered with 101; OpenAPI has no words for what follows."
            ),
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"securitySchemes": KEYS, "schemas": _used(paths, schemas)},
    }


# --- types ---


def _has_schema(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct) and not issubclass(kind, Binary)


def _hook(kind: Any) -> Schema:
    """Return the schema of what is no plain data: a file, or anything."""
    return {"type": "string", "contentMediaType": OCTETS} if kind is Upload else {}


def _name(kind: Any) -> str:
    ref: str = msgspec.json.schema_components([kind], ref_template=REF, schema_hook=_hook)[0][0]["$ref"]
    return ref.rpartition("/")[2]


def _requests(schemas: Schema, names: Mapping[Any, str]) -> Schema:
    """Return the schemas, with requests as they are on the wire."""
    found = dict(schemas)
    for kind, name in names.items():
        if issubclass(kind, Request):
            schema = found[name]
            own = {key: value for key, value in schema["properties"].items() if key not in Request.FRAME}
            own = {key: {"type": "string"} if key in FILES else value for key, value in own.items()}
            own |= {"model": {"type": "string"}, **CALL}
            found[name] = {**schema, "properties": own}
    return found


def _errors() -> Schema:
    message = {"type": "string"}
    inner = {"message": message, "type": {"type": "string"}, "param": {}, "code": {"type": ["string", "null"]}}
    anthropic = {"type": {"type": "string"}, "message": message}
    gemini = {"code": {"type": "integer"}, "message": message, "status": {"type": "string"}}
    return {
        "Error": _object({"error": _object(inner, "message", "type")}, "error"),
        "AnthropicError": _object({"type": {"const": "error"}, "error": _object(anthropic, "message")}, "error"),
        "GeminiError": _object({"error": _object(gemini, "code", "message")}, "error"),
        "CohereError": _object({"message": message, "id": {"type": "string"}}, "message"),
    }


def _object(properties: Schema, *required: str) -> Schema:
    return {"type": "object", "properties": properties, **({"required": [*required]} if required else {})}


def _used(paths: Schema, schemas: Schema) -> Schema:
    """Return the schemas that something leads to."""
    used: set[str] = set()
    waiting = _refs(paths)
    while waiting:
        name = waiting.pop()
        if name not in used:
            used.add(name)
            waiting |= _refs(schemas[name])
    return {name: schemas[name] for name in sorted(used)}


def _refs(value: Any) -> set[str]:
    text = msgspec.json.encode(value).decode()
    return set(re.findall(r'"\$ref":"#/components/schemas/([^"]+)"', text))


# --- what models are asked by ---


def _of_route(path: str, route: Route, names: Mapping[Any, str]) -> Schema:
    operation = route.operation
    error = {"description": "An error", "content": _json(_ref(ERRORS[route.surface.name]))}
    inside = re.findall(r"\{(\w+)\}", path)
    versioned = "versioned" if re.match(r"/v\d", path) else "unversioned"
    made: Schema = {
        "operationId": _id(route.method, path),
        "summary": route.own.capitalize() if operation is None else _summary(operation.request),
        "tags": ["models" if operation is None else operation.capability, versioned, route.surface.name],
        "security": SECURED,
        "parameters": [_inside(name) for name in inside],
        "responses": {"default": error},
    }
    if operation is None:
        made["responses"]["200"] = {"description": "The answer", "content": _json({"type": "object"})}
        return made
    if operation.body == "none":
        made["parameters"] += [*_query(operation, inside, isinstance(route.surface, Batches))]
    else:
        made["requestBody"] = _body(operation, route, names)
    made["responses"]["200"] = {"description": "The answer", "content": _answer(operation, route, names)}
    return made


def _body(operation: Operation, route: Route, names: Mapping[Any, str]) -> Schema:
    if isinstance(route.surface, Keeping):
        return {"required": True, "content": _json({"type": "object"})}
    if route.surface.name == GEMINI.name:
        given = {"batch": {"type": "object"}, "image": INSTANCES, "video": INSTANCES}.get(
            operation.capability, CONTENTS
        )
        return {"required": True, "content": _json(given)}
    if isinstance(route.surface, Batches):
        return {"required": True, "content": _json(REQUESTS)}
    if type(route.surface) in COHERES:
        return {"required": True, "content": _json(COHERES[type(route.surface)])}
    named = _ref(names[operation.request])
    if operation.body != "multipart":
        return {"required": True, "content": _json(named)}
    files = [name for name in FILES if name in operation.request.__struct_fields__]
    encoding = {name: {"contentType": OCTETS} for name in files}
    return {"required": True, "content": {"multipart/form-data": {"schema": named, "encoding": encoding}}}


def _answer(operation: Operation, route: Route, names: Mapping[Any, str]) -> Schema:
    if issubclass(operation.response, Binary) or isinstance(route.surface, Content):
        return {"*/*": {}}
    if route.surface.name == GEMINI.name:
        return {**_json({"type": "object"}), "text/event-stream": {}}
    if isinstance(route.surface, Batches):
        return {**_json({"type": "object"}), LINES: {}}
    if type(route.surface) in COHERES:
        kind = STREAM if isinstance(route.surface, FirstChat) else replies.EVENTS
        return {**_json({"type": "object"}), **({kind: {}} if operation.chunk is not None else {})}
    told = _json(_ref(names[operation.response]) if operation.response in names else {"type": "object"})
    if operation.response.__name__ == "Transcription":
        told |= {"text/plain": {}}
    return {**told, **({"text/event-stream": {}} if operation.chunk is not None else {})}


def _query(operation: Operation, inside: list[str], batches: bool) -> Iterator[Schema]:
    if "operation_id" in inside:
        return
    if operation.request is Kept:
        yield from ({"name": name, "in": "query", "schema": {"type": "string"}} for name in QUERY)
        return
    names = [name for name in operation.request.__struct_fields__ if name not in {*Request.FRAME, *inside}]
    names += ["provider"] if operation.by_provider else []
    for name in ["after_id", "limit"] if batches and operation.function == "list_batches" else names:
        yield {"name": name, "in": "query", "required": False, "schema": {"type": "string"}}


# --- what one account at a vendor keeps ---


def _of_resources() -> Iterator[tuple[str, str, Schema]]:
    """Yield the methods of the official SDKs' resources; what they take and tell is the vendor's, and not read here."""
    both = (("/v1", "versioned"), ("", "unversioned"))
    rows = [*((OPENAI, row, both) for row in ROWS), *((COHERE, row, both[:1]) for row in cohere_resources.ROWS)]
    for surface, row, prefixes in rows:
        for prefix, tag in prefixes:
            path, method = row.path if surface is COHERE else prefix + row.path, row.method.lower()
            made: Schema = {
                "operationId": _id(method, path),
                "summary": row.name,
                "tags": ["resources", tag, surface.name],
                "security": SECURED,
                "parameters": [_inside(name) for name in re.findall(r"\{(\w+)\}", path)],
                "responses": {
                    "200": {"description": "The answer", "content": {"*/*": {}}},
                    "default": {"description": "An error", "content": _json(_ref("Error"))},
                },
            }
            made["parameters"] += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in PLACED]
            if row.method in ("POST", "PATCH"):
                form: Schema = {"multipart/form-data": {"schema": {"type": "object"}}} if row.multipart else {}
                made["requestBody"] = {"content": {**_json({"type": "object"}), **form}}
            yield path, method, made


# --- what it is managed by ---


def _of_desk(mounted: Mapping[str, ASGI]) -> Iterator[tuple[str, str, Schema]]:
    if "key" not in mounted:  # without accounts, nothing of theirs is imported
        return
    from polyport_gateway import desk

    if not isinstance(mounted["key"], desk.Desk):
        return
    for table, methods in ((desk.CHANGING, ("post",)), (desk.READING, ("get", "post"))):
        for path, function in table.items():
            for method in methods:
                yield path, method, _at_desk(path, method, function)


def _at_desk(path: str, method: str, function: Any) -> Schema:
    kind, _, what = path.strip("/").partition("/")
    fields = KINDS[kind][1] if kind in KINDS and what in ("generate", "new", "update") else None
    named: Schema = {f"{kind}_id": TEXT} if kind in KINDS and what != "list" else {}
    own = {name: SHAPES.get(reader.__name__, {}) for name, (_, reader) in (fields or {}).items()}
    made = _managed(method, path, "management", inspect.getdoc(inspect.unwrap(_inner(function))) or "")
    if method == "post":
        made["requestBody"] = {"content": _json({**_object({**named, **own}), "additionalProperties": fields is None})}
    else:
        made["parameters"] = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in named]
    return made


def _inner(function: Any) -> Any:
    return function.func if isinstance(function, partial) else function


def _of_parts(mounted: Mapping[str, ASGI]) -> Iterator[tuple[str, str, Schema]]:
    for path, what in OPEN.items():
        yield path, "get", {**_managed("get", path, "operations", what), "security": []}
    if "metrics" in mounted:
        made = _managed("get", "/metrics", "operations", "What is counted, for Prometheus.")
        made["responses"]["200"]["content"] = {"text/plain": {}, "application/openmetrics-text": {}}
        yield "/metrics", "get", made
    if "auth" in mounted:
        login = _managed("post", "/auth/login", "sessions", "Sign in with a key.")
        login["requestBody"] = {"content": _json(_object({"key": {"type": "string"}}, "key"))}
        yield "/auth/login", "post", {**login, "security": []}
        yield "/auth/session", "get", _managed("get", "/auth/session", "sessions", "Who is signed in.")
        out = _managed("post", "/auth/logout", "sessions", "End the session, if there is one.")
        yield "/auth/logout", "post", {**out, "security": []}
    if "realtime" in mounted:
        for path in MINTED:
            for prefix in ("/v1", ""):
                made = _managed("post", prefix + path, "realtime", "A client secret, for sessions at /realtime")
                made["requestBody"] = {"content": _json({"type": "object"})}
                yield prefix + path, "post", made
    if "passthrough" in mounted:
        path = "/passthrough/{provider}/{path}"
        for method in ("get", "post"):
            made = _managed(method, path, "passthrough", "A provider's own endpoint; `path` may have slashes.")
            made["parameters"] = [_inside("provider"), _inside("path")]
            made["responses"]["200"]["content"] = {"*/*": {}}
            yield path, method, made
    yield from _of_uploads(mounted)
    yield from _of_sockets(mounted)
    for console in {id(one): one for one in mounted.values() if isinstance(one, Console)}.values():
        for name, page in console.pages.items():
            method, _, path = name.partition(" ")
            made = _managed(method.lower(), path, "operations", inspect.getdoc(page.function) or "")
            if method == "POST":
                made["requestBody"] = {"content": _json({"type": "object"})}
            yield path, method.lower(), {**made, "x-roles": [*page.roles]}


def _of_uploads(mounted: Mapping[str, ASGI]) -> Iterator[tuple[str, str, Schema]]:
    """Yield where files are uploaded to Gemini: begun with a key, and gone on with at the address that was told."""
    if gemini_upload.WORD not in mounted:
        return
    for prefix in GOOGLE:
        for _, below, function in gemini_upload.PLACES:
            path = f"/{gemini_upload.WORD}{prefix}{below}"
            what = "Begin an upload (start), or with its upload_id send a piece of the file, which needs no key."
            made = _managed("post", path, "resources", what)
            made |= {"tags": ["resources", "versioned", GEMINI.name], "summary": function, "description": what}
            made["security"] = [*SECURED, {}]
            made["parameters"] = [_inside(name) for name in re.findall(r"\{(\w+)\}", path)]
            made["parameters"] += [{"name": gemini_upload.SESSION, "in": "query", "schema": {"type": "string"}}]
            made["parameters"] += [{"name": name, "in": "header", "schema": it} for name, it in UPLOADING.items()]
            made["requestBody"] = {"content": {**_json({"type": "object"}), OCTETS: {}}}
            made["responses"]["200"] = {
                "description": "X-Goog-Upload-URL tells where the upload goes on; when it is over, what was made",
                "headers": {name: {"schema": {"type": "string"}} for name in ("X-Goog-Upload-URL", UPLOAD_STATUS)},
                "content": {"*/*": {}},
            }
            made["responses"]["default"] = {"description": "An error", "content": _json(_ref(ERRORS[GEMINI.name]))}
            yield path, "post", made


def _of_sockets(mounted: Mapping[str, ASGI]) -> Iterator[tuple[str, str, Schema]]:
    """Yield the addresses of WebSockets."""
    for word, (paths, what) in SOCKETS.items():
        for path in paths if word in mounted else ():
            made = _managed("get", path, "sockets", what)
            made["description"] = f"A WebSocket. {what}"
            made["responses"] = {
                "101": {"description": "The session begins; each of its messages is JSON"},
                "default": made["responses"]["default"],
            }
            if not path.startswith("/v1/"):
                made["responses"]["426"] = {"description": "Not asked for as a WebSocket"}
            if word == "realtime":
                made["parameters"] = [{"name": "model", "in": "query", "schema": {"type": "string"}}]
            yield path, "get", made


def _managed(method: str, path: str, tag: str, what: str) -> Schema:
    return {
        "operationId": _id(method, path),
        "summary": what.partition("\n")[0],
        "tags": [tag],
        "security": SECURED,
        "responses": {
            "200": {"description": "The answer", "content": _json({})},
            "default": {"description": "An error", "content": _json(_ref("Error"))},
        },
    }


# --- small things ---


def _summary(kind: type[Request]) -> str:
    return (inspect.getdoc(kind) or kind.__name__).partition("\n")[0].replace("`", "")


def _id(method: str, path: str) -> str:
    return f"{method.lower()}{re.sub(r'[^a-z0-9]+', '_', path.lower().replace(':', '_to_')).rstrip('_')}"


def _inside(name: str) -> Schema:
    return {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}


def _ref(name: str) -> Schema:
    return {"$ref": REF.format(name=name)}


def _json(schema: Schema) -> Schema:
    return {replies.JSON: {"schema": schema}}
