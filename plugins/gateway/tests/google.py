"""A Google of one's own: it keeps files, caches, stores and batches at accounts, each known by its key."""

from __future__ import annotations

import itertools
import json
import re
import threading
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from .services import Answering, Local

#: What the vendors' keys are called by, and no caller may ever see.
FIRST, SECOND = "AIza-first-account", "AIza-second-account"
#: Kinds of things that are made by a POST of their description.
MADE = ("cachedContents", "fileSearchStores", "tunedModels")
PAGE = 2
#: A picture of one pixel.
PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABBAEAX+XDSwAAAABJRU5ErkJggg=="
#: When all caches begin: far away, so that nothing goes by today's date.
BEGAN = datetime(2100, 1, 1, tzinfo=UTC)
COUNTED = {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10}


class Google(Local):
    """`asked` has (method, path, key, body) of every request; `kept` the things by account and name.

    Accounts in `failing` are refused whatever they ask a model.
    """

    def __init__(self) -> None:
        super().__init__(Handler)
        self.asked: list[tuple[str, str, str | None, Any]] = []
        self.kept: dict[str, dict[str, Any]] = {FIRST: {}, SECOND: {}}
        self.contents: dict[str, bytes] = {}
        self.uploads: dict[str, tuple[str, dict[str, Any], bytes]] = {}
        self.failing: set[str] = set()
        self.numbers = itertools.count(1)
        self.lock = threading.Lock()

    def run(self, state: str = "SUCCEEDED") -> None:
        """Have every batch be over; a request whose text begins with `bad` has failed."""
        for things in self.kept.values():
            for name, thing in things.items():
                if name.startswith("batches/") and not thing.get("done"):
                    self._finish(thing, state)

    def film(self, name: str, content: bytes) -> None:
        """Have a video be made."""
        uri = "https://generativelanguage.googleapis.com/v1beta/files/veo1:download?alt=media"
        self.contents["files/veo1"] = content
        done = {"generateVideoResponse": {"generatedSamples": [{"video": {"uri": uri}}]}}
        for things in self.kept.values():
            if name in things:
                things[name] |= {"done": True, "response": done}

    def _finish(self, thing: dict[str, Any], state: str) -> None:
        told = thing["metadata"]
        told |= {"state": f"BATCH_STATE_{state}", "endTime": "2026-11-30T01:00:00Z"}
        config = told.pop("inputConfig", {})
        if "fileName" in config:
            lines = [json.loads(line) for line in self.contents[config["fileName"]].splitlines()]
            results = [{"key": line["key"], "response": answer(line["request"])} for line in lines]
            name = f"files/batch-{thing['name'].rpartition('/')[2]}"
            self.contents[name] = b"".join(json.dumps(one).encode() + b"\n" for one in results)
            told["output"] = {"responsesFile": name}
        else:
            results = []
            for one in config["requests"]["requests"]:
                made = answer(one["request"])
                made = (
                    {"error": {"code": 3, "message": "No such thing"}}
                    if said(one).startswith("bad")
                    else {"response": made}
                )
                results.append({**made, **({"metadata": one["metadata"]} if "metadata" in one else {})})
            embedded = "embedding" in json.dumps(results)
            word = "inlinedEmbedContentResponses" if embedded else "inlinedResponses"
            told["output"] = {word: {"inlinedResponses": results}}
        failed = sum("error" in one for one in results)
        told["batchStats"] = {
            "requestCount": str(len(results)), "successfulRequestCount": str(len(results) - failed),
            "failedRequestCount": str(failed),
        }  # fmt: skip
        thing |= {"done": True, "response": told["output"]}


def ending(ttl: str) -> str:
    """Return when a cache is over that is kept so long."""
    return (BEGAN + timedelta(seconds=float(ttl.removesuffix("s")))).isoformat().replace("+00:00", ".000000001Z")


def said(one: Any) -> str:
    """Return the first text of a request."""
    found = re.search(r'"text": "([^"]*)"', json.dumps(one))
    return found[1] if found else ""


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return what is answered to a request of contents, or to one for a vector."""
    if "content" in request:
        return {"embedding": {"values": [0.5, -1.0]}}
    return {
        "candidates": [{"content": {"role": "model", "parts": [{"text": f"Well: {said(request)}"}]}, "index": 0,
                        "finishReason": "STOP", "groundingMetadata": {"own": 1}}],
        "usageMetadata": COUNTED, "modelVersion": "gemini-2.5-flash", "responseId": "r",
    }  # fmt: skip


class Handler(Answering):
    """Answers as Google's API does, as far as the tests ask."""

    server: Google

    def serve(self) -> None:
        data = self.body()
        url = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        body = json.loads(data) if data[:1] == b"{" and not url.path.startswith("/session/") else data
        key = self.headers.get("x-goog-api-key")
        self.server.asked.append((self.command, url.path, key, body))
        if url.path.startswith("/ws/"):
            return self.live()
        if url.path.startswith("/session/"):
            return self.piece(url.path.rpartition("/")[2], data)
        if key not in self.server.kept:
            return self.fail(403, f"API key not valid: {key}")
        path = re.sub(r"^(/upload)?/v1\w*/", r"\1/", url.path)
        with self.server.lock:
            return self.about(path.lstrip("/"), query, body, key)

    def about(self, path: str, query: dict[str, str], body: Any, key: str) -> None:
        things = self.server.kept[key]
        if path.startswith("upload/"):
            return self.begin(path.removeprefix("upload/"), body, key)
        kind, _, rest = path.partition("/")
        model = re.fullmatch(r"models/([\w.-]+):(\w+)", path)
        if model is not None:
            return (
                self.fail(503, "overloaded") if key in self.server.failing else self.call(*model.groups(), body, things)
            )
        if path.endswith(":cancel"):
            known = path.partition("/operations/")[0].removesuffix(":cancel") in things
            return self.tell({}) if known else self.fail(404, "not found")
        if path.endswith(":download") or "/media/" in path:
            content = self.server.contents.get(path.removesuffix(":download"))
            return (
                self.fail(404, "no content") if content is None else self.send(content, **{"content-type": "video/mp4"})
            )
        if path.endswith(":importFile"):
            store = path.removesuffix(":importFile")
            return self.tell({"name": f"{store}/operations/op-1"}) if store in things else self.fail(404, "not found")
        if self.command == "POST" and path in MADE:
            return self.make(kind, body, things)
        if self.command == "GET" and not rest:
            return self.page(kind, query, things)
        if self.command == "GET" and path.endswith("/documents"):
            return self.tell(
                {"documents": [{"name": f"{path}/d-1"}]} if path.removesuffix("/documents") in things else {}
            )
        if path.startswith("models/") and "/operations/" in path:
            return self.tell(things[path]) if path in things else self.fail(404, "no such operation")
        if "/operations/" in path:
            return self.tell({"name": path, "done": True})
        if path not in things:
            return self.fail(404, f"{path} not found")
        if self.command == "DELETE":
            del things[path]
            return self.tell({})
        if self.command == "PATCH":
            things[path] |= body | ({"expireTime": ending(body["ttl"])} if "ttl" in body else {})
        return self.tell(things[path])

    def call(self, model: str, method: str, body: Any, things: dict[str, Any]) -> None:
        if method in ("batchGenerateContent", "asyncBatchEmbedContent"):
            name = f"batches/b{next(self.server.numbers)}"
            given = body["batch"]
            told = {
                "name": name, "model": f"models/{model}", "state": "BATCH_STATE_PENDING",
                "displayName": given.get("displayName"), "createTime": "2026-11-30T00:00:00Z", "inputConfig": {
                    ("fileName" if part == "file_name" else part): it for part, it in given["inputConfig"].items()
                },
            }  # fmt: skip
            things[name] = {"name": name, "metadata": told}
            return self.tell(things[name])
        if method == "predict":
            made = {"mimeType": "image/png", "bytesBase64Encoded": PICTURE, "safetyAttributes": {"own": 1}}
            return self.tell({"predictions": [made] * body["parameters"]["sampleCount"]})
        if method == "predictLongRunning":
            name = f"models/{model}/operations/op{next(self.server.numbers)}"
            things[name] = {"name": name}
            return self.tell(things[name])
        for named in re.findall(
            r'"((?:\S*/v1beta/)?(files|cachedContents|fileSearchStores)/[\w-]+)"', json.dumps(body)
        ):
            if named[0].rpartition("/v1beta/")[2] not in things:
                return self.fail(403, f"You have no {named[0]}, or it is not there")
        if method == "countTokens":
            whole = body.get("generateContentRequest", body)
            cached = {"cachedContentTokenCount": 1000} if "cachedContent" in whole else {}
            return self.tell({"totalTokens": 5 + sum(cached.values()), **cached})
        if method == "streamGenerateContent":
            data = b"data: " + json.dumps(answer(body)).encode() + b"\n\n"
            return self.send(data, **{"content-type": "text/event-stream"})
        return self.tell(answer(body))

    def make(self, kind: str, body: Any, things: dict[str, Any]) -> None:
        name = f"{kind}/t{next(self.server.numbers)}"
        things[name] = {"name": name, **body}
        if kind == "cachedContents":
            things[name] |= {"usageMetadata": {"totalTokenCount": 1000}, "createTime": BEGAN.isoformat()}
            things[name].setdefault("expireTime", ending(body.get("ttl", "3600s")))
        self.tell({"name": f"{name}/operations/o"} if kind == "tunedModels" else things[name])

    def page(self, kind: str, query: dict[str, str], things: dict[str, Any]) -> None:
        found = [thing for name, thing in things.items() if name.startswith(f"{kind}/")]
        start = int(query.get("pageToken", 0))
        word = "operations" if kind == "batches" else kind
        more = {"nextPageToken": str(start + PAGE)} if len(found) > start + PAGE else {}
        self.tell({word: found[start : start + PAGE], **more})

    # --- live sessions ---

    def live(self) -> None:
        """Hold a session: set it up, and say so; what follows is taken note of."""
        protocol = ServerProtocol()
        lines = [f"GET {self.path} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers.items()), "", ""]
        protocol.receive_data("\r\n".join(lines).encode())
        [request] = protocol.events_received()
        protocol.send_response(protocol.accept(request))
        self.flush(protocol)
        self.close_connection = True
        while data := self.connection.recv(65536):
            protocol.receive_data(data)
            for frame in protocol.events_received():
                assert isinstance(frame, Frame)
                if frame.opcode in (Opcode.TEXT, Opcode.BINARY):
                    self.server.asked.append(("LIVE", "", None, json.loads(frame.data)))
                    if b'"setup"' in frame.data:
                        protocol.send_binary(b'{"setupComplete": {}}')
            self.flush(protocol)

    def flush(self, protocol: ServerProtocol) -> None:
        for data in protocol.data_to_send():
            if data:
                self.wfile.write(data)

    # --- uploads ---

    def begin(self, path: str, body: Any, key: str) -> None:
        if self.headers.get("x-goog-upload-command") != "start":
            return self.fail(400, "not the resumable protocol")
        if path == "files" and body["file"].get("name") in self.server.kept[key]:
            return self.fail(409, "it exists")
        session = f"s{next(self.server.numbers)}"
        self.server.uploads[session] = (key, {"path": path, **body}, b"")
        url = f"{self.server.address}/session/{session}"
        return self.send(
            b"{}", **{"x-goog-upload-url": url, "x-goog-upload-control-url": url, "x-goog-upload-status": "active"}
        )

    def piece(self, session: str, data: bytes) -> None:
        key, about, before = self.server.uploads[session]
        if int(self.headers["x-goog-upload-offset"]) != len(before):
            return self.fail(400, "wrong offset")
        whole = before + data
        self.server.uploads[session] = (key, about, whole)
        if "finalize" not in self.headers["x-goog-upload-command"]:
            return self.send(b"", **{"x-goog-upload-status": "active"})
        told = self.keep(key, about, whole)
        return self.send(json.dumps(told).encode(), **{"x-goog-upload-status": "final"})

    def keep(self, key: str, about: dict[str, Any], whole: bytes) -> dict[str, Any]:
        if about["path"] != "files":
            return {"name": f"{about['path'].partition(':')[0]}/upload/operations/o", "done": True}
        name = about["file"].get("name") or f"files/f{next(self.server.numbers)}"
        uri = f"https://generativelanguage.googleapis.com/v1beta/{name}"
        file = {"name": name, "uri": uri, "sizeBytes": str(len(whole)), "state": "ACTIVE", "mimeType": "text/plain"}
        self.server.kept[key][name] = file
        self.server.contents[name] = whole
        return {"file": file}

    # --- answers ---

    def tell(self, told: Any) -> None:
        self.send(json.dumps(told).encode(), **{"x-request-id": "theirs"})

    def fail(self, code: int, message: str) -> None:
        told = {
            "error": {"code": code, "message": message, "status": "NOT_FOUND" if code == 404 else "INVALID_ARGUMENT"}
        }
        self.send(json.dumps(told).encode(), code)
